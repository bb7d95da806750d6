// The matrix: every interaction × permitted, denied, unauthenticated, failed; exactly the events expected, each valid against the BALP profile it claims.
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { cda } from '../../seed/bytes.ts';
import * as callers from '../../seed/callers.ts';
import { consent } from '../../seed/consents.ts';
import type { Json } from '../../server/fhir/types.ts';
import { terminologyOf } from '../../server/terminology/terms.ts';
import { validatorOf } from '../../server/validation/validate.ts';
import { anonymous, type Answer, type Client, documentBody, openRecord, type Rec, type TestServer, testServer } from '../support/server.ts';

const BALP = '../shared/data/ihe/balp';
const MHD = '../shared/data/ihe/mhd';
const known: Json[] = [BALP, MHD].flatMap((folder) => (existsSync(folder) ? readdirSync(folder).filter((f) => /^(StructureDefinition|ValueSet|CodeSystem)/.test(f)).map((f) => JSON.parse(readFileSync(join(folder, f), 'utf8'))) : []));
if (!known.length) process.stdout.write(`skipped: BALP's profiles (${BALP} is not there); base structure only\n`);
const validate = validatorOf({ strictProfiles: false, production: false, profiles: known.filter((r) => r.resourceType === 'StructureDefinition'), terms: terminologyOf(undefined, known) });

let s: TestServer;
let rec: Rec;
let hospital: Client;
let stranger: Client;
let nobody: Client;
let auditor: Client;
beforeAll(async () => {
  s = await testServer();
  rec = await openRecord(s);
  hospital = await s.as(callers.system('chu-demo'));
  stranger = await s.as(callers.professional('dr-martin'));
  nobody = anonymous(s.base);
  auditor = await s.as({ ...callers.registry, roles: ['auditor'] });
});
afterAll(() => s.stop());

async function eventsOf(a: Answer): Promise<Json[]> {
  const found = await auditor.get(`AuditEvent?entity:identifier=${a.headers.get('x-request-id')}&_count=100`);
  return (found.body.entry ?? []).map((e: Json) => e.resource);
}
const brief = (e: Json): string => `${e.meta.profile?.[0]?.split('IHE.BasicAudit.').pop() ?? '-'} ${e.subtype[0].code} ${e.action} ${e.outcome}`;

const fresh = async (): Promise<Json> => (await rec.deposit(hospital)).body;
const path = async (): Promise<string> => `DocumentReference/${(await fresh()).id}`;
const bad = [{ op: 'replace', path: '/nothing', value: 1 }];
const superseded = [{ op: 'replace', path: '/status', value: 'superseded' }];

