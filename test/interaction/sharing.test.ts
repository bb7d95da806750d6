// Sharing documents: IHE's bundles, ITI-66 to 68, 105, 106, $docref, the summary sheet, the export, the registry's corrections, the nine rubrics.
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { existsSync, readFileSync } from 'node:fs';
import { unzipSync } from 'fflate';
import * as callers from '../../seed/callers.ts';
import { cda } from '../../seed/bytes.ts';
import type { Json } from '../../server/fhir/types.ts';
import { type Answer, type Client, documentBody, idsOf, openRecord, reasons, type Rec, type TestServer, testServer } from '../support/server.ts';

const MHD = '../shared/data/ihe/mhd';
const here = existsSync(`${MHD}/Bundle-ex-comprehensiveProvideDocumentBundleSimple.json`);
if (!here) process.stdout.write(`skipped: ${MHD} is not there\n`);
const A05 = 'https://mos.esante.gouv.fr/NOS/TRE_A05-TypeDocComplementaire/FHIR/TRE-A05-TypeDocComplementaire';
const OWN = 'https://fhir.dmp.example';

let s: TestServer;
let hospital: Client;
let registry: Client;
beforeAll(async () => {
  s = await testServer();
  hospital = await s.as(callers.system('chu-demo'));
  registry = await s.as(callers.registry);
});
afterAll(() => s.stop());
const part = (a: Answer, name: string): Json | undefined => a.body.parameter?.find((p: Json) => p.name === name);

