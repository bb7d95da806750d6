// The main job on real input: a hospital's ITI-65 lot and a laboratory's result, through fhir-kit-client.
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { existsSync, readFileSync } from 'node:fs';
import { Client as FhirKitClient } from 'fhir-kit-client';
import * as callers from '../../seed/callers.ts';
import { openRecord, type TestServer, testServer } from '../support/server.ts';

const MHD = '../shared/data/ihe/mhd';
let s: TestServer;
beforeAll(async () => {
  s = await testServer();
});
afterAll(() => s.stop());

const kit = async (caller: Parameters<typeof s.tokenOf>[0]) => new FhirKitClient({ baseUrl: s.base, bearerToken: await s.tokenOf(caller) });

const has = existsSync(`${MHD}/Bundle-ex-comprehensiveProvideDocumentBundleSimple.json`);
const mhd = has ? it : it.skip;
if (!has) process.stdout.write(`skipped: ${MHD} is not there\n`);

mhd("takes a hospital's ITI-65 bundle, finds its document, gives its bytes back", async () => {
  await openRecord(s, { id: 'ex-patient' });
  const hospital = await kit(callers.system('chu-demo'));
  const bundle = JSON.parse(readFileSync(`${MHD}/Bundle-ex-comprehensiveProvideDocumentBundleSimple.json`, 'utf8'));
  const answer: any = await hospital.transaction({ body: bundle });
  expect(answer.type).toBe('transaction-response');
  expect(answer.entry.map((e: any) => e.response.status)).toEqual(['201', '201', '201']);
  const found: any = await hospital.search({ resourceType: 'DocumentReference', searchParams: { patient: 'Patient/ex-patient', status: 'current' } });
  expect(found.total).toBe(1);
  const { url, hash, size } = found.entry[0].resource.content[0].attachment;
  expect({ hash, size }).toEqual({ hash: 'Ck1VqNd45QIvq3AZd8XYQLvEhtA=', size: 11 });
  const bytes = await fetch(`${s.base}/${url}`, { headers: { Authorization: `Bearer ${await s.tokenOf(callers.system('chu-demo'))}`, Accept: 'text/plain' } });
  expect(await bytes.text()).toBe('Hello World');
  expect(bytes.headers.get('content-type')).toBe('text/plain');
  const lists: any = await hospital.search({ resourceType: 'List', searchParams: { patient: 'Patient/ex-patient', code: 'submissionset', status: 'current' } });
  expect(lists.total).toBe(1);
});

it("takes a laboratory's result and gives it to the médecin traitant", async () => {
  const rec = await openRecord(s, { patient: { generalPractitioner: [{ reference: 'Practitioner/dr-martin' }] } });
  const laboratory = await kit(callers.system('labo-demo'));
  const created: any = await laboratory.create({
    resourceType: 'DocumentReference',
    body: { resourceType: 'DocumentReference', status: 'current', type: { coding: [{ system: 'http://loinc.org', code: '11502-2' }] }, subject: { reference: `Patient/${rec.id}` }, date: '2026-02-01T08:00:00Z', author: [{ reference: 'Organization/labo-demo' }], content: [{ attachment: { contentType: 'application/pdf', data: Buffer.from('%PDF-1.4 result').toString('base64') } }] },
  });
  const doctor = await kit(callers.professional('dr-martin'));
  const found: any = await doctor.search({ resourceType: 'DocumentReference', searchParams: { 'patient': `Patient/${rec.id}`, 'type': 'http://loinc.org|11502-2', status: 'current' } });
  expect(found.entry[0].resource.id).toBe(created.id);
  const binary = await (await s.as(callers.professional('dr-martin'))).get(found.entry[0].resource.content[0].attachment.url, { Accept: 'application/fhir+json' });
  expect(Buffer.from(binary.body.data, 'base64').toString()).toBe('%PDF-1.4 result');
});
