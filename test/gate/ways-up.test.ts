// The ways up: no write gains its author access. And the record's life, authorisations, emergency.
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import * as callers from '../../seed/callers.ts';
import { consent } from '../../seed/consents.ts';
import { type Client, documentBody, idsOf, openRecord, reasons, type TestServer, testServer } from '../support/server.ts';

let s: TestServer;
let doctor: Client;
let hospital: Client;
let cardiologist: Client;
beforeAll(async () => {
  s = await testServer();
  doctor = await s.as(callers.professional('dr-martin'));
  cardiologist = await s.as(callers.professional('dr-leroy'));
  hospital = await s.as(callers.system('chu-demo'));
});
afterAll(() => s.stop());

const now = (ms = -1000): string => new Date(Date.now() + ms).toISOString();

describe('no write gains access', () => {
  it('the directory is the registry\'s', async () => {
    const rec = await openRecord(s);
    const patient = (await rec.registry.get(`Patient/${rec.id}`)).body;
    expect((await doctor.put(`Patient/${rec.id}`, { ...patient, generalPractitioner: [{ reference: 'Practitioner/dr-martin' }] })).status).toBe(403);
    for (const body of [{ resourceType: 'RelatedPerson', patient: { reference: `Patient/${rec.id}` } }, { resourceType: 'PractitionerRole', practitioner: { reference: 'Practitioner/dr-martin' } }, { resourceType: 'Organization', name: 'x' }, { resourceType: 'Practitioner' }]) expect((await doctor.post(body.resourceType, body)).status).toBe(403);
    expect((await doctor.post('Patient', { resourceType: 'Patient', generalPractitioner: [{ reference: 'Practitioner/dr-martin' }] })).status).toBe(422);
    expect((await rec.patient.put(`Patient/${rec.id}`, { ...patient, birthDate: '2000-01-01' })).status).toBe(422);
    expect((await rec.patient.put(`Patient/${rec.id}`, { ...patient, generalPractitioner: [{ reference: 'Practitioner/dr-martin' }] })).status).toBe(200);
    expect((await doctor.get(`Consent?patient=${rec.id}`)).body.total).toBe(1);
  });

  it('a self-recorded Consent says whose word it is, authorises oneself only, and never widens', async () => {
    const rec = await openRecord(s);
    const record = (by: Client, over = {}, actors = ['Practitioner/dr-martin'], recordedBy: string | undefined = 'Organization/cabinet-demo') => by.post('Consent', { ...consent('authorisation', rec.id, { dateTime: now(), actors, recordedBy }), ...over });
    expect(reasons(await record(doctor, {}, undefined, ''))[0]).toBe('consent-verification');
    expect(reasons(await record(doctor, {}, ['Practitioner/dr-leroy']))[0]).toBe('self-recorded');
    expect(reasons(await record(doctor, {}, ['Practitioner/dr-martin', 'Organization/chu-demo']))[0]).toBe('self-recorded');
    expect(reasons(await record(doctor, { provision: { type: 'permit' } }))[0]).toBe('self-recorded');
    expect((await doctor.post('Consent', consent('authorisation', rec.id, { dateTime: new Date(Date.now() + 86_400_000).toISOString(), actors: ['Practitioner/dr-martin'], recordedBy: 'Organization/cabinet-demo' }))).status).toBe(422);
    await rec.deposit(hospital);
    expect((await doctor.get(`DocumentReference?patient=${rec.id}`)).body.total).toBe(0);
    const made = await record(doctor);
    expect(made.status).toBe(201);
    expect((await doctor.get(`DocumentReference?patient=${rec.id}`)).body.total).toBe(1);
    expect((await doctor.put(`Consent/${made.body.id}`, { ...made.body, provision: { type: 'permit' } })).status).toBe(403);
    await rec.patient.post('Consent', { ...consent('authorisation', rec.id, { dateTime: now() }), provision: { type: 'deny' } });
    expect((await doctor.get(`DocumentReference?patient=${rec.id}`)).body.total).toBe(0);
  });

  it('author and custodian claimed grant nothing, and must fit the token', async () => {
    const rec = await openRecord(s);
    expect(reasons(await rec.deposit(hospital, { author: [{ reference: 'Practitioner/dr-martin' }] }))[0]).toBe('author-misfit');
    expect(reasons(await rec.deposit(hospital, { custodian: { reference: 'Organization/labo-demo' } }))[0]).toBe('author-misfit');
    const made = await rec.deposit(hospital, { author: [{ reference: 'Practitioner/dr-leroy' }] });
    expect(made.status).toBe(201);
    expect((await cardiologist.get(`DocumentReference/${made.body.id}`)).status).toBe(200);
    expect((await doctor.get(`DocumentReference/${made.body.id}`)).status).toBe(404);
  });

  it('unmasking is for those whom W3 names', async () => {
    const rec = await openRecord(s);
    await rec.consent('authorisation', { actors: ['Practitioner/dr-martin'] });
    const d = (await rec.deposit(hospital)).body;
    const mask = { coding: [{ system: 'https://mos.esante.gouv.fr/NOS/TRE_A07-StatutVisibiliteDocument/FHIR/TRE-A07-StatutVisibiliteDocument', code: 'MASQUE_PS' }] };
    expect((await doctor.patch(`DocumentReference/${d.id}`, [{ op: 'add', path: '/securityLabel', value: [mask] }])).status).toBe(422);
    expect((await rec.patient.patch(`DocumentReference/${d.id}`, [{ op: 'add', path: '/securityLabel', value: [mask] }])).status).toBe(200);
    expect((await doctor.get(`DocumentReference/${d.id}`)).status).toBe(404);
    // The author sees it still, but does not take off what the patient put on.
    expect((await hospital.patch(`DocumentReference/${d.id}`, [{ op: 'remove', path: '/securityLabel' }])).status).toBe(422);
    // A replacement does not shed the mask.
    const next = await rec.deposit(hospital, { relatesTo: [{ code: 'replaces', target: { reference: `DocumentReference/${d.id}` } }] });
    expect((await doctor.get(`DocumentReference/${next.body.id}`)).status).toBe(404);
    expect((await rec.patient.patch(`DocumentReference/${d.id}`, [{ op: 'remove', path: '/securityLabel' }])).status).toBe(200);
    expect((await doctor.get(`DocumentReference/${next.body.id}`)).status).toBe(200);
  });

  it('deposit keeps to the write table and the feed to its own', async () => {
    const rec = await openRecord(s);
    expect(reasons(await rec.deposit(hospital, { type: { coding: [{ system: 'http://loinc.org', code: '74465-6' }] } }))[0]).toBe('write-table');
    const insurer = await s.as(callers.system('cnam-demo'));
    const remb = { coding: [{ system: 'https://mos.esante.gouv.fr/NOS/TRE_A05-TypeDocComplementaire/FHIR/TRE-A05-TypeDocComplementaire', code: 'REMB' }] };
    expect((await rec.deposit(insurer, { type: remb })).status).toBe(201);
    expect((await rec.deposit(insurer)).status).toBe(403);
    expect((await insurer.get(`DocumentReference?patient=${rec.id}`)).body.total).toBe(0);
    expect((await rec.deposit(hospital, { type: remb })).status).toBe(422);
  });
});