(here ? describe : describe.skip)('IHE\'s ITI-65 bundles', () => {
  let rec: Rec;
  let n = 0;
  beforeAll(async () => {
    rec = await openRecord(s, { id: 'ex-patient' });
    await registry.put('Practitioner/ex-practitioner', { resourceType: 'Practitioner', id: 'ex-practitioner', name: [{ family: 'Exemple' }] });
    await registry.put('PractitionerRole/ex-role', { resourceType: 'PractitionerRole', id: 'ex-role', practitioner: { reference: 'Practitioner/ex-practitioner' }, organization: { reference: 'Organization/chu-demo' } });
  });
  const bundleOf = (name: string): Json => {
    const text = readFileSync(`${MHD}/Bundle-ex-${name}.json`, 'utf8').replace(/"urn:oid:1\.2\.840\.113556\.1\.8000\.2554\.53432\.348\.12973\.17740\.34205\.4355\.50220\.62012"/g, () => `"urn:oid:1.2.999.${++n}"`);
    return JSON.parse(text);
  };
  it.each(['comprehensiveProvideDocumentBundleSimple', 'comprehensiveProvideDocumentBundleMultiple'])('%s goes in, and its bytes come back', async (name) => {
    const bundle = bundleOf(name);
    const a = await hospital.post('', bundle);
    expect([name, a.body.entry?.map((e: Json) => e.response.status) ?? a.text]).toEqual([name, bundle.entry.map(() => '201')]);
    const again = await hospital.post('', bundle);
    expect(again.status).toBe(200);
  });
  it('unContained: refused while it claims another organisation as its author (W1), taken as its own', async () => {
    const bundle = bundleOf('unContainedComprehensiveProvideDocumentBundleComplete');
    await registry.put('Organization/ex-organization', { resourceType: 'Organization', id: 'ex-organization', name: 'Autre' });
    expect(reasons(await hospital.post('', bundle))[0]).toBe('author-misfit');
    const { type } = bundle.entry.find((e: Json) => e.resource.resourceType === 'DocumentReference').resource;
    const former = (await rec.deposit(hospital, { type })).body;
    const own = JSON.parse(JSON.stringify(bundle).replaceAll('Organization/ex-organization', 'Organization/chu-demo').replaceAll('DocumentReference/ex-DocumentReferenceComprehensive', `DocumentReference/${former.id}`));
    const a = await hospital.post('', own);
    expect(a.body.entry?.map((e: Json) => e.response.status) ?? a.text).toEqual(['201', '201', '201']);
  });
  it('minimal: refused while it brings its Patient along (T4, W7) or says no type (DMP profile); the rest goes in', async () => {
    const bundle = bundleOf('minimalProvideDocumentBundleSimple');
    expect((await hospital.post('', bundle)).status).toBe(422);
    const held = JSON.parse(JSON.stringify(bundle).replaceAll('urn:uuid:aaaaaaaa-bbbb-cccc-dddd-e00111100004', 'Patient/ex-patient'));
    held.entry = held.entry.filter((e: Json) => e.resource.resourceType !== 'Patient');
    for (const e of held.entry) if (e.resource.resourceType === 'DocumentReference') e.resource.type ??= { coding: [{ system: 'http://loinc.org', code: '34112-3' }] };
    const a = await hospital.post('', held);
    expect(a.body.entry?.map((e: Json) => e.response.status) ?? a.text).toEqual(['201', '201', '201']);
  });
  it('ITI-66 and ITI-67, by GET and POST, with every parameter listed', async () => {
    const find = async (type: string, query: string): Promise<number> => {
      const get = await hospital.get(`${type}?${query}`, { Prefer: 'handling=strict' });
      const post = await hospital.send('POST', `${type}/_search`, query, { 'Content-Type': 'application/x-www-form-urlencoded', Prefer: 'handling=strict' });
      expect([query, get.status, post.status, post.body.total]).toEqual([query, 200, 200, get.body.total]);
      return get.body.total;
    };
    expect(await find('DocumentReference', 'patient=ex-patient&status=current')).toBeGreaterThanOrEqual(5);
    for (const more of ['identifier=urn:ietf:rfc:3986|urn:oid:1.2.999.1', 'date=ge2000', 'author.given=x', 'author.family=x', 'category=x', 'type=x', 'setting=x', 'period=ge2000', 'facility=x', 'event=x', 'security-label=x', 'format=x', 'related=DocumentReference/x', 'creation=ge2000', 'period-start=ge2000', 'period-end=ge2000', 'isArchived=true']) await find('DocumentReference', `patient=ex-patient&status=current&${more}`);
    for (const more of ['code=submissionset', 'date=ge2000', 'designationType=x', 'identifier=x', 'source.given=x', 'source.family=x', 'sourceId=x', 'authorOrg=x', 'isArchived=false']) await find('List', `patient=ex-patient&status=current&${more}`);
    expect(await find('List', 'patient=ex-patient&status=current&code=submissionset')).toBeGreaterThanOrEqual(4);
  });
  it('a document added to a folder, the old one replaced and patched, in one lot', async () => {
    const old = (await rec.deposit(hospital)).body;
    const folder = (await hospital.post('List', { resourceType: 'List', meta: { profile: [`${OWN}/StructureDefinition/dmp-folder`] }, status: 'current', mode: 'working', title: 'Suivi', code: { coding: [{ system: 'https://profiles.ihe.net/ITI/MHD/CodeSystem/MHDlistTypes', code: 'folder' }] }, subject: { reference: 'Patient/ex-patient' }, date: '2026-01-01T00:00:00Z', entry: [{ item: { reference: `DocumentReference/${old.id}` } }] })).body;
    const lot = await hospital.post('', { resourceType: 'Bundle', type: 'transaction', entry: [
      { fullUrl: 'urn:uuid:0c3201bd-1cbf-4d64-b04d-cd9187a4c0aa', resource: documentBody('ex-patient', { relatesTo: [{ code: 'replaces', target: { reference: `DocumentReference/${old.id}` } }] }), request: { method: 'POST', url: 'DocumentReference' } },
      { resource: { resourceType: 'Parameters', parameter: [{ name: 'operation', part: [{ name: 'type', valueCode: 'replace' }, { name: 'path', valueString: 'DocumentReference.status' }, { name: 'value', valueCode: 'superseded' }] }] }, request: { method: 'PATCH', url: `DocumentReference/${old.id}` } },
      { resource: { ...folder, entry: [...folder.entry, { item: { reference: 'urn:uuid:0c3201bd-1cbf-4d64-b04d-cd9187a4c0aa' } }] }, request: { method: 'PUT', url: `List/${folder.id}` } },
    ] });
    expect(lot.body.entry?.map((e: Json) => e.response.status) ?? lot.text).toEqual(['201', '200', '200']);
    expect((await hospital.get(`DocumentReference/${old.id}`)).body.status).toBe('superseded');
    expect((await hospital.get(`List/${folder.id}`)).body.entry.length).toBe(2);
  });
});

