// The ways out: through none of them does a hidden document show. The caller is an authorised doctor; the hidden document is masked.
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import * as callers from '../../seed/callers.ts';
import type { Json } from '../../server/fhir/types.ts';
import { type Answer, type Client, documentBody, idsOf, openRecord, reasons, type Rec, type TestServer, testServer } from '../support/server.ts';

const MASK = [{ coding: [{ system: 'https://mos.esante.gouv.fr/NOS/TRE_A07-StatutVisibiliteDocument/FHIR/TRE-A07-StatutVisibiliteDocument', code: 'MASQUE_PS' }] }];
let s: TestServer;
let rec: Rec;
let doctor: Client;
let hospital: Client;
let hidden: Json;
let shown: Json;
let list: Json;
const secretId = { system: 'urn:ietf:rfc:3986', value: 'urn:oid:1.2.999.1' };

beforeAll(async () => {
  s = await testServer();
  hospital = await s.as(callers.system('chu-demo'));
  doctor = await s.as(callers.professional('dr-martin'));
  rec = await openRecord(s);
  await rec.consent('authorisation', { actors: ['Practitioner/dr-martin'] });
  const old = (await rec.deposit(hospital, { date: '2026-01-01T00:00:00Z' })).body;
  hidden = (await rec.deposit(hospital, { date: '2026-02-01T00:00:00Z', masterIdentifier: secretId, description: 'secret words', securityLabel: MASK })).body;
  shown = (await rec.deposit(hospital, { date: '2026-03-01T00:00:00Z', relatesTo: [{ code: 'appends', target: { reference: `DocumentReference/${hidden.id}` } }], context: { related: [{ reference: `DocumentReference/${hidden.id}` }] } })).body;
  list = (await hospital.post('List', { resourceType: 'List', status: 'current', mode: 'working', title: 'a telling title', subject: { reference: `Patient/${rec.id}` }, date: '2026-03-02T00:00:00Z', entry: [old, hidden, shown].map((d) => ({ item: { reference: `DocumentReference/${d.id}` } })) })).body;
});
afterAll(() => s.stop());

const never = `never-given-${'0'.repeat(24)}`;
/** Answers with the ids exchanged and what differs by nature taken out. */
const shape = (a: Answer, id: string): string => JSON.stringify([a.status, a.headers.get('allow'), a.headers.get('etag'), a.text.split(id).join('ID')]);

