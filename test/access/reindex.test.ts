// A newer server on an older store: migrated, or refused; index entries made again in the background, resumably; a new matrix closes until done (R7).
import { expect, it } from '@jest/globals';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from '@photostructure/sqlite';
import * as callers from '../../seed/callers.ts';
import { VERSION } from '../../server/store/sqlite/schema.ts';
import { sqliteStore } from '../../server/store/sqlite/store.ts';
import { openRecord, temporaryFolder, testServer } from '../support/server.ts';

const embedded = process.env.TEST_MONGODB_URL ? it.skip : it;
if (process.env.TEST_MONGODB_URL) process.stdout.write('skipped: an older store altered by hand (SQLite only)\n');

function byHand(folder: string, work: (db: InstanceType<typeof DatabaseSync>) => void): void {
  const db = new DatabaseSync(join(folder, 'dmp.sqlite'));
  work(db);
  db.close();
}

embedded('entries made from an older definition are made again; the matrix too', async () => {
  const dataDir = temporaryFolder();
  const first = await testServer({ dataDir });
  const rec = await openRecord(first);
  await rec.consent('authorisation', { actors: ['Practitioner/dr-martin'] });
  const hospital = await first.as(callers.system('chu-demo'));
  for (let i = 0; i < 5; i++) expect((await rec.deposit(hospital)).status).toBe(201);
  await first.stop();
  byHand(dataDir, (db) => {
    const prints = JSON.parse((db.prepare("SELECT value FROM meta WHERE key = 'index'").get() as { value: string }).value);
    db.exec("DELETE FROM term WHERE key LIKE 'DR.type%'; UPDATE res SET matrix = 'older', opens = '' WHERE type = 'DocumentReference'");
    db.prepare("UPDATE meta SET value = ? WHERE key = 'index'").run(JSON.stringify({ ...prints, 'DocumentReference type': 'older', 'DocumentReference matrix': 'older' }));
  });
  const second = await testServer({ dataDir, directory: false });
  const doctor = await second.as(callers.professional('dr-martin'));
  const search = async () => (await doctor.get(`DocumentReference?patient=${rec.id}&type=34112-3`)).body;
  for (let i = 0; i < 50 && second.running.deps.incomplete.size; i++) await new Promise((r) => setTimeout(r, 50));
  expect(second.running.deps.incomplete.size).toBe(0);
  expect((await search()).total).toBe(5);
  // While a parameter is being indexed, a search that asks it says so.
  second.running.deps.incomplete.add('DocumentReference type');
  expect(JSON.stringify(await search())).toContain('`type` is being indexed');
  await second.stop();
  rmSync(dataDir, { recursive: true, force: true });
});

embedded('an older schema is migrated, a newer one refused', async () => {
  const folder = temporaryFolder();
  await sqliteStore(folder, 'p').close();
  // As version 1 had it: no small contents, and a flag on each event.
  byHand(folder, (db) => db.exec(`DROP TABLE blob; DROP TABLE unsealed; ALTER TABLE audit ADD COLUMN sealed INTEGER NOT NULL DEFAULT 0; CREATE INDEX audit_open ON audit (process, seq) WHERE sealed = 0;
    INSERT INTO audit (id, process, date, terms, text, sealed) VALUES ('old', 'q', 1, '', '{}', 1), ('open', 'q', 1, '', '{}', 0); UPDATE meta SET value = '1' WHERE key = 'schema'`));
  const store = sqliteStore(folder, 'p');
  expect(await store.meta('schema')).toBe(String(VERSION));
  expect((await store.trail.unsealed('q', 10)).map((e) => e.id)).toEqual(['open']);
  expect(await store.trail.processes()).toEqual(['q']);
  await store.close();
  byHand(folder, (db) => db.exec("UPDATE meta SET value = '99' WHERE key = 'schema'"));
  expect(() => sqliteStore(folder, 'p')).toThrow(/schema version 99/);
  rmSync(folder, { recursive: true, force: true });
});

embedded('a query past its time is ended', async () => {
  const folder = temporaryFolder();
  const store = sqliteStore(folder, 'p', { queryMs: 0 });
  byHand(folder, (db) => db.exec("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000) INSERT INTO term SELECT 'DR.description^word ' || i, i FROM n"));
  await expect(store.count('DocumentReference', { kind: 'contains', key: 'DR.description^', text: 'none' })).rejects.toThrow('query');
  await store.close();
  rmSync(folder, { recursive: true, force: true });
});

it('an empty store that is loaded at its first start has nothing to make again', async () => {
  const s = await testServer();
  expect(s.running.deps.incomplete.size).toBe(0);
  expect(await s.running.deps.store.meta('index')).toBeDefined();
  await s.stop();
});