describe('ITI-106 $generate-metadata: a document that describes itself is deposited', () => {
  const generate = async (document: Json) => hospital.post('DocumentReference/$generate-metadata', { resourceType: 'Parameters', parameter: [{ name: 'document', resource: document }] });
  const deposited = async (a: Answer): Promise<Json> => {
    expect([a.status, a.body.resourceType === 'Parameters' ? '' : a.text]).toEqual([201, '']);
    return (await hospital.get(a.body.parameter.find((p: Json) => p.name === 'DocumentReference').valueReference.reference)).body;
  };
  it('CDA R2: its patient by INS alone, its bytes as they came', async () => {
    const ins = '279035121518989';
    const data = cda({ id: '1.2.3.4', code: '60591-5', display: 'Synthèse médicale', time: '2026-03-01T10:00:00Z', ins, family: 'Essai', given: 'Camille', text: 'x' });
    const binary = { resourceType: 'Binary', contentType: 'text/xml', data: data.toString('base64') };
    expect([(await generate(binary)).status, reasons(await generate(binary))]).toEqual([422, ['no-patient']]);
    const rec = await openRecord(s, { patient: { identifier: [{ system: 'urn:oid:1.2.250.1.213.1.4.10', value: ins }] } });
    const d = await deposited(await generate(binary));
    expect(d).toMatchObject({ resourceType: 'DocumentReference', masterIdentifier: { value: 'urn:oid:1.2.3.4' }, type: { coding: [{ system: 'http://loinc.org', code: '60591-5' }] }, date: '2026-03-01T10:00:00+00:00', subject: { reference: `Patient/${rec.id}` }, content: [{ attachment: { contentType: 'text/xml', size: data.length } }] });
    expect((await hospital.get(d.content[0].attachment.url, { Accept: 'text/xml' })).text).toBe(data.toString('utf8'));
    // The same document again is the same deposit (W8).
    expect((await deposited(await generate(binary))).id).toBe(d.id);
  });
  it('a FHIR document: whom it names inside is named by identifier', async () => {
    const ins = { system: 'urn:oid:1.2.250.1.213.1.4.10', value: '187126322611191' };
    const rec = await openRecord(s, { patient: { identifier: [ins] } });
    const [composition, patient, author] = ['urn:uuid:0c0a2f2e-58a9-4b0e-8d0e-7d0a4a5c1b01', 'urn:uuid:0c0a2f2e-58a9-4b0e-8d0e-7d0a4a5c1b02', 'urn:uuid:0c0a2f2e-58a9-4b0e-8d0e-7d0a4a5c1b03'];
    const document = {
      resourceType: 'Bundle', type: 'document', identifier: { system: 'urn:ietf:rfc:3986', value: 'urn:uuid:0c0a2f2e-58a9-4b0e-8d0e-7d0a4a5c1b00' }, timestamp: '2026-01-01T00:00:00Z',
      entry: [
        { fullUrl: composition, resource: { resourceType: 'Composition', status: 'final', type: { coding: [{ system: 'http://loinc.org', code: '11490-0' }] }, subject: { reference: patient }, date: '2026-01-01T00:00:00Z', author: [{ reference: author }], title: 'Lettre', confidentiality: 'R' } },
        { fullUrl: patient, resource: { resourceType: 'Patient', identifier: [ins], name: [{ family: 'Essai' }] } }, { fullUrl: author, resource: { resourceType: 'Practitioner', name: [{ family: 'Autrice' }] } },
      ],
    };
    expect(await deposited(await generate(document))).toMatchObject({ type: { coding: [{ code: '11490-0' }] }, description: 'Lettre', securityLabel: [{ coding: [{ code: 'R' }] }], subject: { reference: `Patient/${rec.id}` }, author: [{ reference: '#author1' }], contained: [{ name: [{ family: 'Autrice' }] }] });
  });
  it('nothing else; entities of XML are not expanded', async () => {
    expect((await generate({ resourceType: 'Binary', contentType: 'text/xml', data: Buffer.from('<!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>').toString('base64') })).status).toBe(422);
    expect((await generate({ resourceType: 'Patient' })).status).toBe(400);
  });
});