describe('unseen, deleted and never given are one answer with the same bytes', () => {
  const calls: [string, (id: string) => Promise<Answer>][] = [
    ['read', (id) => doctor.get(`DocumentReference/${id}`)],
    ['HEAD', (id) => doctor.send('HEAD', `DocumentReference/${id}`)],
    ['vread', (id) => doctor.get(`DocumentReference/${id}/_history/1`)],
    ['history', (id) => doctor.get(`DocumentReference/${id}/_history`)],
    ['conditional read', (id) => doctor.get(`DocumentReference/${id}`, { 'If-None-Match': 'W/"1"' })],
    ['PUT', (id) => doctor.put(`DocumentReference/${id}`, { ...documentBody(rec.id), id, content: [{ attachment: { contentType: 'text/plain' } }] })],
    ['PUT with If-Match', (id) => doctor.put(`DocumentReference/${id}`, { ...documentBody(rec.id), id, content: [{ attachment: { contentType: 'text/plain' } }] }, { 'If-Match': 'W/"7"' })],
    ['PATCH', (id) => doctor.patch(`DocumentReference/${id}`, [{ op: 'replace', path: '/status', value: 'superseded' }])],
    ['DELETE', (id) => doctor.delete(`DocumentReference/${id}`)],
    ['DELETE with If-Match', (id) => doctor.delete(`DocumentReference/${id}`, { 'If-Match': 'W/"7"' })],
    ['search by _id', (id) => doctor.get(`DocumentReference?_id=${id}`)],
    ['$validate on the instance', (id) => doctor.get(`DocumentReference/${id}/$validate`)],
    ['a batch', (id) => doctor.post('', { resourceType: 'Bundle', type: 'batch', entry: [{ request: { method: 'GET', url: `DocumentReference/${id}` } }, { request: { method: 'DELETE', url: `DocumentReference/${id}` } }] })],
    ['a transaction', (id) => doctor.post('', { resourceType: 'Bundle', type: 'transaction', entry: [{ request: { method: 'DELETE', url: `DocumentReference/${id}` } }] })],
    ['relatesTo of a deposit', (id) => doctor.post('DocumentReference', { ...documentBody(rec.id, { type: { coding: [{ system: 'http://loinc.org', code: '34112-3' }] } }), content: [{ attachment: { contentType: 'text/plain', data: 'eA==' } }], relatesTo: [{ code: 'replaces', target: { reference: `DocumentReference/${id}` } }] })],
    ['List.entry of a new List', (id) => doctor.post('List', { resourceType: 'List', status: 'current', mode: 'working', subject: { reference: `Patient/${rec.id}` }, entry: [{ item: { reference: `DocumentReference/${id}` } }] })],
    ['a search by relatesto', (id) => doctor.get(`DocumentReference?patient=${rec.id}&relatesto=DocumentReference/${id}`)],
    ['a search by related', (id) => doctor.get(`DocumentReference?patient=${rec.id}&related=DocumentReference/${id}`)],
    ['a search by relationship', (id) => doctor.get(`DocumentReference?patient=${rec.id}&relationship=DocumentReference/${id}$appends`)],
    ['a search of Lists by item', (id) => doctor.get(`List?patient=${rec.id}&item=DocumentReference/${id}`)],
    ['a Consent naming it', (id) => doctor.post('Consent', { resourceType: 'Consent', status: 'active', scope: { coding: [{ system: 'http://terminology.hl7.org/CodeSystem/consentscope', code: 'patient-privacy' }] }, category: [{ text: 'x' }], patient: { reference: `Patient/${rec.id}` }, policy: [{ uri: 'urn:x' }], provision: { type: 'permit', data: [{ meaning: 'instance', reference: { reference: `DocumentReference/${id}` } }] } })],
  ];
  it.each(calls)('%s', async (_name, call) => {
    const gone = (await rec.deposit(hospital)).body.id;
    await hospital.delete(`DocumentReference/${gone}`);
    const expected = shape(await call(never), never);
    expect(shape(await call(hidden.id), hidden.id)).toBe(expected);
    expect(shape(await call(gone), gone)).toBe(expected);
  });

  it('Binary by id, by range, and by adoption', async () => {
    const binary = hidden.content[0].attachment.url.slice('Binary/'.length);
    for (const headers of ([{}, { Range: 'bytes=0-1' }, { Accept: 'application/fhir+json' }] as Record<string, string>[])) expect(shape(await doctor.get(`Binary/${binary}`, headers), binary)).toBe(shape(await doctor.get(`Binary/${never}`, headers), never));
    const adopt = (id: string) => doctor.post('DocumentReference', documentBody(rec.id, { content: [{ attachment: { contentType: 'text/plain', url: `Binary/${id}` } }] }));
    expect(shape(await adopt(binary), binary)).toBe(shape(await adopt(never), never));
  });
});

