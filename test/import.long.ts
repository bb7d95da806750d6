// `npm run import` over several processes, all killed at once, twice: run again, it ends with the store of one that ran through.
import { expect, it } from '@jest/globals';
import { spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { writeNdjson } from '../seed/ndjson.ts';
import { anchorFile } from '../server/audit/seal.ts';
import { verifyTrail } from '../server/audit/verify.ts';
import { sqliteStore } from '../server/store/sqlite/store.ts';
import { contentsOf } from './support/contents.ts';
import { temporaryFolder } from './support/server.ts';

/** The import of a file into a folder; killed with all its processes once so many chunks are done. */
function run(file: string, dataDir: string, killAt?: number): Promise<{ code: number | null; text: string }> {
  const child = spawn(process.execPath, ['dist/server/cli/import.js', file, '--chunk', '50', '--lanes', '2'], { env: { PATH: process.env.PATH, DATA_DIR: dataDir }, detached: true });
  let text = '';
  for (const s of [child.stdout, child.stderr]) s.on('data', (b) => { text += String(b); });
  const folder = join(dataDir, 'imports');
  const done = (): number => {
    const journal = existsSync(folder) ? readdirSync(folder).find((f) => /^[0-9a-f]+\.json$/.test(f)) : undefined;
    return journal ? JSON.parse(readFileSync(join(folder, journal), 'utf8')).done : 0;
  };
  const watch = killAt === undefined ? undefined : setInterval(() => { if (done() >= killAt) process.kill(-(child.pid as number), 'SIGKILL'); }, 5);
  return new Promise((resolve) => child.once('close', (code) => {
    clearInterval(watch);
    resolve({ code, text });
  }));
}

it('loses and doubles nothing', async () => {
  const [folder, whole, killed] = [temporaryFolder(), temporaryFolder(), temporaryFolder()];
  const file = join(folder, 'region.ndjson');
  const documents = await writeNdjson(file, { patients: 80, seed: 11, documents: 10, now: Date.parse('2026-06-01T00:00:00Z') });
  expect(await run(file, whole)).toMatchObject({ code: 0, text: expect.stringMatching(/ 0 refused, 0 taken before/) });
  expect((await run(file, killed, 5)).code).toBe(null);
  expect((await run(file, killed, 14)).code).toBe(null);
  const last = await run(file, killed);
  expect(last).toMatchObject({ code: 0, text: expect.stringMatching(/ 0 refused, [1-9]\d* taken before/) });
  const [a, b] = [sqliteStore(whole, 'check'), sqliteStore(killed, 'check')];
  const [expected, found] = [await contentsOf(a), await contentsOf(b)];
  expect(found).toEqual(expected);
  expect(found.filter((x) => x.startsWith('DocumentReference ')).length).toBe(documents);
  for (const [store, dataDir] of [[a, whole], [b, killed]] as const) expect((await verifyTrail(store, anchorFile(dataDir, undefined))).finding).toBeUndefined();
  // No record is held once all is there.
  for (const store of [a, b]) expect(await store.count('Hold', { kind: 'all' })).toBe(0);
  expect(await a.ids('Hold', { kind: 'all' }, true)).not.toEqual([]);
  // Every document has an event that tells its creation.
  for (const store of [a, b]) expect(await store.count('AuditEvent', { kind: 'contains', key: 'AE.entity>', text: 'DocumentReference/' })).toBe(documents);
  await a.close();
  await b.close();
  for (const d of [folder, whole, killed]) rmSync(d, { recursive: true, force: true });
}, 120_000);