describe('a record, as it is read', () => {
  let rec: Rec;
  let doctor: Client;
  beforeAll(async () => {
    rec = await openRecord(s, { patient: { generalPractitioner: [{ reference: 'Practitioner/dr-martin' }], contact: [{ relationship: [{ text: 'Personne de confiance' }], name: { family: 'Confiance' } }] } });
    doctor = await s.as(callers.professional('dr-martin'));
    const type = (system: string, code: string) => ({ type: { coding: [{ system, code }] } });
    for (const [i, t] of [type('http://loinc.org', '60591-5'), type('http://loinc.org', '60591-5'), type('http://loinc.org', '11369-6'), type('http://loinc.org', '34112-3')].entries()) expect((await rec.deposit(doctor, { ...t, date: `2026-01-0${i + 1}T00:00:00Z` })).status).toBe(201);
    expect((await rec.patient.post('DocumentReference', documentBody(rec.id, { ...type(A05, 'EXPPAT_3'), date: '2026-02-01T00:00:00Z' }))).status).toBe(201);
  });
  it('the nine rubrics are value sets that a search asks', async () => {
    const rubric = async (name: string) => (await doctor.get(`DocumentReference?patient=${rec.id}&type:in=${OWN}/ValueSet/dmp-rubric-${name}`)).body.total;
    expect(await Promise.all(['synthese', 'traitements', 'comptes-rendus', 'imagerie', 'biologie', 'prevention', 'certificats', 'personnel', 'remboursement'].map(rubric))).toEqual([2, 0, 1, 0, 0, 1, 0, 1, 0]);
  });
  it('$summary-sheet in one call, gated like all else', async () => {
    const a = await doctor.get(`Patient/${rec.id}/$summary-sheet`);
    expect(part(a, 'synthesis')?.part.map((p: Json) => p.resource.date)).toEqual(['2026-01-02T00:00:00Z']);
    expect([part(a, 'vaccinations')?.part.length, part(a, 'directives')?.part.length]).toEqual([1, 1]);
    expect(part(a, 'trustedPerson')?.part[0].resource.contact[0].name.family).toBe('Confiance');
    const stranger = await (await s.as(callers.professional('dr-leroy'))).get(`Patient/${rec.id}/$summary-sheet`);
    expect([part(stranger, 'synthesis'), part(stranger, 'directives')]).toEqual([undefined, undefined]);
  });
  it('$docref by dates and type; on-demand refused', async () => {
    const ask = (more: string) => doctor.get(`DocumentReference/$docref?patient=${rec.id}${more}`);
    expect((await ask('')).body.total).toBe(5);
    expect((await ask('&start=2026-01-02&end=2026-01-03')).body.total).toBe(2);
    expect((await ask('&type=http://loinc.org|11369-6')).body.total).toBe(1);
    expect([(await ask('&on-demand=true')).status, (await ask('&on-demand=false')).status, (await doctor.get('DocumentReference/$docref')).status]).toEqual([400, 200, 400]);
  });
  it('$export-record for its patient: NDJSON, or a zip with the original files and an index page', async () => {
    const hidden = (await rec.deposit(hospital, { securityLabel: [{ coding: [{ system: 'http://terminology.hl7.org/CodeSystem/v3-ActCode', code: 'NOPAT' }] }] })).body;
    const ndjson = await rec.patient.get(`Patient/${rec.id}/$export-record`);
    const lines = ndjson.text.trim().split('\n').map((l) => JSON.parse(l));
    expect(lines.filter((l) => l.resourceType === 'DocumentReference').length).toBe(5);
    expect(ndjson.text).not.toContain(hidden.id);
    const res = await fetch(`${s.base}/Patient/${rec.id}/$export-record`, { headers: { Authorization: `Bearer ${rec.patient.token}`, Accept: 'application/zip' } });
    const files = unzipSync(new Uint8Array(await res.arrayBuffer()));
    expect(Object.keys(files).filter((f) => f.startsWith('files/')).length).toBe(5);
    expect(new TextDecoder().decode(files['index.html'])).toContain('record.ndjson');
    expect(new TextDecoder().decode(files[Object.keys(files).find((f) => f.startsWith('files/')) as string])).toMatch(/^document \d+$/);
    expect((await doctor.get(`Patient/${rec.id}/$export-record`)).status).toBe(403);
  });
});