describe('searches leave it out', () => {
  it.each([
    ['GET', ''], ['by identifier', `&identifier=${secretId.system}|${secretId.value}`], ['by description', '&description=secret'], ['counted', '&_summary=count'], ['with _total', '&_total=accurate&_count=1'], ['sorted', '&_sort=date'], ['with elements', '&_elements=status'], ['with label', '&security-label=MASQUE_PS'],
    ['with _include', '&_include=DocumentReference:relatesto'], ['with _include:iterate', '&_include:iterate=DocumentReference:*'], ['with _revinclude', '&_revinclude=DocumentReference:relatesto&_revinclude=List:item'], ['by missing', '&relatesto:missing=false'], ['by relation', '&relation=appends'],
  ])('%s', async (_name, more) => {
    for (const a of [await doctor.get(`DocumentReference?patient=${rec.id}${more}`), await doctor.send('POST', 'DocumentReference/_search', `patient=${rec.id}${more}`, { 'Content-Type': 'application/x-www-form-urlencoded' }), await doctor.get(`Patient/${rec.id}/DocumentReference?x=1${more}`)]) {
      expect(a.status).toBe(200);
      expect(a.text).not.toContain(hidden.id);
      expect(a.text).not.toContain('secret words');
      if (a.body.total !== undefined) expect(a.body.total).toBe(/identifier|secret|MASQUE|missing|relation=/.test(more) ? 0 : 2);
    }
  });

  it('pages, also when a consent changes between two pages', async () => {
    const first = await doctor.get(`DocumentReference?patient=${rec.id}&_count=1`);
    expect(idsOf(first)).toEqual([shown.id]);
    const next = first.body.link.find((l: Json) => l.relation === 'next').url;
    const second = await doctor.get(next);
    expect(second.body.entry.length).toBe(1);
    expect(second.text).not.toContain(hidden.id);
    expect(second.body.link.some((l: Json) => l.relation === 'next')).toBe(false);
    const block = await rec.consent('block', { actors: ['Practitioner/dr-martin'] });
    expect(idsOf(await doctor.get(next))).toEqual([]);
    const closed = await doctor.get(`DocumentReference?patient=${rec.id}`);
    expect(reasons({ ...closed, body: closed.body.entry[0].resource })).toEqual(['no-consent']);
    expect((await rec.patient.delete(`Consent/${block.body.id}`)).status).toBe(204);
    expect(idsOf(await doctor.get(next)).length).toBe(1);
    expect((await hospital.get(next)).status).toBe(400);
  });

  it('without a patient or a resource named is refused', async () => {
    for (const path of ['DocumentReference', 'DocumentReference?status=current', 'List', 'Consent?status=active', `DocumentReference?patient=${rec.id},other`, 'Patient?_has:DocumentReference:patient:status=current&family=x&birthdate=1970-01-01', 'Practitioner?_revinclude=DocumentReference:author']) {
      const a = await doctor.get(path);
      expect([path, a.status, reasons(a)[0]]).toEqual([path, 400, 'one-patient']);
    }
  });
});

