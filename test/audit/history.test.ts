// The history that a patient reads; retention and export; the trail on MongoDB altered by hand.
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { appendFileSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { MongoClient } from 'mongodb';
import { pino } from 'pino';
import * as callers from '../../seed/callers.ts';
import { exportClosed, exportFolder, verifyExports } from '../../server/audit/export.ts';
import { anchorFile, startSealing } from '../../server/audit/seal.ts';
import { readAnchor, verifyTrail } from '../../server/audit/verify.ts';
import type { Json } from '../../server/fhir/types.ts';
import { mongoStore } from '../../server/store/mongo/store.ts';
import type { Store } from '../../server/store/port.ts';
import { sqliteStore } from '../../server/store/sqlite/store.ts';
import { type Answer, openRecord, type Rec, temporaryFolder, type TestServer, testServer } from '../support/server.ts';

describe('$access-history', () => {
  let s: TestServer;
  let rec: Rec;
  let document: Json;
  let given: Json;
  beforeAll(async () => {
    s = await testServer();
    rec = await openRecord(s);
    document = (await rec.deposit(await s.as(callers.system('chu-demo')), { description: 'Compte rendu, "spécial"' })).body;
    const doctor = await s.as(callers.professional('dr-martin'));
    await doctor.get(`DocumentReference/${document.id}`);
    given = (await rec.consent('authorisation', { actors: ['Practitioner/dr-martin'] })).body;
    await doctor.get(`DocumentReference/${document.id}`);
    await (await s.as(callers.professional('dr-garnier', { mode: 'bris_de_glace', reason: '=coma' }))).get(`DocumentReference/${document.id}`);
  });
  afterAll(() => s.stop());
  const lines = (a: Answer): Json[] => a.body.parameter.filter((p: Json) => p.name === 'access').map((p: Json) => Object.fromEntries(p.part.map((x: Json) => [x.name, x[Object.keys(x).find((k) => k.startsWith('value')) as string]])));

  it('says who, where from, what, which document, in which mode and why, by which consent', async () => {
    const a = await rec.patient.get(`Patient/${rec.id}/$access-history`);
    expect(a.status).toBe(200);
    const reads = lines(a).filter((l) => l.document?.reference === `DocumentReference/${document.id}`);
    const [glass, read] = reads;
    const denied = reads.find((l) => l.action.code === 'AuthZ-Consent');
    expect(glass).toMatchObject({ who: { reference: 'Practitioner/dr-garnier' }, mode: { code: 'bris_de_glace', display: 'Accès en bris de glace' }, reason: '=coma', permitted: true });
    expect(read).toMatchObject({ who: { reference: 'Practitioner/dr-martin', display: 'Hélène Martin' }, profession: { code: '10', display: 'Médecin' }, establishment: { display: 'Cabinet médical du Marché (démonstration)' }, action: { code: 'read', display: 'Consultation' }, document: { display: 'Compte rendu, "spécial"' }, consent: { reference: `Consent/${given.id}` }, rule: { code: 'permitted', display: 'Autorisé' }, permitted: true });
    expect(denied).toMatchObject({ action: { code: 'AuthZ-Consent', display: 'Accès à un document refusé' }, permitted: false, rule: { code: 'no-consent', display: 'Aucun consentement' } });
    expect(lines(a).map((l) => l.at)).toEqual(lines(a).map((l) => l.at).sort().reverse());
  });

  it('is paged, without repeating or losing a line', async () => {
    const all = lines(await rec.patient.get(`Patient/${rec.id}/$access-history?_count=200&date=le2100-01-01`)).map((l) => l.event.reference);
    const seen: string[] = [];
    let next: string | undefined = `Patient/${rec.id}/$access-history?_count=2`;
    for (let i = 0; next && i < 200; i++) {
      const a: Answer = await rec.patient.get(next);
      seen.push(...lines(a).map((l) => l.event.reference));
      next = a.body.parameter.find((p: Json) => p.name === 'next')?.valueUri;
      if (seen.length >= all.length) break;
    }
    expect(new Set(seen).size).toBe(seen.length);
    expect(all.every((e) => seen.includes(e))).toBe(true);
  });

  it('comes as CSV that no spreadsheet runs', async () => {
    const a = await rec.patient.get(`Patient/${rec.id}/$access-history`, { Accept: 'text/csv' });
    expect(a.headers.get('content-type')).toMatch(/^text\/csv/);
    expect(a.text.split('\r\n')[0]).toBe('date,qui,profession,spécialité,établissement,action,résultat,documents,mode,motif,règle,consentements,trace');
    expect(a.text).toContain(",'=coma,");
    expect(a.text).toContain('"Compte rendu, ""spécial"" (DocumentReference/');
  });

  it('is for those who read the trail, within what each sees', async () => {
    const empty = await (await s.as(callers.professional('dr-leroy'))).get(`Patient/${rec.id}/$access-history`);
    expect(lines({ ...empty, body: { parameter: empty.body.parameter ?? [] } })).toEqual([]);
    expect((await (await s.as(callers.patient('somebody-else'))).get(`Patient/${rec.id}/$access-history`)).status).toBe(404);
    const hidden = (await rec.deposit(await s.as(callers.system('chu-demo')), { securityLabel: [{ coding: [{ system: 'http://terminology.hl7.org/CodeSystem/v3-ActCode', code: 'NOPAT' }] }] })).body;
    expect((await rec.patient.get(`Patient/${rec.id}/$access-history`)).text).not.toContain(hidden.id);
  });
});

const log = pino({ level: 'silent' });

/** Thirty events in three sealed batches. */
async function fill(store: Store, folder: string): Promise<string[]> {
  const ids: string[] = [];
  for (let i = 0; i < 30; i++) {
    ids.push(`e${String(i).padStart(2, '0')}`);
    await store.commit({ ops: [], audit: [{ id: ids[i], patient: null, date: i, text: JSON.stringify({ resourceType: 'AuditEvent', n: i }), terms: [], docs: [] }] });
    if (i % 10 === 9) await (await startSealing({ store, dataDir: folder, anchor: undefined, process: 'p', now: () => 1_000 * i, log })).stop();
  }
  return ids;
}

describe('retention', () => {
  let folder: string;
  let store: Store;
  const exports = () => verifyExports(store, folder, readAnchor(anchorFile(folder, undefined)).keys);
  beforeAll(async () => {
    folder = temporaryFolder();
    store = sqliteStore(folder, 'p');
    await fill(store, folder);
  });
  afterAll(async () => {
    await store.close();
    rmSync(folder, { recursive: true, force: true });
  });

  it('closed periods leave as signed NDJSON, after which the chain still verifies', async () => {
    expect(await exportClosed({ store, dataDir: folder, before: 10_000 })).toBe(10);
    expect(await exportClosed({ store, dataDir: folder, before: 20_000 })).toBe(10);
    const files = readdirSync(exportFolder(folder)).filter((f) => f.endsWith('.ndjson')).sort();
    expect(files).toEqual(['p.1-1.ndjson', 'p.2-2.ndjson']);
    expect(readFileSync(join(exportFolder(folder), files[1]), 'utf8').split('\n').filter(Boolean).map((l) => JSON.parse(l).n)).toEqual([10, 11, 12, 13, 14, 15, 16, 17, 18, 19]);
    expect(await store.count('AuditEvent', { kind: 'all' })).toBe(10);
    expect(await verifyTrail(store, anchorFile(folder, undefined))).toMatchObject({ events: 10, seals: 3, exported: 20, finding: undefined });
    expect(await exports()).toBeUndefined();
  });

  it('an export altered by hand is caught', async () => {
    const file = join(exportFolder(folder), 'p.2-2.ndjson');
    const text = readFileSync(file, 'utf8');
    writeFileSync(file, text.replace('"n":15', '"n":99'));
    expect(await exports()).toEqual({ file: 'p.2-2.ndjson', fault: 'altered' });
    writeFileSync(file, text.replace(/^.*\n/, ''));
    expect((await exports())?.fault).toBe('altered');
    writeFileSync(file, text);
    appendFileSync(`${file}.jws`, 'x');
    expect(await exports()).toEqual({ file: 'p.2-2.ndjson', fault: 'signature' });
  });
});

const url = process.env.TEST_MONGODB_URL;
if (!url) process.stdout.write('skipped: the trail altered on MongoDB (TEST_MONGODB_URL names no server; npm run test:mongo finds one)\n');

(url ? describe : describe.skip)('altering the trail by hand on MongoDB is caught', () => {
  it.each<[string, (c: { audit: any; seal: any; sealAgain: () => Promise<void> }) => Promise<unknown>, object]>([
    ['nothing', async () => {}, {}],
    ['nothing, though a crash lost the marks of the last seal', async ({ audit, sealAgain }) => [await audit.updateMany({ seq: { $gt: 20 } }, { $set: { sealed: false } }), await sealAgain()], {}],
    ['altered', ({ audit }) => audit.updateOne({ _id: 'e15' }, { $set: { text: '{}' } }), { fault: 'altered', event: 'e15' }],
    ['removed', ({ audit }) => audit.deleteOne({ _id: 'e15' }), { fault: 'removed', event: 'e15' }],
    ['inserted', ({ audit }) => audit.insertOne({ _id: 'forged', id: 'forged', process: 'p', seq: 1_000, s: { patient: null, date: 1 }, terms: [], text: '{}', sealed: true }), { fault: 'inserted', event: 'forged' }],
    ['a missing tail', async ({ audit, seal }) => [await audit.deleteMany({ seq: { $gt: 20 } }), await seal.deleteMany({ number: 3 })], { fault: 'seal-missing' }],
    ['a seal altered', async ({ seal }) => seal.updateOne({ number: 1 }, { $set: { text: (await seal.findOne({ number: 1 })).text.replace('e05', 'e99') } }), { fault: 'seal-altered' }],
  ])('%s', async (_name, alter, expected) => {
    const folder = temporaryFolder();
    const own = `${String(url).replace(/\/[^/]*$/, '')}/a${randomUUID().slice(0, 8)}`;
    const store = await mongoStore(own, 'p', { acceptStandalone: true });
    await fill(store, folder);
    const client = await MongoClient.connect(own);
    await alter({ audit: client.db().collection('audit'), seal: client.db().collection('seal'), sealAgain: async () => (await startSealing({ store, dataDir: folder, anchor: undefined, process: 'p', now: () => 31_000, log })).stop() });
    const { finding } = await verifyTrail(store, anchorFile(folder, undefined));
    await client.close();
    await store.close();
    expect(finding ?? {}).toMatchObject(expected);
    expect(finding === undefined).toBe(Object.keys(expected).length === 0);
  });
});