type Row = [interaction: string, act: (by: Client) => Promise<Answer>, permitted: string[], denied: string[], failing: (by: Client) => Promise<Answer>, failed: string[]];
const FORM = { 'Content-Type': 'application/x-www-form-urlencoded' };
const DENIED = 'AuthZconsent AuthZ-Consent E 8';
const rows: Row[] = [
  ['read', async (c) => c.get(await path()), ['PatientRead read R 0'], [DENIED, '- read R 4'], (c) => c.get('DocumentReference/none'), ['- read R 4']],
  ['vread', async (c) => c.get(`${await path()}/_history/1`), ['PatientRead vread R 0'], [DENIED, '- vread R 4'], async (c) => c.get(`${await path()}/_history/9`), ['- vread R 4']],
  ['history', async (c) => c.get(`${await path()}/_history`), ['PatientRead history-instance R 0'], [DENIED, '- history-instance R 4'], async (c) => c.get(`${await path()}/_history?_count=x`), ['- history-instance R 4']],
  ['content', async (c) => c.get((await fresh()).content[0].attachment.url), ['PatientRead read R 0'], [DENIED, '- read R 4'], (c) => c.get('Binary/none'), ['- read R 4']],
  ['search', (c) => c.get(`DocumentReference?patient=${rec.id}&_count=1`), ['PatientQuery search-type E 0'], ['PatientQuery search-type E 0'], (c) => c.get('DocumentReference?status=current'), ['- search-type E 4']],
  ['search by POST', (c) => c.send('POST', 'DocumentReference/_search', `patient=${rec.id}&_count=1`, FORM), ['PatientQuery search-type E 0'], ['PatientQuery search-type E 0'], (c) => c.send('POST', 'DocumentReference/_search', 'status=current', FORM), ['- search-type E 4']],
  ['create', (c) => rec.deposit(c), ['PatientCreate create C 0'], ['PatientCreate create C 0'], (c) => rec.deposit(c, { status: 'nonsense' }), ['- create C 4']],
  ['update', async (c) => { const d = await fresh(); return c.put(`DocumentReference/${d.id}`, { ...d, status: 'superseded' }); }, ['PatientUpdate update U 0'], [DENIED, '- update U 4'], async (c) => { const d = await fresh(); return c.put(`DocumentReference/${d.id}`, { ...d, description: 'x' }); }, ['- update U 4']],
  ['patch', async (c) => c.patch(await path(), superseded), ['PatientUpdate patch U 0'], [DENIED, '- patch U 4'], async (c) => c.patch(await path(), bad), ['- patch U 4']],
  ['delete', async (c) => c.delete(await path()), ['PatientDelete delete D 0'], [DENIED, '- delete D 4'], (c) => c.delete('DocumentReference/none'), ['- delete D 4']],
  ['transaction', async (c) => c.post('', { resourceType: 'Bundle', type: 'transaction', entry: [{ resource: documentBody(rec.id), request: { method: 'POST', url: 'DocumentReference' } }, { resource: documentBody(rec.id), request: { method: 'POST', url: 'DocumentReference' } }] }), ['PatientCreate create C 0', 'PatientCreate create C 0'], ['PatientCreate create C 0', 'PatientCreate create C 0'], (c) => c.post('', { resourceType: 'Bundle', type: 'transaction', entry: [{ request: { method: 'DELETE', url: 'DocumentReference/none' } }] }), ['- transaction E 4']],
  ['batch', async (c) => { const p = await path(); return c.post('', { resourceType: 'Bundle', type: 'batch', entry: [{ request: { method: 'GET', url: p } }, { request: { method: 'DELETE', url: 'DocumentReference/none' } }] }); }, ['PatientRead read R 0', '- delete D 4', 'Query batch E 0'], [DENIED, '- read R 4', '- delete D 4', 'Query batch E 0'], (c) => c.post('', { resourceType: 'Bundle', type: 'batch', entry: 'none' }), ['- batch E 4']],
  ['operation', (c) => c.get(`Patient/${rec.id}/$dmp-status`), ['PatientQuery operation E 0'], ['PatientQuery operation E 0'], (c) => c.get('Patient/none/$dmp-status'), ['- operation E 4']],
];

async function expectEvents(a: Answer, expected: string[]): Promise<void> {
  const events = await eventsOf(a);
  expect(events.map(brief).sort()).toEqual([...expected].sort());
  for (const e of events) {
    expect(validate(e as never).filter((i) => i.severity === 'error').map((i) => `${brief(e)} ${i.expression?.[0]}: ${i.text}`)).toEqual([]);
    expect(e.entity.some((x: Json) => [x.what?.identifier?.value, ...(x.detail ?? []).map((d: Json) => d.valueString)].includes(a.headers.get('x-request-id')))).toBe(true);
  }
}

describe.each(rows)('%s', (_name, act, permitted, denied, failing, failed) => {
  it('permitted', async () => expectEvents(await act(hospital), permitted));
  it('denied by consent', async () => expectEvents(await act(stranger), denied));
  it('unauthenticated: one refusal, of nobody', async () => {
    const before = await s.running.deps.store.count('AuditEvent', { kind: 'term', key: 'AE.type#110114' });
    const a = await act(nobody);
    expect(a.status).toBe(401);
    expect(await s.running.deps.store.count('AuditEvent', { kind: 'term', key: 'AE.type#110114' })).toBe(before + 1);
  });
  it('failed', async () => expectEvents(await failing(hospital), failed));
});

it('a Consent given, a scope missing, a long list in several events', async () => {
  const given = await rec.patient.post('Consent', consent('authorisation', rec.id, { dateTime: new Date(Date.now() - 1000).toISOString(), actors: ['Practitioner/dr-leroy'] }));
  await expectEvents(given, ['PatientCreate create C 0']);
  await expectEvents(await (await s.as({ ...callers.system('chu-demo'), scopes: ['system/Patient.r'] })).get(`DocumentReference?patient=${rec.id}`), ['- search-type E 8']);
  const many = await hospital.get(`DocumentReference?patient=${rec.id}&_count=200`);
  const shown = many.body.entry.length;
  const events = await eventsOf(many);
  const disclosed = new Set(events.flatMap((e) => e.entity).map((x: Json) => x.what?.reference).filter((r: string | undefined) => r?.startsWith('DocumentReference/')));
  expect(disclosed.size).toBe(shown);
  expect(events.length).toBe(Math.ceil(shown / 50));
  for (const e of events) expect(validate(e as never).filter((i) => i.severity === 'error')).toEqual([]);
});

