// The work that people do with the record, each with the documents of their trade: laboratory, hospital, practice, patient, insurance.
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { cda, jpeg, pdf } from '../../seed/bytes.ts';
import * as callers from '../../seed/callers.ts';
import type { Json } from '../../server/fhir/types.ts';
import { type Answer, type Client, idsOf, openRecord, reasons, type Rec, type TestServer, testServer } from '../support/server.ts';

const LOINC = 'http://loinc.org';
const A05 = 'https://mos.esante.gouv.fr/NOS/TRE_A05-TypeDocComplementaire/FHIR/TRE-A05-TypeDocComplementaire';
const A07 = 'https://mos.esante.gouv.fr/NOS/TRE_A07-StatutVisibiliteDocument/FHIR/TRE-A07-StatutVisibiliteDocument';
const RECIPIENT = 'https://profiles.ihe.net/ITI/MHD/StructureDefinition/ihe-intendedRecipient';
const urn = (n: number): string => `urn:uuid:7c1f8a52-3f0e-4b52-9b6e-${String(n).padStart(12, '0')}`;

let s: TestServer;
let rec: Rec;
let hospital: Client;
let laboratory: Client;
let doctor: Client;
beforeAll(async () => {
  s = await testServer();
  rec = await openRecord(s, { patient: { identifier: [{ system: 'urn:oid:1.2.250.1.213.1.4.10', value: '279035121518989' }], generalPractitioner: [{ reference: 'Practitioner/dr-martin' }], contact: [{ relationship: [{ text: 'Personne de confiance' }], name: { family: 'Proche' } }] } });
  [hospital, laboratory, doctor] = await Promise.all([callers.system('chu-demo'), callers.system('labo-demo'), callers.professional('dr-martin')].map((c) => s.as(c)));
});
afterAll(() => s.stop());

type Bytes = { contentType: string; bytes: Buffer };
const asPdf = (...lines: string[]): Bytes => ({ contentType: 'application/pdf', bytes: pdf(lines) });
const asText = (text: string): Bytes => ({ contentType: 'text/plain', bytes: Buffer.from(text) });
const asCda = (code: string, display: string, text: string): Bytes => ({ contentType: 'text/xml', bytes: cda({ id: '1.2.250.9', code, display, time: '2026-03-01T10:00:00Z', ins: '279035121518989', family: 'Essai', given: 'Camille', text }) });
const document = (type: [string, string], content: Bytes, over: Json = {}): Json => ({
  resourceType: 'DocumentReference', status: 'current', type: { coding: [{ system: type[0], code: type[1] }] }, subject: { reference: `Patient/${rec.id}` }, date: '2026-03-01T10:00:00Z',
  content: [{ attachment: { contentType: content.contentType, data: content.bytes.toString('base64') } }], ...over,
});
const set = (entries: number[], over: Json = {}): Json => ({
  resourceType: 'List', status: 'current', mode: 'working', subject: { reference: `Patient/${rec.id}` }, date: '2026-03-01T10:00:00Z',
  code: { coding: [{ system: 'https://profiles.ihe.net/ITI/MHD/CodeSystem/MHDlistTypes', code: 'submissionset' }] }, entry: entries.map((n) => ({ item: { reference: urn(n) } })), ...over,
});
const lot = (...resources: [Json, number?][]): Json => ({ resourceType: 'Bundle', type: 'transaction', entry: resources.map(([resource, n]) => ({ ...(n ? { fullUrl: urn(n) } : {}), resource, request: { method: 'POST', url: resource.resourceType } })) });
const made = (a: Answer): Json => {
  expect([a.status, a.status === 201 ? '' : a.text]).toEqual([201, '']);
  return a.body;
};
const ids = (a: Answer): string[] => {
  expect([a.status, a.status === 200 ? '' : a.text]).toEqual([200, '']);
  return a.body.entry.map((e: Json) => /\/([^/]+\/[^/]+)\/_history|\/([^/]+\/[^/]+)$/.exec(e.response.location)?.slice(1).find(Boolean));
};
const bytesOf = async (by: Client, d: Json): Promise<string> => (await by.get(d.content[0].attachment.url, { Accept: d.content[0].attachment.contentType })).text;

