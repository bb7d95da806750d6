// Each way out and up, opened on purpose in a copy of the sources, is noticed by the tests that guard it.
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { execFile } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { mutations } from './gate/mutations.ts';

const AT_ONCE = 2;
const copies: string[] = [];
beforeAll(() => {
  for (let i = 0; i < AT_ONCE; i++) {
    const copy = mkdtempSync(join(tmpdir(), 'dmp-mutation-'));
    for (const f of ['server', 'seed', 'test', 'profiles', 'terminology', 'package.json', 'tsconfig.json']) cpSync(f, join(copy, f), { recursive: true });
    symlinkSync(resolve('node_modules'), join(copy, 'node_modules'));
    copies.push(copy);
  }
});
afterAll(() => copies.forEach((c) => rmSync(c, { recursive: true, force: true })));

function run(copy: string, tests: string): Promise<boolean> {
  const property = tests.includes('noninterference') ? ['-t', 'hidden documents change no byte'] : [];
  return new Promise((done) => execFile(process.execPath, ['--experimental-vm-modules', '--no-warnings', 'node_modules/jest/bin/jest.js', '--runInBand', '--bail', '--rootDir', copy, ...property, tests], { cwd: copy, timeout: 240_000 }, (e) => done(e === null)));
}

it('the tests pass where nothing is opened, and notice every way that is', async () => {
  const unnoticed: string[] = [];
  const queue = [...mutations];
  await Promise.all(copies.map(async (copy) => {
    for (let m = queue.shift(); m; m = queue.shift()) {
      const originals = new Map<string, string>();
      for (const [file, from, to] of m.changes) {
        const path = join(copy, file);
        const text = readFileSync(path, 'utf8');
        if (!originals.has(path)) originals.set(path, text);
        if (!text.includes(from)) throw new Error(`${m.way}: ${file} does not hold: ${from}`);
        writeFileSync(path, text.replace(from, to));
      }
      if (await run(copy, m.tests)) unnoticed.push(m.way);
      for (const [path, text] of originals) writeFileSync(path, text);
    }
  }));
  expect(unnoticed).toEqual([]);
  for (const tests of ['test/gate/ways-out', 'test/gate/ways-up', 'test/gate/lifecycle', 'test/gate/noninterference']) expect([tests, await run(copies[0], tests)]).toEqual([tests, true]);
}, 1_800_000);