describe('MHD: what is an IHE transaction says so, in the form of its audit profile', () => {
  const submissionSet = (urls: string[]): Json => ({
    resourceType: 'List', status: 'current', mode: 'working', subject: { reference: `Patient/${rec.id}` }, date: '2026-01-15T10:00:00Z',
    code: { coding: [{ system: 'https://profiles.ihe.net/ITI/MHD/CodeSystem/MHDlistTypes', code: 'submissionset' }] }, entry: urls.map((reference) => ({ item: { reference } })),
  });
  const provided = (): Promise<Answer> => {
    const document = 'urn:uuid:0b3ba1a8-6b1b-4d24-9d52-0f0dbb0b1d2a';
    return hospital.post('', { resourceType: 'Bundle', type: 'transaction', entry: [{ fullUrl: document, resource: documentBody(rec.id), request: { method: 'POST', url: 'DocumentReference' } }, { resource: submissionSet([document]), request: { method: 'POST', url: 'List' } }] });
  };
  it.each<[string, string, () => Promise<Answer>]>([
    ['ITI-65', 'ProvideBundle.Audit.Recipient', provided],
    ['ITI-66', 'FindDocumentLists.Audit.Responder', () => hospital.get(`List?patient=${rec.id}`)],
    ['ITI-67', 'FindDocumentReferences.Audit.Responder', () => hospital.get(`DocumentReference?patient=${rec.id}&_count=1`)],
    ['ITI-68', 'RetrieveDocument.Audit.Responder', async () => hospital.get((await fresh()).content[0].attachment.url)],
    ['ITI-106', 'GenerateMetadata.Audit.Recipient', async () => {
      const document = cda({ id: '1.2.3.106', code: '60591-5', display: 'Synthèse médicale', time: '2026-03-01T10:00:00Z', ins: '279035121518989', family: 'Essai', given: 'Camille', text: 'x' });
      await openRecord(s, { patient: { identifier: [{ system: 'urn:oid:1.2.250.1.213.1.4.10', value: '279035121518989' }] } });
      return hospital.post('DocumentReference/$generate-metadata', { resourceType: 'Binary', contentType: 'text/xml', data: document.toString('base64') });
    }],
    ['ITI-105', 'SimplifiedPublish.Audit.Recipient', () => rec.deposit(hospital)],
  ])('%s', async (code, profile, act) => {
    const a = await act();
    expect(a.status).toBeLessThan(300);
    const ihe = (await eventsOf(a)).filter((e) => e.subtype.some((c: Json) => c.system === 'urn:ihe:event-type-code'));
    expect(ihe.map((e) => [e.subtype.at(-1).code, e.meta.profile.at(-1)])).toEqual([[code, `https://profiles.ihe.net/ITI/MHD/StructureDefinition/IHE.MHD.${profile}`]]);
    expect(validate(ihe[0] as never).filter((i) => i.severity === 'error').map((i) => `${i.expression?.[0]}: ${i.text}`)).toEqual([]);
  });
  it('a set of hidden documents does not show in the trail', async () => {
    const hidden = await openRecord(s);
    const document = 'urn:uuid:0b3ba1a8-6b1b-4d24-9d52-0f0dbb0b1d2b';
    const secret = { securityLabel: [{ coding: [{ system: 'https://mos.esante.gouv.fr/NOS/TRE_A07-StatutVisibiliteDocument/FHIR/TRE-A07-StatutVisibiliteDocument', code: 'INVISIBLE_PATIENT' }] }] };
    const a = await hospital.post('', { resourceType: 'Bundle', type: 'transaction', entry: [{ fullUrl: document, resource: documentBody(hidden.id, secret), request: { method: 'POST', url: 'DocumentReference' } }, { resource: { ...submissionSet([document]), subject: { reference: `Patient/${hidden.id}` } }, request: { method: 'POST', url: 'List' } }] });
    expect(a.status).toBe(200);
    const seen = await hidden.patient.get(`AuditEvent?patient=${hidden.id}&_count=200`);
    expect(seen.text).not.toContain('ITI-65');
    expect((await auditor.get(`AuditEvent?patient=${hidden.id}&subtype=ITI-65`)).body.total).toBe(1);
  });
});
