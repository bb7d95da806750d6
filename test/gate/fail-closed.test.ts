// What cannot be understood, read or written in time denies, and says so; it never opens.
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import * as callers from '../../seed/callers.ts';
import { consent } from '../../seed/consents.ts';
import type { Store } from '../../server/store/port.ts';
import { TooSlow, Unavailable } from '../../server/store/port.ts';
import { type Client, idsOf, openRecord, type Rec, reasons, type TestServer, testServer } from '../support/server.ts';

let s: TestServer;
let rec: Rec;
let doctor: Client;
let document: string;
beforeAll(async () => {
  s = await testServer();
  rec = await openRecord(s);
  doctor = await s.as(callers.professional('dr-martin'));
  await rec.consent('authorisation', { actors: ['Practitioner/dr-martin'] });
  document = (await rec.deposit(await s.as(callers.system('chu-demo')))).body.id;
});
afterAll(() => s.stop());

/** Runs `work` while one of the store's functions fails. */
async function failing<T>(name: keyof Store, error: () => Error, work: () => Promise<T>, when: (...args: any[]) => boolean = () => true): Promise<T> {
  const store = s.running.deps.store as any;
  const real = store[name];
  store[name] = (...args: any[]) => (when(...args) ? Promise.reject(error()) : real(...args));
  try {
    return await work();
  } finally {
    store[name] = real;
  }
}

describe('a store that fails', () => {
  const gone = () => new Unavailable('gone');
  it.each<[string, keyof Store, (...a: any[]) => boolean]>([
    ['the epoch', 'epoch', () => true],
    ['the row', 'read', (type) => type === 'DocumentReference'],
    ['the trail', 'commit', () => true],
  ])('%s: 503 with Retry-After and no document, then recovery', async (_name, f, when) => {
    for (const path of [`DocumentReference/${document}`]) {
      const a = await failing(f, gone, () => doctor.get(path), when);
      expect([a.status, a.headers.get('retry-after')]).toEqual([503, '2']);
      expect(a.text).not.toContain(document.slice(0, 8));
      expect((await doctor.get(path)).status).toBe(200);
    }
  });
  it('facts that cannot be read', async () => {
    s.running.deps.facts.clear();
    const a = await failing('search', gone, () => doctor.get(`DocumentReference/${document}`), (search) => search.type === 'Consent');
    expect(a.status).toBe(503);
    expect((await doctor.get(`DocumentReference/${document}`)).status).toBe(200);
  });
  it('a query out of time is too costly', async () => {
    const a = await failing('search', () => new TooSlow('query'), () => doctor.get(`DocumentReference?patient=${rec.id}`), (search) => search.type === 'DocumentReference');
    expect([a.status, reasons(a)[0]]).toEqual([400, 'too-costly']);
  });
  it('a write whose trail cannot be written leaves nothing', async () => {
    const before = idsOf(await rec.patient.get(`DocumentReference?patient=${rec.id}`)).length;
    const hospital = await s.as(callers.system('chu-demo'));
    expect((await failing('commit', gone, () => rec.deposit(hospital))).status).toBe(503);
    expect(idsOf(await rec.patient.get(`DocumentReference?patient=${rec.id}`)).length).toBe(before);
  });
});

describe('a Consent that cannot be understood', () => {
  const reads = async (provision: object, more: object = {}) => {
    const r = await openRecord(s);
    await r.deposit(await s.as(callers.system('chu-demo')));
    const base = consent('authorisation', r.id, { dateTime: new Date(Date.now() - 1000).toISOString() });
    const made = await r.patient.post('Consent', { ...base, meta: undefined, provision, ...more });
    expect(made.status).toBe(201);
    return (await doctor.get(`DocumentReference?patient=${r.id}`)).body.total;
  };
  const actor = [{ role: { coding: [{ system: 'http://terminology.hl7.org/CodeSystem/v3-ParticipationType', code: 'IRCP' }] }, reference: { reference: 'Practitioner/dr-martin' } }];
  it('permits nothing', async () => {
    expect(await reads({ type: 'permit', actor })).toBe(1);
    expect(await reads({ type: 'permit', actor, purpose: [{ system: 'urn:x', code: 'y' }] })).toBe(0);
    expect(await reads({ type: 'permit', actor, securityLabel: [{ system: 'urn:x', code: 'y' }] })).toBe(0);
    expect(await reads({ type: 'permit', actor: [{ ...actor[0], reference: { reference: 'Group/g' } }] })).toBe(0);
    expect(await reads({ type: 'permit', actor, data: [{ meaning: 'related', reference: { reference: 'Encounter/e' } }] })).toBe(0);
  });
  it('denies what it denies, and all of its parent where it is an exception', async () => {
    expect(await reads({ type: 'permit', actor, provision: [{ type: 'deny', class: [{ system: 'urn:x', code: 'y' }] }] })).toBe(0);
    expect(await reads({ type: 'deny', actor: [{ ...actor[0], reference: { reference: 'CareTeam/c' } }] }, { policyRule: undefined })).toBe(0);
  });
});