describe('what is shown does not tell of it', () => {
  it('relatesTo and context.related are left out', async () => {
    const a = await doctor.get(`DocumentReference/${shown.id}`);
    expect(a.body.relatesTo).toBeUndefined();
    expect(a.text).not.toContain(hidden.id);
    expect((await rec.patient.get(`DocumentReference/${shown.id}`)).text).toContain(hidden.id);
  });

  it('a PUT of what was shown with parts left out carries them over', async () => {
    const view = (await hospital.get(`DocumentReference/${shown.id}`)).body;
    expect(view.relatesTo).toBeDefined();
    const seen = (await doctor.get(`DocumentReference/${shown.id}`)).body;
    expect((await doctor.put(`DocumentReference/${shown.id}`, seen)).status).toBe(200);
    expect((await hospital.get(`DocumentReference/${shown.id}`)).body.relatesTo).toEqual(view.relatesTo);
  });

  it('a List shows its visible entries, without title, and its version follows the view', async () => {
    const a = await doctor.get(`List/${list.id}`);
    expect(a.body.entry.length).toBe(2);
    expect(a.body.title).toBeUndefined();
    expect(a.text).not.toContain(hidden.id);
    const another = (await rec.deposit(hospital, { securityLabel: MASK })).body;
    const whole = (await hospital.get(`List/${list.id}`)).body;
    expect((await hospital.put(`List/${list.id}`, { ...whole, entry: [...whole.entry, { item: { reference: `DocumentReference/${another.id}` } }] })).status).toBe(200);
    const after = await doctor.get(`List/${list.id}`);
    expect([after.text, after.headers.get('etag')]).toEqual([a.text, a.headers.get('etag')]);
    expect((await doctor.get(`List/${list.id}/_history`)).status).toBe(404);
    expect((await doctor.get(`List?patient=${rec.id}&title=a`)).body.total).toBe(0);
  });

  it('conditional create, update, delete and patch act as if it were not there', async () => {
    const body = documentBody(rec.id, { masterIdentifier: secretId });
    const made = await doctor.post('DocumentReference', body, { 'If-None-Exist': `identifier=${secretId.system}|${secretId.value}&patient=${rec.id}` });
    expect(made.status).toBe(201);
    await doctor.delete(`DocumentReference/${made.body.id}`);
    expect((await doctor.delete(`DocumentReference?patient=${rec.id}&identifier=${secretId.system}|${secretId.value}`)).status).toBe(204);
    expect((await doctor.patch(`DocumentReference?patient=${rec.id}&identifier=${secretId.system}|${secretId.value}`, [{ op: 'replace', path: '/status', value: 'superseded' }])).status).toBe(404);
    expect((await hospital.get(`DocumentReference/${hidden.id}`)).body.status).toBe('current');
  });

  it('the trail: a patient does not read events of a document invisible to them', async () => {
    const r = await openRecord(s);
    const label = [{ coding: [{ system: 'http://terminology.hl7.org/CodeSystem/v3-ActCode', code: 'NOPAT' }] }];
    const d = (await r.deposit(hospital, { securityLabel: label })).body;
    await hospital.get(`DocumentReference/${d.id}`);
    await hospital.get(`DocumentReference?patient=${r.id}`);
    expect((await r.patient.get(`DocumentReference/${d.id}`)).status).toBe(404);
    const trail = await r.patient.get(`AuditEvent?patient=${r.id}&_count=100`);
    expect(trail.status).toBe(200);
    expect(trail.text).not.toContain(d.id);
    const auditor = await s.as({ ...callers.registry, roles: ['auditor'] });
    expect((await auditor.get(`AuditEvent?patient=${r.id}&_count=100`)).text).toContain(d.id);
    expect((await auditor.get(`DocumentReference?patient=${r.id}`)).body.total).toBe(0);
    expect((await doctor.get(`AuditEvent?patient=${r.id}`)).body.total).toBe(0);
  });
});

describe('what is hidden while an answer is made', () => {
  const A07_PATIENT = [{ coding: [{ system: MASK[0].coding[0].system, code: 'INVISIBLE_PATIENT' }] }];
  /** Deposits a document hidden from the patient just before the store is asked for events. */
  async function meanwhile(rec2: Rec, method: 'search' | 'count', ask: () => Promise<Answer>): Promise<[Answer, string]> {
    const { store } = s.running.deps;
    const real = store[method];
    let id = '';
    (store as Json)[method] = async (...args: unknown[]) => {
      const type = typeof args[0] === 'string' ? args[0] : (args[0] as Json).type;
      if (type === 'AuditEvent' && !id) {
        id = 'under way';
        id = (await rec2.deposit(hospital, { securityLabel: A07_PATIENT })).body.id;
      }
      return (real as (...a: unknown[]) => Promise<unknown>)(...args);
    };
    try {
      return [await ask(), id];
    } finally {
      (store as Json)[method] = real;
    }
  }
  it('an event of it does not show, nor fail the page', async () => {
    const own = await openRecord(s);
    const [a, id] = await meanwhile(own, 'search', () => own.patient.get(`AuditEvent?patient=${own.id}`));
    expect([a.status, a.text.includes(id)]).toEqual([200, false]);
  });
  it('nor is it counted', async () => {
    const own = await openRecord(s);
    const before = (await own.patient.get(`AuditEvent?patient=${own.id}&_summary=count`)).body.total;
    const [a] = await meanwhile(own, 'count', () => own.patient.get(`AuditEvent?patient=${own.id}&_summary=count`));
    // The first count left an event of its own.
    expect([a.status, a.body.total]).toEqual([200, before + 1]);
  });
});
