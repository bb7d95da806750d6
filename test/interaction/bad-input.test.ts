// Bad input: a 4xx with an OperationOutcome that names the place, nothing stored, never a 500.
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import * as callers from '../../seed/callers.ts';
import { documentBody, anonymous, type Client, openRecord, reasons, type Rec, type TestServer, testServer } from '../support/server.ts';

let s: TestServer;
let registry: Client;
let hospital: Client;
let rec: Rec;
beforeAll(async () => {
  s = await testServer({ env: { LIMIT_RESOURCE: '20000', LIMIT_BUNDLE: '200000', LIMIT_ENTRIES: '40', LIMIT_BINARY: '5000', LIMIT_URL: '1000', LIMIT_CHAIN: '5' } });
  registry = await s.as(callers.registry);
  hospital = await s.as(callers.system('chu-demo'));
  rec = await openRecord(s);
});
afterAll(() => s.stop());

const deep = `{"resourceType":"Organization","name":"x","extension":${'['.repeat(200)}${']'.repeat(200)}}`;

describe('a body', () => {
  const cases: [string, string, number, RegExp][] = [
    ['malformed JSON', '{"resourceType":"Organization",', 400, /not JSON/],
    ['an array', '[]', 400, /not a JSON object/],
    ['no resourceType', '{"name":"x"}', 400, /resourceType/],
    ['the wrong type', '{"resourceType":"Patient"}', 400, /address says/],
    ['deep nesting', deep, 400, /nested deeper/],
    ['__proto__', '{"resourceType":"Organization","__proto__":{"a":1}}', 400, /__proto__/],
    ['a repeated property', '{"resourceType":"Organization","name":"a","name":"b"}', 400, /twice/],
    ['an unknown element', '{"resourceType":"Organization","nom":"x"}', 422, /no element/],
    ['a bad primitive', '{"resourceType":"Organization","active":"yes"}', 422, /true or false/],
    ['an empty array', '{"resourceType":"Organization","alias":[]}', 422, /empty array/],
  ];
  it.each(cases)('with %s is refused', async (_name, body, status, text) => {
    const a = await registry.post('Organization', body);
    expect(a.status).toBe(status);
    expect(a.body.resourceType).toBe('OperationOutcome');
    expect(JSON.stringify(a.body)).toMatch(text);
    expect(a.text).not.toMatch(/at .*\.(ts|js):\d/);
  });

  it('too large is 413, of an unknown media type 415, unacceptable 406', async () => {
    expect((await registry.post('Organization', JSON.stringify({ resourceType: 'Organization', name: 'x'.repeat(30_000) }))).status).toBe(413);
    expect((await registry.post('Organization', '<Organization/>', { 'Content-Type': 'application/fhir+xml' })).status).toBe(415);
    expect((await registry.get('Organization', { Accept: 'application/fhir+xml' })).status).toBe(406);
    expect((await registry.get(`Organization?name=${'x'.repeat(2000)}`)).status).toBe(414);
    expect((await hospital.post('Binary', 'y'.repeat(9000), { 'Content-Type': 'text/plain' })).status).toBe(413);
  });

  it('reports every fault at once, each with its place', async () => {
    const a = await registry.post('Organization', { resourceType: 'Organization', active: 'x', telecom: [{ system: 'bad' }], nom: 1 });
    expect(a.status).toBe(422);
    const places = a.body.issue.flatMap((i: any) => i.expression);
    expect(places).toEqual(expect.arrayContaining(['Organization.active', 'Organization.telecom[0].system', 'Organization.nom']));
  });
});

