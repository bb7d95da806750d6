// fhir-kit-client does every call it has.
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { CapabilityTool, Client as Kit } from 'fhir-kit-client';
import fhirpath from 'fhirpath';
import * as callers from '../../seed/callers.ts';
import { structures } from '../../server/fhir/packs.ts';
import type { Json } from '../../server/fhir/types.ts';
import { validatorOf } from '../../server/validation/validate.ts';
import { openRecord, type TestServer, testServer } from '../support/server.ts';

let s: TestServer;
let kit: Kit;
beforeAll(async () => {
  s = await testServer();
  kit = new Kit({ baseUrl: s.base, bearerToken: await s.tokenOf(callers.registry) });
});
afterAll(() => s.stop());

it('every call', async () => {
  const org = { resourceType: 'Organization', name: 'Kit' };
  const made: any = await kit.create({ resourceType: 'Organization', body: org as never });
  const id = made.id as string;
  expect(((await kit.read({ resourceType: 'Organization', id })) as any).name).toBe('Kit');
  expect(((await kit.update({ resourceType: 'Organization', id, body: { ...made, name: 'Kit 2' } })) as any).meta.versionId).toBe('2');
  expect(((await kit.update({ resourceType: 'Organization', searchParams: { _id: id }, body: { ...made, name: 'Kit 3' } } as never)) as any).meta.versionId).toBe('3');
  expect(((await kit.vread({ resourceType: 'Organization', id, version: '1' })) as any).name).toBe('Kit');
  expect(((await kit.patch({ resourceType: 'Organization', id, jsonPatch: [{ op: 'replace', path: '/name', value: 'Kit 4' }] })) as any).name).toBe('Kit 4');
  expect(((await kit.history({ resourceType: 'Organization', id } as never)) as any).entry.length).toBe(4);
  expect(((await kit.resourceHistory({ resourceType: 'Organization', id } as never)) as any).type).toBe('history');
  let page: any = await kit.search({ resourceType: 'Organization', searchParams: { _count: '2' } });
  const seen: string[] = page.entry.map((e: any) => e.resource.id);
  const next: any = await kit.nextPage({ bundle: page } as never);
  expect(next.entry.some((e: any) => seen.includes(e.resource.id))).toBe(false);
  page = await kit.resourceSearch({ resourceType: 'Organization', searchParams: { name: 'Kit' }, options: { postSearch: true } } as never);
  expect(page.total).toBe(1);
  const rec = await openRecord(s);
  const patient = new Kit({ baseUrl: s.base, bearerToken: await s.tokenOf(callers.patient(rec.id)) });
  const inside: any = await patient.compartmentSearch({ resourceType: 'Consent', compartment: { resourceType: 'Patient', id: rec.id }, searchParams: { status: 'active' } } as never);
  expect(inside.total).toBe(1);
  const status: any = await patient.operation({ name: 'dmp-status', resourceType: 'Patient', id: rec.id, method: 'get' } as never);
  expect(status.resourceType).toBe('Parameters');
  const batch: any = await kit.batch({ body: { resourceType: 'Bundle', type: 'batch', entry: [{ request: { method: 'GET', url: `Organization/${id}` } }] } as never });
  expect(batch.type).toBe('batch-response');
  const transaction: any = await kit.transaction({ body: { resourceType: 'Bundle', type: 'transaction', entry: [{ resource: org, request: { method: 'POST', url: 'Organization' } }] } as never });
  expect(transaction.entry[0].response.status).toBe('201');
  expect(((await kit.request(`Organization/${id}`)) as any).id).toBe(id);
  expect((await kit.smartAuthMetadata() as any).tokenUrl.toString()).toBe(`${new URL(s.base).origin}/auth/token`);
  await kit.delete({ resourceType: 'Organization', id });
  await expect(kit.read({ resourceType: 'Organization', id })).rejects.toMatchObject({ response: { status: 410, data: { resourceType: 'OperationOutcome' } } });
});

it('the CapabilityStatement says what is done, and passes HL7\'s invariants', async () => {
  const statement: any = await kit.capabilityStatement();
  const tool = new CapabilityTool(statement);
  expect(tool.resourceCan('DocumentReference', 'create')).toBe(true);
  expect(tool.resourceCan('AuditEvent', 'delete')).toBe(false);
  expect(validatorOf({ strictProfiles: false, production: false })(statement)).toEqual([]);
  const elements = (structures.get('http://hl7.org/fhir/StructureDefinition/CapabilityStatement') as Json).snapshot.element as Json[];
  const failures: string[] = [];
  for (const e of elements) {
    const nodes = e.path === 'CapabilityStatement' ? [statement] : fhirpath.evaluate(statement, e.path.replace(/\[x\]/, ''));
    for (const c of e.constraint ?? []) {
      if (!c.key.startsWith('cpb-') || !c.expression || c.severity !== 'error') continue;
      for (const n of nodes as Json[]) {
        const r = fhirpath.evaluate(n, c.expression) as unknown[];
        if (r.length && r[0] !== true) failures.push(`${c.key} at ${e.path}`);
      }
    }
  }
  expect(failures).toEqual([]);
});
