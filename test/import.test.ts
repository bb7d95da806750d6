// Import: every form of file, write rules and trail held; interrupted half-way and resumed, the store is that of one that ran through.
import { expect, it } from '@jest/globals';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { writeNdjson } from '../seed/ndjson.ts';
import { runImport } from '../server/import/run.ts';
import { filesOf } from '../server/import/source.ts';
import { laneHere } from '../server/import/writer.ts';
import type { Json } from '../server/fhir/types.ts';
import { temporaryFolder, type TestServer, testServer } from './support/server.ts';

async function contents(s: TestServer): Promise<string[]> {
  const out: string[] = [];
  for (const type of ['Organization', 'Patient', 'Consent', 'DocumentReference', 'Binary']) {
    let after: (string | number)[] | undefined;
    for (;;) {
      const found = await s.running.deps.store.search({ type, plan: { kind: 'all' }, sort: [{ by: 'id', desc: false }], after, limit: 500 });
      for (const f of found) {
        const { id: _i, meta: _m, ...r } = JSON.parse(f.row.text) as Json;
        // What a new run makes anew: ids of gated types, and what names them.
        out.push(`${type} ${f.row.scalars.patient} ${f.row.scalars.depositor} ${JSON.stringify(r).replace(/Binary\/[0-9a-f-]+/g, 'Binary/x')}`);
      }
      if (found.length < 500) break;
      after = found[found.length - 1].keys;
    }
  }
  return out.sort();
}
const importInto = (s: TestServer, files: string[], progress?: (n: number) => void) => runImport({ lanes: async () => [laneHere(s.running.deps, s.running.services)], dataDir: s.dataDir, files, chunk: 20, progress });

it('one that is interrupted and resumed ends with the same store', async () => {
  const file = join(temporaryFolder(), 'region.ndjson');
  const documents = await writeNdjson(file, { patients: 30, seed: 9, documents: 6, now: Date.parse('2026-06-01T00:00:00Z') });
  const whole = await testServer({ directory: false });
  const first = await importInto(whole, [file]);
  expect(first.refused).toBe(0);
  const broken = await testServer({ directory: false });
  const real = broken.running.deps.store.commit;
  let commits = 0;
  // The store dies after some commits; one of them was made though its writer never learnt of it.
  broken.running.deps.store.commit = async (c) => {
    if (++commits > 25) {
      if (commits === 26) await real(c);
      throw new Error('killed');
    }
    return real(c);
  };
  await expect(importInto(broken, [file])).rejects.toThrow();
  broken.running.deps.store.commit = real;
  const again = await importInto(broken, [file]);
  expect(again.skipped).toBeGreaterThan(0);
  expect(again.refused).toBe(0);
  const [a, b] = [await contents(whole), await contents(broken)];
  expect(b).toEqual(a);
  expect(a.filter((x) => x.startsWith('DocumentReference ')).length).toBe(documents);
  expect((await importInto(broken, [file])).taken).toBe(0);
  await whole.stop();
  await broken.stop();
});

it('takes NDJSON, Bundles, folders, gzip; refuses one by one, and says why', async () => {
  const folder = temporaryFolder();
  const patient = (id: string): Json => ({ resourceType: 'Patient', id, name: [{ family: 'Import' }] });
  writeFileSync(join(folder, 'a.ndjson.gz'), gzipSync(`${JSON.stringify(patient('i1'))}\nnot json\n`));
  writeFileSync(join(folder, 'b.json'), JSON.stringify({ resourceType: 'Bundle', type: 'collection', entry: [{ resource: patient('i2') }, { resource: { ...patient('i3'), gender: 'neither' } }, { resource: { resourceType: 'Observation', id: 'o' } }] }));
  writeFileSync(join(folder, 'c.json'), JSON.stringify({ resourceType: 'DocumentReference', status: 'current', subject: { reference: 'Patient/i1' }, type: { text: 'x' }, content: [{ attachment: { contentType: 'text/plain', data: 'eA==' } }] }));
  const s = await testServer();
  const r = await importInto(s, filesOf([folder]));
  expect([r.taken, r.refused]).toEqual([2, 4]);
  const why = readFileSync(r.report, 'utf8').split('\n').filter(Boolean).map((l) => JSON.parse(l));
  expect(why.map((w) => [w.line, w.type])).toEqual(expect.arrayContaining([[2, undefined], [2, 'Patient'], [3, 'Observation'], [1, 'DocumentReference']]));
  expect(why.find((w) => w.type === 'DocumentReference').why).toMatch(/record|deposited/i);
  expect(await s.running.deps.store.count('AuditEvent', { kind: 'all' })).toBeGreaterThan(2);
  await s.stop();
});