describe('the registry corrects', () => {
  it('a misfiled document: moved under another id, nothing of it left behind, traced in both records', async () => {
    const [wrong, right] = [await openRecord(s), await openRecord(s)];
    const d = (await rec0(wrong)).body;
    const moved = await registry.post(`DocumentReference/${d.id}/$move?patient=Patient/${right.id}`, undefined);
    expect([moved.status, part(moved, 'moved')?.valueInteger]).toEqual([200, 1]);
    expect((await hospital.get(`DocumentReference/${d.id}`)).status).toBe(404);
    expect((await hospital.get(`DocumentReference/${d.id}/_history/1`)).status).toBe(404);
    expect((await hospital.get(d.content[0].attachment.url)).status).toBe(404);
    const there = (await right.patient.get(`DocumentReference?patient=${right.id}`)).body.entry[0].resource;
    expect([there.id === d.id, there.subject.reference]).toEqual([false, `Patient/${right.id}`]);
    expect(JSON.stringify(there)).not.toContain(wrong.id);
    expect((await right.patient.get(there.content[0].attachment.url)).text).toMatch(/^document/);
    expect((await wrong.patient.get(`AuditEvent?patient=${wrong.id}&action=D`)).body.total).toBe(1);
    expect((await right.patient.get(`AuditEvent?patient=${right.id}&action=C&_count=50`)).text).toContain(there.id);
    expect((await hospital.post(`DocumentReference/${there.id}/$move?patient=Patient/${wrong.id}`, undefined)).status).toBe(403);
  });
  it('a duplicate: merged, its identifiers old, its documents, Lists and Consents where the patient is', async () => {
    const [twin, stays] = [await openRecord(s, { patient: { identifier: [{ system: 'urn:oid:1.2.250.1.213.1.4.11', value: '255069999999934' }] } }), await openRecord(s)];
    const d = (await rec0(twin)).body;
    await hospital.post('List', { resourceType: 'List', status: 'current', mode: 'working', subject: { reference: `Patient/${twin.id}` }, entry: [{ item: { reference: `DocumentReference/${d.id}` } }] });
    await twin.consent('authorisation', { actors: ['Practitioner/dr-martin'] });
    const a = await registry.post(`Patient/${twin.id}/$merge`, { resourceType: 'Parameters', parameter: [{ name: 'target', valueReference: { reference: `Patient/${stays.id}` } }] });
    expect([a.status, part(a, 'moved')?.valueInteger]).toEqual([200, 4]);
    const source = (await registry.get(`Patient/${twin.id}`)).body;
    expect([source.active, source.link[0].type, source.identifier[0].use]).toEqual([false, 'replaced-by', 'old']);
    const doctor = await s.as(callers.professional('dr-martin'));
    expect(idsOf(await doctor.get(`DocumentReference?patient=${stays.id}`)).length).toBe(1);
    const lists = await doctor.get(`List?patient=${stays.id}`);
    expect(lists.body.total).toBe(1);
    expect((await stays.patient.get(`Consent?patient=${stays.id}`)).body.total).toBe(3);
    expect((await twin.patient.get(`DocumentReference?patient=${twin.id}`)).body.total).toBe(0);
  });
  const rec0 = (r: Rec): Promise<Answer> => r.deposit(hospital);
});