describe('an address', () => {
  it.each([
    ['Observation/1', 404, 'type-not-supported'], ['Nonsense', 404, 'type-not-supported'], ['Organization/bad id!', 400, 'invalid'], ['Organization/nobody', 404, 'not-found'], ['organization', 404, 'unknown-route'],
    ['Organization/x/_history/0', 404, 'not-found'], ['Organization/x/y/z', 404, 'unknown-route'], ['$nothing', 404, 'unknown-route'], ['Patient/%ff', 400, 'invalid'],
    ['Organization?nonsense=1', 200, undefined], ['Organization?name:wrong=1', 200, undefined], ['Organization?_count=many', 400, 'invalid-parameter'], ['Organization?_lastUpdated=gt', 400, 'invalid-parameter'],
    ['Organization?_cursor=broken', 400, 'invalid-parameter'], ['Organization?_summary=odd', 400, 'invalid-parameter'], ['Organization?_include=Nobody:x', 400, 'invalid-parameter'], ['Organization?name=', 400, 'invalid-parameter'],
  ])('%s answers %i', async (path, status, reason) => {
    const a = await registry.get(path);
    expect([a.status, status < 400 ? undefined : reasons(a)[0]]).toEqual([status, reason]);
  });

  it('with an unknown parameter is refused under strict handling, warned of otherwise', async () => {
    const strict = await registry.get('Organization?nonsense=1', { Prefer: 'handling=strict' });
    expect([strict.status, reasons(strict)[0]]).toEqual([400, 'unsupported-parameter']);
    const lenient = await registry.get('Organization?nonsense=1');
    expect(lenient.body.entry.at(-1).search.mode).toBe('outcome');
  });

  it('answers 405 with Allow where the method is not offered', async () => {
    const a = await registry.send('DELETE', 'Organization');
    expect([a.status, a.headers.get('allow')]).toEqual([405, 'GET, HEAD, POST']);
    expect((await registry.put('AuditEvent/x', { resourceType: 'AuditEvent', id: 'x' })).status).toBe(405);
  });

  it('without a token answers 401 with a challenge, but metadata is open', async () => {
    const a = await anonymous(s.base).get('Organization');
    expect([a.status, a.headers.get('www-authenticate')?.startsWith('Bearer')]).toEqual([401, true]);
    expect((await anonymous(s.base).get('metadata')).body.resourceType).toBe('CapabilityStatement');
  });
});