describe('a laboratory', () => {
  it.each([['CDA R2', asCda('11502-2', "CR d'examens biologiques", 'Glycémie 5,2 mmol/L')], ['PDF', asPdf('Glycémie 5,2 mmol/L')], ['plain text', asText('Glycémie 5,2 mmol/L')]])('pushes a result as %s; the ordering doctor reads it byte for byte', async (_form, content) => {
    const d = made(await laboratory.post('DocumentReference', document([LOINC, '11502-2'], content)));
    expect(await bytesOf(doctor, (await doctor.get(`DocumentReference/${d.id}`)).body)).toBe(content.bytes.toString('utf8'));
  });
  it('addresses it to who ordered it', async () => {
    const [, list] = ids(await laboratory.post('', lot([document([LOINC, '11502-2'], asText('K 4,1')), 1], [set([1], { extension: [{ url: RECIPIENT, valueReference: { reference: 'Practitioner/dr-martin' } }] })])));
    expect((await doctor.get(list)).body.extension).toEqual([{ url: RECIPIENT, valueReference: { reference: 'Practitioner/dr-martin' } }]);
  });
  it('corrects it by a replacement: the old one stays, superseded', async () => {
    const old = made(await laboratory.post('DocumentReference', document([LOINC, '11502-2'], asText('K 9,9'))));
    const next = made(await laboratory.post('DocumentReference', document([LOINC, '11502-2'], asText('K 4,1'), { relatesTo: [{ code: 'replaces', target: { reference: `DocumentReference/${old.id}` } }] })));
    expect((await doctor.get(`DocumentReference/${old.id}`)).body.status).toBe('superseded');
    const current = idsOf(await doctor.get(`DocumentReference?patient=${rec.id}&type=11502-2&status=current&_count=100`));
    expect([current.includes(next.id), current.includes(old.id)]).toEqual([true, false]);
    expect(idsOf(await doctor.get(`DocumentReference?patient=${rec.id}&relatesto=DocumentReference/${old.id}`))).toEqual([next.id]);
  });
});

describe('a hospital', () => {
  it('files a stay in one lot: report, discharge letter, a folder of both', async () => {
    const folder = { ...set([1, 2]), code: { coding: [{ system: 'https://profiles.ihe.net/ITI/MHD/CodeSystem/MHDlistTypes', code: 'folder' }] }, title: 'Séjour' };
    const [report, letter, , folderId] = ids(await hospital.post('', lot([document([LOINC, '34112-3'], asPdf('Compte rendu')), 1], [document([LOINC, '11490-0'], asPdf('Lettre de liaison')), 2], [set([1, 2])], [folder])));
    expect((await doctor.get(folderId)).body.entry.map((e: Json) => e.item.reference)).toEqual([report, letter]);
  });
  it('files imaging with the reference of its objects (KOS)', async () => {
    const kos = Buffer.concat([Buffer.alloc(128), Buffer.from('DICM'), Buffer.alloc(64)]);
    const [objects, report] = ids(await hospital.post('', lot([document([A05, 'IMG-KOS'], { contentType: 'application/dicom', bytes: kos }), 1], [document([LOINC, '18748-4'], asPdf('Scanner'), { context: { related: [{ reference: urn(1) }] } }), 2])));
    const read = (await doctor.get(report)).body;
    expect(read.context.related).toEqual([{ reference: objects }]);
    expect(idsOf(await doctor.get(`DocumentReference?patient=${rec.id}&related=${objects}`))).toEqual([report.split('/')[1]]);
    expect(reasons(await hospital.post('DocumentReference', document([A05, 'IMG-KOS'], { contentType: 'application/dicom', bytes: Buffer.from('not DICOM') })))).toEqual(['content-type-mismatch']);
  });
  it("keeps a minor's secret from the parents, in one lot with what they may see", async () => {
    const minor = await openRecord(s, { open: false, patient: { birthDate: '2012-02-02' } });
    await minor.registry.put(`RelatedPerson/p-${minor.id}`, { resourceType: 'RelatedPerson', id: `p-${minor.id}`, active: true, patient: { reference: `Patient/${minor.id}` }, relationship: [{ coding: [{ system: 'http://terminology.hl7.org/CodeSystem/v3-RoleCode', code: 'FTH' }] }] });
    const parent = await s.as(callers.representative(`p-${minor.id}`));
    const { consent } = await import('../../seed/consents.ts');
    made(await parent.post('Consent', consent('opening', minor.id, { dateTime: new Date(Date.now() - 1000).toISOString() })));
    const of = (over: Json): Json => ({ ...document([LOINC, '11488-4'], asText('Consultation'), over), subject: { reference: `Patient/${minor.id}` } });
    const [secret, open] = ids(await hospital.post('', lot([of({ securityLabel: [{ coding: [{ system: A07, code: 'INVISIBLE_REPRESENTANTS_LEGAUX' }] }] }), 1], [of({}), 2])));
    expect(idsOf(await parent.get(`DocumentReference?patient=${minor.id}`))).toEqual([open.split('/')[1]]);
    expect(idsOf(await minor.patient.get(`DocumentReference?patient=${minor.id}`)).sort()).toEqual([secret.split('/')[1], open.split('/')[1]].sort());
  });
});

