// The README's tour runs as it stands, against a server started as it says.
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { readFileSync, rmSync } from 'node:fs';
import { freePort, temporaryFolder } from './support/server.ts';

const dataDir = temporaryFolder();
let child: ChildProcess;
let env: NodeJS.ProcessEnv;
beforeAll(async () => {
  const port = String(await freePort());
  env = { ...process.env, PORT: port, DATA_DIR: dataDir, LOG_LEVEL: 'silent', FHIR: `http://127.0.0.1:${port}/fhir`, NODE_OPTIONS: '' };
  child = spawn('npm', ['start'], { env, stdio: 'ignore', detached: true });
  for (let i = 0; i < 100; i++) {
    if (await fetch(`http://127.0.0.1:${port}/readyz`).then((r) => r.ok, () => false)) return;
    await new Promise((r) => setTimeout(r, 100));
  }
  throw new Error('npm start does not come up');
}, 30_000);
afterAll(() => {
  process.kill(-(child.pid as number), 'SIGKILL');
  rmSync(dataDir, { recursive: true, force: true });
});

it('every command of the tour works', () => {
  const tour = /```sh tour\n([\s\S]*?)```/.exec(readFileSync('README.md', 'utf8'))?.[1] as string;
  const out = execFileSync('bash', ['-euo', 'pipefail', '-c', tour], { env, encoding: 'utf8' });
  expect(out).toContain('"resourceType":"DocumentReference"');
  expect(out).toContain('"code":"no-consent"');
  expect(out).toContain('"name":"authorised","valueBoolean":true');
  expect(out).toContain('date,qui,profession');
  expect(out).toContain('"rule","valueCode":"permitted"');
  expect(out.match(/"type":"searchset"/g)?.length).toBe(7);
});

it('records are seeded by number', () => {
  const folder = temporaryFolder();
  expect(execFileSync('npm', ['run', '--silent', 'seed', '--', '--patients', '3', '--seed', '7'], { env: { ...env, DATA_DIR: folder }, encoding: 'utf8' })).toMatch(/^3 records, \d+ documents \(seed 7\)/);
  rmSync(folder, { recursive: true, force: true });
});

it('audit:verify finds the trail whole', async () => {
  await new Promise((r) => setTimeout(r, 1_500));
  expect(execFileSync('npm', ['run', '--silent', 'audit:verify'], { env, encoding: 'utf8' })).toContain('The trail is whole.');
});