describe("the record's life", () => {
  it('none, open, closed, reopened; told by $dmp-status', async () => {
    const rec = await openRecord(s, { open: false });
    const status = async (c: Client) => Object.fromEntries((await c.get(`Patient/${rec.id}/$dmp-status`)).body.parameter.map((p: any) => [p.name, p.valueBoolean ?? p.valueCode]));
    expect(await status(doctor)).toEqual({ exists: false, open: false, status: 'none', authorised: false, treating: false });
    expect((await rec.deposit(hospital)).status).toBe(403);
    expect((await hospital.post('Consent', consent('opening', rec.id, { dateTime: now(-60_000), recordedBy: 'Organization/chu-demo', origin: 'hospital' }))).status).toBe(201);
    expect((await rec.deposit(hospital)).status).toBe(201);
    await rec.consent('authorisation', { actors: ['Practitioner/dr-martin'] });
    expect(await status(doctor)).toMatchObject({ open: true, authorised: true });
    expect((await rec.consent('closing')).status).toBe(201);
    expect((await doctor.get(`DocumentReference?patient=${rec.id}`)).body.entry[0].resource.issue[0].details.coding[0].code).toBe('record-closed');
    expect((await rec.patient.get(`DocumentReference?patient=${rec.id}`)).body.total).toBe(0);
    expect((await hospital.post('Consent', consent('opening', rec.id, { dateTime: now(), recordedBy: 'Organization/chu-demo' }))).status).toBe(403);
    expect((await rec.patient.get(`Consent?patient=${rec.id}`)).body.total).toBe(3);
    expect((await rec.patient.post('Consent', consent('opening', rec.id, { dateTime: now(0) }))).status).toBe(201);
    expect((await rec.patient.get(`DocumentReference?patient=${rec.id}`)).body.total).toBe(1);
  });

  it('W9: a hospital opens in one transaction, deposits in the next', async () => {
    const entry = [
      { fullUrl: 'urn:uuid:0c3201bd-1cbf-4d64-b04d-cd9187a4c001', resource: { resourceType: 'Patient', identifier: [{ system: 'urn:oid:1.2.250.1.213.1.4.10', value: '279035121518989' }], name: [{ family: 'Neuf' }] }, request: { method: 'POST', url: 'Patient', ifNoneExist: 'identifier=urn:oid:1.2.250.1.213.1.4.10|279035121518989' } },
      ...[consent('opening', 'x', { dateTime: now(), recordedBy: 'Organization/chu-demo' }), consent('authorisation', 'x', { dateTime: now(), actors: ['Organization/chu-demo'], recordedBy: 'Organization/chu-demo' })].map((c) => ({ resource: { ...c, patient: { reference: 'urn:uuid:0c3201bd-1cbf-4d64-b04d-cd9187a4c001' }, performer: undefined, verification: [{ verified: true, verifiedWith: { reference: 'urn:uuid:0c3201bd-1cbf-4d64-b04d-cd9187a4c001' }, verificationDate: now() }] }, request: { method: 'POST', url: 'Consent' } })),
    ];
    const a = await hospital.post('', { resourceType: 'Bundle', type: 'transaction', entry });
    expect(a.body.entry?.map((e: any) => e.response.status) ?? a.text).toEqual(['201', '201', '201']);
    const deposit = await hospital.post('DocumentReference', documentBody('x', { subject: { identifier: { system: 'urn:oid:1.2.250.1.213.1.4.10', value: '279035121518989' } } }));
    expect(deposit.status).toBe(201);
    const again = await hospital.post('Patient', entry[0].resource);
    expect([again.status, reasons(again)[0]]).toEqual([409, 'duplicate']);
    expect((await cardiologist.get('DocumentReference?patient.identifier=urn:oid:1.2.250.1.213.1.4.10|279035121518989&status=current')).body.total).toBe(1);
  });

  it('a minor opens nothing alone; a representative does, and sees no secret document', async () => {
    const rec = await openRecord(s, { open: false, patient: { birthDate: '2015-05-05' } });
    expect(reasons(await rec.consent('opening'))[0]).toBe('minor');
    await rec.registry.put(`RelatedPerson/parent-${rec.id}`, { resourceType: 'RelatedPerson', id: `parent-${rec.id}`, active: true, patient: { reference: `Patient/${rec.id}` }, relationship: [{ coding: [{ system: 'http://terminology.hl7.org/CodeSystem/v3-RoleCode', code: 'MTH' }] }] });
    const parent = await s.as(callers.representative(`parent-${rec.id}`));
    expect((await parent.post('Consent', consent('opening', rec.id, { dateTime: now() }))).status).toBe(201);
    const label = [{ coding: [{ system: 'https://mos.esante.gouv.fr/NOS/TRE_A07-StatutVisibiliteDocument/FHIR/TRE-A07-StatutVisibiliteDocument', code: 'INVISIBLE_REPRESENTANTS_LEGAUX' }] }];
    const secret = (await rec.deposit(hospital, { securityLabel: label })).body;
    await rec.deposit(hospital);
    expect(idsOf(await parent.get(`DocumentReference?patient=${rec.id}`))).not.toContain(secret.id);
    expect(idsOf(await rec.patient.get(`DocumentReference?patient=${rec.id}`))).toContain(secret.id);
  });

  it('break-glass and regulation, each opposed apart', async () => {
    const rec = await openRecord(s);
    await rec.deposit(hospital);
    const glass = await s.as(callers.professional('dr-garnier', { mode: 'bris_de_glace', reason: 'patient inconscient' }));
    const regulation = await s.as(callers.professional('dr-samu', { mode: 'centre_15' }));
    const count = async (c: Client) => (await c.get(`DocumentReference?patient=${rec.id}`)).body.total;
    expect([await count(glass), await count(regulation)]).toEqual([1, 1]);
    const notices = (await s.running.deps.store.notices(1_000)).filter((n) => n.patient === rec.id).map((n) => JSON.parse(n.text));
    expect(notices.map((n) => [n.mode, n.reason, n.to])).toEqual([['bris_de_glace', 'patient inconscient', [`Patient/${rec.id}`]], ['centre_15', undefined, [`Patient/${rec.id}`]]]);
    await rec.consent('emergency-opposition');
    expect([await count(glass), await count(regulation)]).toEqual([0, 1]);
    await rec.consent('regulation-opposition');
    expect([await count(glass), await count(regulation)]).toEqual([0, 0]);
    const noReason = await s.as(callers.professional('dr-garnier', { mode: 'bris_de_glace' }));
    expect((await noReason.get(`DocumentReference?patient=${rec.id}`)).status).toBe(401);
  });

  it('a withdrawal holds for every read begun after its answer', async () => {
    const rec = await openRecord(s);
    const d = (await rec.deposit(hospital)).body;
    const given = (await rec.consent('authorisation', { actors: ['Practitioner/dr-martin'] })).body;
    let withdrawn = false;
    let wrong = 0;
    const reads = Array.from({ length: 20 }, async () => {
      for (let i = 0; i < 50; i++) {
        const after = withdrawn;
        const a = await doctor.get(`DocumentReference/${d.id}`);
        if (after && a.status !== 404) wrong++;
      }
    });
    await new Promise((r) => setTimeout(r, 100));
    expect((await rec.patient.put(`Consent/${given.id}`, { ...given, status: 'inactive' })).status).toBe(200);
    withdrawn = true;
    await Promise.all(reads);
    expect(wrong).toBe(0);
    expect((await doctor.get(`DocumentReference/${d.id}`)).status).toBe(404);
  });

  it('ten writers to one patient lose nothing', async () => {
    const rec = await openRecord(s);
    const answers = await Promise.all(Array.from({ length: 10 }, (_, i) => (i % 2 ? rec.deposit(hospital) : rec.consent('authorisation', { actors: ['Practitioner/dr-leroy'] }))));
    expect(answers.map((a) => a.status)).toEqual(Array(10).fill(201));
    expect((await rec.patient.get(`DocumentReference?patient=${rec.id}`)).body.total).toBe(5);
    expect((await rec.patient.get(`Consent?patient=${rec.id}`)).body.total).toBe(6);
  });
});