describe('a practice', () => {
  it.each<[string, [string, string], Bytes]>([
    ['the medical synthesis', [LOINC, '60591-5'], asCda('60591-5', 'Synthèse médicale', 'Antécédents')],
    ['an ALD protocol', [A05, 'PROT_ALD'], asPdf('Protocole de soins')],
    ['a vaccination note', [LOINC, '87273-9'], asCda('87273-9', 'Note de vaccination', 'DTP')],
  ])('the médecin traitant files %s', async (_what, type, content) => {
    const d = made(await doctor.post('DocumentReference', document(type, content, { author: [{ reference: 'Practitioner/dr-martin' }] })));
    expect(idsOf(await rec.patient.get(`DocumentReference?patient=${rec.id}&type=${type[1]}`))).toContain(d.id);
  });
  it('a biology report is not for it to write', async () => {
    expect(reasons(await doctor.post('DocumentReference', document([LOINC, '11502-2'], asText('x'))))).toEqual(['write-table']);
  });
});

describe('a patient', () => {
  it('files documents of their own, and advance directives', async () => {
    made(await rec.patient.post('DocumentReference', document([A05, 'DOCPAT04'], { contentType: 'image/jpeg', bytes: jpeg() })));
    const directives = made(await rec.patient.post('DocumentReference', document([A05, 'EXPPAT_3'], asPdf('Je refuse'))));
    expect((await doctor.get(`DocumentReference/${directives.id}`)).status).toBe(200);
    expect(reasons(await rec.patient.post('DocumentReference', document([LOINC, '34112-3'], asText('x'))))).toEqual(['write-table']);
  });
  it('finds the trusted person, the directives, the synthesis and the vaccinations on one sheet', async () => {
    const sheet = (await rec.patient.get(`Patient/${rec.id}/$summary-sheet`)).body;
    const names = sheet.parameter.map((p: Json) => p.name);
    for (const n of ['synthesis', 'directives', 'vaccinations', 'trustedPerson']) expect(names).toContain(n);
    expect(JSON.stringify(sheet)).toContain('Proche');
  });
});

it('the insurance feeds what it reimbursed, and reads nothing', async () => {
  const insurer = await s.as(callers.system('cnam-demo'));
  const d = made(await insurer.post('DocumentReference', document([A05, 'REMB'], asText('2026-02: 25,00 €'))));
  expect(idsOf(await rec.patient.get(`DocumentReference?patient=${rec.id}&type=REMB`))).toEqual([d.id]);
  expect(idsOf(await insurer.get(`DocumentReference?patient=${rec.id}`))).toEqual([]);
  expect(reasons(await insurer.post('DocumentReference', document([LOINC, '34112-3'], asText('x'))))).not.toEqual([]);
});