describe('a Bundle', () => {
  const tx = (...entry: unknown[]) => ({ resourceType: 'Bundle', type: 'transaction', entry });
  const org = { resourceType: 'Organization', name: 'tx' };

  it('with faulty entries fails whole and names each', async () => {
    const a = await registry.post('', tx({ resource: org, request: { method: 'POST', url: 'Organization' } }, { resource: { resourceType: 'Observation' }, request: { method: 'POST', url: 'Observation' } }, { resource: { resourceType: 'Condition' }, request: { method: 'POST', url: 'Condition' } }));
    expect(a.status).toBe(404);
    expect(a.body.issue.map((i: any) => i.expression[0])).toEqual(['Bundle.entry[1].request.url', 'Bundle.entry[2].request.url']);
    expect((await registry.get('Organization?name=tx')).body.total).toBe(0);
  });

  it('with two entries for one resource, one fullUrl twice, or too many entries is refused', async () => {
    const put = { resource: { ...org, id: 'twice' }, request: { method: 'PUT', url: 'Organization/twice' } };
    expect(reasons(await registry.post('', tx(put, put)))[0]).toBe('duplicate-entry');
    const post = { fullUrl: 'urn:uuid:0c3201bd-1cbf-4d64-b04d-cd9187a4c6e0', resource: org, request: { method: 'POST', url: 'Organization' } };
    expect(reasons(await registry.post('', tx(post, post)))[0]).toBe('duplicate-entry');
    expect((await registry.post('', tx(...Array.from({ length: 41 }, () => post)))).status).toBe(413);
  });

  it('with a dangling urn:uuid, or a conditional reference to nothing, stores nothing', async () => {
    const dangling = { ...org, name: 'dangling', partOf: { reference: 'urn:uuid:0c3201bd-1cbf-4d64-b04d-cd9187a4c6e9' } };
    expect((await registry.post('', tx({ resource: dangling, request: { method: 'POST', url: 'Organization' } }))).status).toBe(422);
    const conditional = { ...org, name: 'dangling', partOf: { reference: 'Organization?identifier=urn:none|1' } };
    expect((await registry.post('', tx({ resource: conditional, request: { method: 'POST', url: 'Organization' } }))).status).toBe(412);
    const cycle = [0, 1].map((i) => ({ fullUrl: `urn:uuid:0c3201bd-1cbf-4d64-b04d-cd9187a4c6e${i}`, resource: { ...org, name: 'dangling', identifier: [{ system: 'urn:c', value: String(i) }], partOf: { reference: `Organization?identifier=urn:c|${1 - i}` } }, request: { method: 'POST', url: 'Organization' } }));
    expect((await registry.post('', tx(...cycle))).status).toBe(412);
    expect((await registry.get('Organization?name=dangling')).body.total).toBe(0);
  });

  it('of another kind, or without requests, is refused', async () => {
    expect((await registry.post('', { resourceType: 'Bundle', type: 'document' })).status).toBe(400);
    expect((await registry.post('', { resourceType: 'Bundle', type: 'transaction', entry: [{ resource: org }] })).status).toBe(400);
    expect((await registry.post('', { resourceType: 'Bundle', type: 'transaction', entry: {} })).status).toBe(400);
    expect((await registry.post('', org)).status).toBe(400);
  });

  it('keeps references among its entries in any order, and answers in the order asked', async () => {
    const child = { fullUrl: 'urn:uuid:0c3201bd-1cbf-4d64-b04d-cd9187a4c6e1', resource: { ...org, name: 'child', partOf: { reference: 'urn:uuid:0c3201bd-1cbf-4d64-b04d-cd9187a4c6e2' } }, request: { method: 'POST', url: 'Organization' } };
    const parent = { fullUrl: 'urn:uuid:0c3201bd-1cbf-4d64-b04d-cd9187a4c6e2', resource: { ...org, name: 'parent' }, request: { method: 'POST', url: 'Organization' } };
    const a = await registry.post('', tx(child, parent, { request: { method: 'GET', url: 'Organization?name=child' } }));
    expect(a.body.entry.map((e: any) => e.response.status)).toEqual(['201', '201', '200']);
    const made = await registry.get(a.body.entry[0].response.location);
    expect(made.body.partOf.reference).toBe(a.body.entry[1].response.location.match(/Organization\/[^/]+/)[0]);
    expect(a.body.entry[2].resource.total).toBe(1);
  });

  it('as a batch lets each entry stand alone', async () => {
    const a = await registry.post('', { resourceType: 'Bundle', type: 'batch', entry: [{ resource: org, request: { method: 'POST', url: 'Organization' } }, { request: { method: 'GET', url: 'Organization/none' } }, { resource: { resourceType: 'Observation' }, request: { method: 'POST', url: 'Observation' } }, { request: { method: 'GET', url: 'Organization?_count=1' } }] });
    expect(a.body.entry.map((e: any) => e.response.status)).toEqual(['201', '404', '404', '200']);
    expect(a.body.entry[1].response.outcome.issue[0].code).toBe('not-found');
  });
});

it('a chain too costly is refused, not run', async () => {
  for (let i = 0; i < 8; i++) await registry.post('Organization', { resourceType: 'Organization', name: `costly ${i}` });
  const a = await registry.get('PractitionerRole?organization.name=costly');
  expect([a.status, reasons(a)[0]]).toEqual([400, 'too-costly']);
});

it('a document for nobody is refused', async () => {
  const a = await hospital.post('DocumentReference', documentBody('nobody'));
  expect([a.status, reasons(a)[0]]).toEqual([422, 'no-patient']);
  expect((await rec.deposit(hospital, { status: 'entered-in-error' })).status).toBe(422);
});
