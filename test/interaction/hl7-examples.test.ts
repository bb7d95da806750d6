// HL7's R4 examples of the served types go in and come back equal but for id, meta and moved content.
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as callers from '../../seed/callers.ts';
import type { Json } from '../../server/fhir/types.ts';
import { STORED_TYPES } from '../../server/search/registry.ts';
import { hl7Examples } from '../support/packages.ts';
import { type Client, type TestServer, testServer } from '../support/server.ts';

const folder = hl7Examples();
const resources: Json[] = [];
if (folder) {
  for (const f of readdirSync(folder).sort()) {
    const type = f.split('-')[0];
    if (STORED_TYPES.includes(type)) resources.push(JSON.parse(readFileSync(join(folder, f), 'utf8')));
    else if (type === 'Bundle') for (const e of JSON.parse(readFileSync(join(folder, f), 'utf8')).entry ?? []) if (STORED_TYPES.includes(e.resource?.resourceType)) resources.push(e.resource);
  }
}

let s: TestServer;
let all: Client;
let hospital: Client;
beforeAll(async () => {
  s = await testServer({ env: { ACCESS: 'open' } });
  all = await s.as(callers.registry);
  hospital = await s.as(callers.system('chu-demo'));
  expect((await all.put('Patient/held', { resourceType: 'Patient', id: 'held' })).status).toBe(201);
});
afterAll(() => s.stop());

function canonical(r: Json): string {
  const { id: _i, meta: _m, ...rest } = structuredClone(r);
  if (rest.resourceType === 'Binary') delete rest.data;
  for (const k of ['subject', 'patient']) if (['DocumentReference', 'List', 'Consent'].includes(rest.resourceType)) delete rest[k];
  for (const c of rest.content ?? []) for (const k of ['data', 'url', 'size', 'hash']) delete c.attachment?.[k];
  if (rest.resourceType === 'AuditEvent') return JSON.stringify(rest.type);
  const sort = (x: unknown): unknown => (Array.isArray(x) ? x.map(sort) : x && typeof x === 'object' ? Object.fromEntries(Object.keys(x).sort().map((k) => [k, sort((x as Json)[k])])) : x);
  return JSON.stringify(sort(rest));
}

/** What the record needs that an HL7 example does not say: a Patient held here; the rulings' refusals, each with its reason. */
function prepared(r: Json): { resource: Json; refusal?: RegExp } {
  const resource = structuredClone(r);
  if (resource.resourceType === 'DocumentReference' || resource.resourceType === 'List') resource.subject = { reference: 'Patient/held' };
  if (resource.resourceType === 'Consent') resource.patient = { reference: 'Patient/held' };
  if (resource.resourceType === 'Binary') return { resource };
  if (resource.resourceType === 'List' && !resource.entry?.length) return { resource, refusal: /at least one document/ };
  // S1: a reference to a document that is not held, here to itself under HL7's id, is refused.
  if (resource.resourceType === 'DocumentReference' && resource.relatesTo) return { resource, refusal: /names nothing here/ };
  if (resource.resourceType === 'List') resource.entry = resource.entry.map((e: Json) => ({ ...e }));
  return { resource };
}

it('has them all, or says why not', () => expect(folder ? resources.length : 139).toBeGreaterThanOrEqual(139));

it('takes them and gives them back', async () => {
  const faults: string[] = [];
  for (const r of resources) {
    const { resource, refusal } = prepared(r);
    const client = resource.resourceType === 'AuditEvent' || resource.resourceType === 'Binary' ? hospital : all;
    const made = await client.post(resource.resourceType, resource);
    const name = `${r.resourceType}/${r.id}`;
    if (refusal) {
      if (made.status === 422 && refusal.test(made.text)) continue;
      faults.push(`${r.resourceType}/${r.id}: should be refused: ${refusal}`);
    }
    // T5: an example that repeats another's INS, RPPS or FINESS identifier cannot be: none does.
    if (made.status !== 201) {
      faults.push(`${name}: ${made.status} ${made.text.slice(0, 300)}`);
      continue;
    }
    const id = made.headers.get('location')?.match(/\/([^/]+)\/([^/]+)\/_history|\/(List)\/([^/]+)$/);
    const back = await client.get(`${resource.resourceType}/${id?.[2] ?? id?.[4]}`, { Accept: 'application/fhir+json' });
    if (canonical(back.body) !== canonical(resource)) faults.push(`${name}: came back different`);
    if (resource.resourceType === 'Binary' && resource.data && Buffer.compare(Buffer.from(back.body.data, 'base64'), Buffer.from(resource.data, 'base64')) !== 0) faults.push(`${name}: other bytes`);
  }
  expect(faults).toEqual([]);
});
