// A day at a hospital: 200 lots, twenty professionals, two laboratories, all with fhir-kit-client over HTTP; on the store that the run is for.
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { Client } from 'fhir-kit-client';
import * as callers from '../seed/callers.ts';
import { consent } from '../seed/consents.ts';
import { ORGS, PROS } from '../seed/directory.ts';
import type { Json } from '../server/fhir/types.ts';
import type { Caller } from '../server/policy/caller.ts';
import { documentBody, type TestServer, testServer } from './support/server.ts';

const LOTS = 200;
const PATIENTS = 20;
let s: TestServer;
beforeAll(async () => {
  s = await testServer();
});
afterAll(() => s.stop());
const kit = async (c: Caller): Promise<any> => new Client({ baseUrl: s.base, bearerToken: await s.tokenOf(c) });

it('a day at a hospital', async () => {
  const registry = await kit(callers.registry);
  const organization = { resourceType: 'Organization', id: 'labo-deux', name: 'Laboratoire du Parc', type: [{ coding: [{ system: 'https://mos.esante.gouv.fr/NOS/TRE_R02-SecteurActivite/FHIR/TRE-R02-SecteurActivite', code: 'SA25' }] }] };
  await registry.update({ resourceType: 'Organization', id: 'labo-deux', body: organization });
  const doctors: Caller[] = [];
  for (let i = 0; i < 20; i++) {
    const id = `jour-${i}`;
    await registry.transaction({ body: { resourceType: 'Bundle', type: 'transaction', entry: [
      { resource: { resourceType: 'Practitioner', id, name: [{ family: `Jour${i}` }] }, request: { method: 'PUT', url: `Practitioner/${id}` } },
      { resource: { resourceType: 'PractitionerRole', id: `r-${id}`, practitioner: { reference: `Practitioner/${id}` }, organization: { reference: 'Organization/chu-demo' } }, request: { method: 'PUT', url: `PractitionerRole/r-${id}` } },
    ] } });
    doctors.push({ ...callers.professional(PROS[1].id), ref: `Practitioner/${id}`, profession: i % 4 === 3 ? '60' : '10', name: `Jour${i}` });
  }
  const hospital = await kit(callers.system(ORGS[0].id));
  const laboratories = [await kit(callers.system('labo-demo')), await kit({ ...callers.system('labo-demo'), ref: 'system:labo-deux', organization: 'Organization/labo-deux' })];
  const patients: string[] = [];
  for (let i = 0; i < PATIENTS; i++) {
    // W9: the hospital admits; opening and its own authorisation in one transaction, deposits follow.
    const at = new Date(Date.now() - 1000).toISOString();
    const recorded = (kind: 'opening' | 'authorisation', actors?: string[]): Json => ({ ...consent(kind, 'x', { dateTime: at, actors, recordedBy: 'Organization/chu-demo', ...(kind === 'opening' ? { origin: 'hospital' } : {}) }), patient: { reference: 'urn:uuid:0c3201bd-1cbf-4d64-b04d-cd9187a4c0bb' }, performer: undefined, verification: [{ verified: true, verifiedWith: { reference: 'urn:uuid:0c3201bd-1cbf-4d64-b04d-cd9187a4c0bb' }, verificationDate: at }] });
    const admitted = await hospital.transaction({ body: JSON.parse(JSON.stringify({ resourceType: 'Bundle', type: 'transaction', entry: [
      { fullUrl: 'urn:uuid:0c3201bd-1cbf-4d64-b04d-cd9187a4c0bb', resource: { resourceType: 'Patient', identifier: [{ system: 'urn:hospital', value: `ipp-${i}` }], name: [{ family: `Jour${i}` }], birthDate: '1970-01-01' }, request: { method: 'POST', url: 'Patient', ifNoneExist: `identifier=urn:hospital|ipp-${i}` } },
      { resource: recorded('opening'), request: { method: 'POST', url: 'Consent' } }, { resource: recorded('authorisation', ['Organization/chu-demo']), request: { method: 'POST', url: 'Consent' } },
    ] })) });
    patients.push(/Patient\/([^/]+)/.exec(admitted.entry[0].response.location)?.[1] as string);
  }
  let deposited = 0;
  const depositors = Array.from({ length: LOTS }, (_, n) => async () => {
    const patient = patients[n % PATIENTS];
    const result = n % 4 === 0;
    const client = result ? laboratories[(n / 4) % 2] : hospital;
    const type = { coding: [{ system: 'http://loinc.org', code: result ? '11502-2' : n % 4 === 1 ? '34112-3' : '11490-0' }] };
    const urn = (k: number): string => `urn:uuid:0c3201bd-1cbf-4d64-b04d-${String(n * 10 + k).padStart(12, '0')}`;
    const lot = { resourceType: 'Bundle', type: 'transaction', entry: [
      { fullUrl: urn(1), resource: documentBody(patient, { type, category: undefined, masterIdentifier: { system: 'urn:jour', value: `lot-${n}` } }), request: { method: 'POST', url: 'DocumentReference' } },
      { fullUrl: urn(2), resource: { resourceType: 'List', status: 'current', mode: 'working', code: { coding: [{ system: 'https://profiles.ihe.net/ITI/MHD/CodeSystem/MHDlistTypes', code: 'submissionset' }] }, subject: { reference: `Patient/${patient}` }, date: '2026-01-15T10:00:00Z', entry: [{ item: { reference: urn(1) } }] }, request: { method: 'POST', url: 'List' } },
    ] };
    const body = JSON.parse(JSON.stringify(lot));
    const first = await client.transaction({ body });
    expect(first.entry.map((e: Json) => e.response.status)).toEqual(['201', '201']);
    deposited++;
    // One lot in ten is sent twice: the wire broke before the answer came.
    if (n % 10 === 0) await client.transaction({ body: { ...body, entry: [body.entry[0]] } });
  });
  const consulting = doctors.map((d, i) => async () => {
    const client = await kit(d);
    for (let k = 0; k < 10; k++) {
      const patient = patients[(i + k) % PATIENTS];
      const found = await client.search({ resourceType: 'DocumentReference', searchParams: { patient, status: 'current', _count: 5 } });
      for (const e of (found.entry ?? []).filter((x: Json) => x.search.mode === 'match').slice(0, 2)) expect((await client.read({ resourceType: 'DocumentReference', id: e.resource.id })).subject.reference).toBe(`Patient/${patient}`);
    }
  });
  const work = [...depositors];
  consulting.forEach((c, i) => work.splice(i * 10, 0, c));
  await Promise.all(Array.from({ length: 10 }, async () => {
    for (let next = work.shift(); next; next = work.shift()) await next();
  }));
  expect(deposited).toBe(LOTS);
  let total = 0;
  for (const p of patients) total += (await (await kit(callers.patient(p))).search({ resourceType: 'DocumentReference', searchParams: { patient: p, _summary: 'count' } })).total;
  expect(total).toBe(LOTS);
  const auditor = await kit({ ...callers.registry, roles: ['auditor'] });
  expect((await auditor.search({ resourceType: 'AuditEvent', searchParams: { patient: patients[0], _summary: 'count' } })).total).toBeGreaterThan(30);
}, 600_000);
