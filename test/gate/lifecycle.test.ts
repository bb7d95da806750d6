// A record's life by itself and by request: automatic opening, erasure; decisions explained.
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import * as callers from '../../seed/callers.ts';
import { consent } from '../../seed/consents.ts';
import { sweep } from '../../server/access/sweep.ts';
import type { Json } from '../../server/fhir/types.ts';
import { type Answer, type Client, idsOf, openRecord, reasons, type TestServer, testServer } from '../support/server.ts';

const DAY = 86_400_000;
let s: TestServer;
let now = Date.now();
let ids = 0;
let hospital: Client;
beforeAll(async () => {
  s = await testServer({ world: { now: () => now, newId: () => `life-${ids++}` } });
});
afterAll(() => s.stop());
/** Tokens die with the clock: a client for now. */
const hospitalNow = async (): Promise<Client> => (hospital = await s.as(callers.system('chu-demo')));
const iso = (ms = -1000): string => new Date(now + ms).toISOString();
const status = async (id: string): Promise<string> => (await (await s.as(callers.patient(id))).get(`Patient/${id}/$dmp-status`)).body.parameter.find((p: Json) => p.name === 'status').valueCode;

describe('automatic opening', () => {
  it('six weeks after the patient was told, unless opposed meanwhile', async () => {
    const silent = await openRecord(s, { open: false });
    const opposed = await openRecord(s, { open: false });
    const propose = (id: string, by: Client) => by.post('Consent', { ...consent('opening', id, { dateTime: iso(), origin: 'automatic' }), status: 'proposed' });
    expect((await propose(silent.id, silent.registry)).status).toBe(201);
    expect((await propose(opposed.id, opposed.registry)).status).toBe(201);
    expect(reasons(await propose(silent.id, await hospitalNow()))[0]).toBe('opening');
    now += 30 * DAY;
    await sweep(s.running.deps);
    expect(await status(silent.id)).toBe('none');
    expect((await (await s.as(callers.patient(opposed.id))).post('Consent', consent('opposition', opposed.id, { dateTime: iso() }))).status).toBe(201);
    now += 13 * DAY;
    await sweep(s.running.deps);
    expect([await status(silent.id), await status(opposed.id)]).toEqual(['open', 'opposed']);
    const mine = await (await s.as(callers.patient(silent.id))).get(`Consent?patient=${silent.id}`);
    expect(mine.body.entry[0].resource.extension[0].valueCode).toBe('automatic');
    expect((await (await s.as(callers.patient(opposed.id))).get(`Consent?patient=${opposed.id}&status=rejected`)).body.total).toBe(1);
  });
});

describe('erasure', () => {
  const remains = async (id: string): Promise<number> => {
    const { store } = s.running.deps;
    return (await store.ids('DocumentReference', { kind: 'scalar', field: 'patient', op: 'eq', value: id })).length + (await store.ids('Binary', { kind: 'scalar', field: 'patient', op: 'eq', value: id })).length;
  };
  it('ten years after closing, not before, and not where the record was reopened', async () => {
    const kept = await openRecord(s);
    const gone = await openRecord(s);
    for (const r of [kept, gone]) expect((await r.deposit(await hospitalNow())).status).toBe(201);
    now += 1000;
    for (const r of [kept, gone]) expect((await (await s.as(callers.patient(r.id))).post('Consent', consent('closing', r.id, { dateTime: iso(0) }))).status).toBe(201);
    now += 3_640 * DAY;
    await sweep(s.running.deps);
    expect([await remains(kept.id), await remains(gone.id)]).toEqual([2, 2]);
    await (await s.as(callers.patient(kept.id))).post('Consent', consent('opening', kept.id, { dateTime: iso() }));
    now += 20 * DAY;
    await sweep(s.running.deps);
    expect([await remains(kept.id), await remains(gone.id)]).toEqual([2, 0]);
    expect(idsOf(await (await s.as(callers.patient(kept.id))).get(`DocumentReference?patient=${kept.id}`)).length).toBe(1);
  });

  it('at the explicit request of the patient, texts, versions and bytes; the trail stays', async () => {
    const rec = await openRecord(s);
    const patient = await s.as(callers.patient(rec.id));
    const made = (await rec.deposit(await hospitalNow(), { description: 'to be erased' })).body;
    await hospital.patch(`DocumentReference/${made.id}`, [{ op: 'replace', path: '/status', value: 'superseded' }]);
    const ask = (c: Client, value: string) => c.post(`Patient/${rec.id}/$erase-record`, { resourceType: 'Parameters', parameter: [{ name: 'confirm', valueCode: value }] });
    expect((await ask(hospital, 'erase')).status).toBe(403);
    expect((await ask(patient, 'yes')).status).toBe(400);
    expect((await ask(patient, 'erase')).body.parameter[0].valueInteger).toBe(2);
    expect([(await patient.get(`DocumentReference/${made.id}`)).status, (await patient.get(made.content[0].attachment.url)).status, (await hospital.get(`DocumentReference/${made.id}/_history/1`)).status]).toEqual([404, 404, 404]);
    expect((await s.running.deps.store.history('DocumentReference', made.id, { limit: 10 })).map((r) => r.text).join('')).toBe('');
    expect((await patient.get(`AuditEvent?patient=${rec.id}&action=D`)).body.entry?.length ?? 0).toBeGreaterThan(0);
    expect((await rec.deposit(await hospitalNow())).status).toBe(201);
  });
});

