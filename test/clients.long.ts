// The example clients in Python (fhirpy) and Java (HAPI), where their toolchain is there and their packages can be had.
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { execFile, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import * as callers from '../seed/callers.ts';
import { openRecord, type Rec, type TestServer, testServer } from './support/server.ts';

let s: TestServer;
let rec: Rec;
let token: string;
beforeAll(async () => {
  s = await testServer();
  rec = await openRecord(s);
  token = await s.tokenOf(callers.system('chu-demo'));
});
afterAll(() => s.stop());

const works = (command: string, args: string[], timeout = 240_000): boolean => spawnSync(command, args, { stdio: 'ignore', timeout }).status === 0;
const run = (command: string, args: string[]): Promise<string> => new Promise((done, fail) => execFile(command, [...args, s.base, token, rec.id], { timeout: 120_000 }, (e, out, err) => (e ? fail(new Error(`${e.message}\n${err}`)) : done(out))));

function python(): string | undefined {
  const folder = resolve('.cache/python');
  const binary = join(folder, 'bin', 'python');
  if (existsSync(join(folder, 'ready'))) return binary;
  return works('python3', ['-m', 'venv', folder]) && works(binary, ['-m', 'pip', 'install', '-q', 'fhirpy']) && works('touch', [join(folder, 'ready')]) ? binary : undefined;
}

function java(): string | undefined {
  const lib = resolve('.cache/hapi-client');
  if (existsSync(lib)) return lib;
  return works('java', ['-version']) && works('mvn', ['-q', '-B', '-f', 'test/clients/java/pom.xml', 'dependency:copy-dependencies', `-DoutputDirectory=${lib}`]) ? lib : undefined;
}

it('Python, fhirpy', async () => {
  const binary = python();
  if (!binary) return void process.stdout.write('skipped: Python or fhirpy cannot be had here\n');
  expect(await run(binary, ['test/clients/python/hospital.py'])).toMatch(/^python: deposited, found, read/);
}, 400_000);

it('Java, HAPI', async () => {
  const lib = java();
  if (!lib) return void process.stdout.write('skipped: Java, Maven or HAPI cannot be had here\n');
  expect(await run('java', ['-cp', join(lib, '*'), 'test/clients/java/Hospital.java'])).toMatch(/java: deposited, found, read/);
}, 400_000);