describe('$explain', () => {
  const of = (a: Answer): [string, string, string[]][] => a.body.parameter.filter((p: Json) => p.name === 'document').map((p: Json) => {
    const get = (n: string) => p.part.filter((x: Json) => x.name === n).map((x: Json) => x.valueCode ?? x.valueReference?.reference);
    return [get('decision')[0], get('rule')[0], get('consent')];
  });
  it('tells the patient what a professional would be allowed, by which rule and Consent', async () => {
    const rec = await openRecord(s);
    const patient = await s.as(callers.patient(rec.id));
    await rec.deposit(await hospitalNow());
    const ask = (more = '', by: Client = patient) => by.get(`Patient/${rec.id}/$explain?practitioner=Practitioner/dr-martin${more}`);
    expect(of(await ask())).toEqual([['deny', 'no-consent', []]]);
    const given = (await patient.post('Consent', consent('authorisation', rec.id, { dateTime: iso(), actors: ['Practitioner/dr-martin'] }))).body;
    expect(of(await ask())).toEqual([['permit', 'permitted', [`Consent/${given.id}`]]]);
    expect(of(await ask('&mode=bris_de_glace'))[0].slice(0, 2)).toEqual(['permit', 'permitted']);
    expect(of(await ask('&profession=98'))[0].slice(0, 2)).toEqual(['deny', 'profession']);
    const block = (await patient.post('Consent', consent('block', rec.id, { dateTime: iso(), actors: ['Practitioner/dr-martin'] }))).body;
    const blocked = await ask();
    expect(of(blocked)).toEqual([['deny', 'blocked', [`Consent/${block.id}`]]]);
    expect(blocked.body.parameter.find((p: Json) => p.name === 'record').part[1].valueCode).toBe('blocked');
    expect((await ask('', await s.as(callers.professional('dr-martin')))).status).toBe(403);
    expect((await ask('', hospital)).status).toBe(403);
    expect((await patient.get(`Patient/${rec.id}/$explain`)).status).toBe(400);
  });

  it('stays within the view of who asks, and agrees with what then happens', async () => {
    const rec = await openRecord(s);
    const patient = await s.as(callers.patient(rec.id));
    await hospitalNow();
    const hidden = (await rec.deposit(hospital, { securityLabel: [{ coding: [{ system: 'http://terminology.hl7.org/CodeSystem/v3-ActCode', code: 'NOPAT' }] }] })).body;
    const shown = (await rec.deposit(hospital)).body;
    await patient.post('Consent', consent('authorisation', rec.id, { dateTime: iso(), actors: ['Organization/cabinet-demo'] }));
    const a = await patient.get(`Patient/${rec.id}/$explain?practitioner=Practitioner/dr-martin`);
    expect(a.text).toContain(shown.id);
    expect(a.text).not.toContain(hidden.id);
    const absent = (id: string) => patient.get(`Patient/${rec.id}/$explain?practitioner=Practitioner/dr-martin&document=DocumentReference/${id}`);
    expect((await absent(hidden.id)).text).toBe((await absent('never')).text);
    const doctor = await s.as(callers.professional('dr-martin'));
    expect(idsOf(await doctor.get(`DocumentReference?patient=${rec.id}`)).sort()).toEqual([hidden.id, shown.id].sort());
    expect(of(a)).toEqual([['permit', 'permitted', [expect.stringMatching(/^Consent\//)]]]);
  });
});
