// read, vread, history, create, update, patch, delete and their conditional forms.
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import * as callers from '../../seed/callers.ts';
import { type Client, documentBody, idsOf, openRecord, reasons, type Rec, type TestServer, testServer } from '../support/server.ts';

let s: TestServer;
let registry: Client;
let rec: Rec;
let hospital: Client;
beforeAll(async () => {
  s = await testServer();
  registry = await s.as(callers.registry);
  hospital = await s.as(callers.system('chu-demo'));
  rec = await openRecord(s);
});
afterAll(() => s.stop());

const organisation = (name: string, more = {}) => ({ resourceType: 'Organization', name, ...more });

describe('a directory resource', () => {
  it('is created with Location, ETag and Last-Modified, and read back as sent', async () => {
    const made = await registry.post('Organization', organisation('A'));
    expect(made.status).toBe(201);
    expect(made.headers.get('location')).toBe(`${s.base}/Organization/${made.body.id}/_history/1`);
    expect(made.headers.get('etag')).toBe('W/"1"');
    expect(made.headers.get('cache-control')).toBe('no-store');
    const read = await registry.get(`Organization/${made.body.id}`);
    expect(read.body).toMatchObject({ resourceType: 'Organization', name: 'A' });
    expect(read.headers.get('last-modified')).toBeTruthy();
  });

  it('answers 304 to If-None-Match and If-Modified-Since', async () => {
    const made = await registry.post('Organization', organisation('B'));
    const path = `Organization/${made.body.id}`;
    expect((await registry.get(path, { 'If-None-Match': 'W/"1"' })).status).toBe(304);
    expect((await registry.get(path, { 'If-None-Match': 'W/"9"' })).status).toBe(200);
    expect((await registry.get(path, { 'If-Modified-Since': new Date(Date.now() + 5000).toUTCString() })).status).toBe(304);
    expect((await registry.get(path, { 'If-None-Match': 'nonsense' })).status).toBe(400);
  });

  it('keeps its versions and answers 410 once deleted', async () => {
    const made = await registry.post('Organization', organisation('C'));
    const path = `Organization/${made.body.id}`;
    const changed = await registry.put(path, { ...made.body, name: 'C2' }, { 'If-Match': 'W/"1"' });
    expect([changed.status, changed.headers.get('etag')]).toEqual([200, 'W/"2"']);
    expect((await registry.put(path, { ...made.body, name: 'C3' }, { 'If-Match': 'W/"1"' })).status).toBe(412);
    expect((await registry.put(path, { ...made.body, name: 'C3' }, { 'If-Match': 'x' })).status).toBe(400);
    expect((await registry.get(`${path}/_history/1`)).body.name).toBe('C');
    expect((await registry.delete(path)).status).toBe(204);
    expect((await registry.get(path)).status).toBe(410);
    expect((await registry.delete(path)).status).toBe(204);
    const history = await registry.get(`${path}/_history`);
    expect(history.body.entry.map((e: any) => e.request.method)).toEqual(['DELETE', 'PUT', 'POST']);
    const paged = await registry.get(`${path}/_history?_count=2`);
    expect(paged.body.entry.length).toBe(2);
    const next = paged.body.link.find((l: any) => l.relation === 'next').url;
    expect((await registry.get(next)).body.entry.map((e: any) => e.resource.name)).toEqual(['C']);
    expect((await registry.put(path, { ...made.body, name: 'again' })).status).toBe(200);
  });

  it('is created by PUT with a chosen id, and refuses another id in the body', async () => {
    expect((await registry.put('Organization/own-id', organisation('D', { id: 'own-id' }))).status).toBe(201);
    expect((await registry.put('Organization/own-id', organisation('D', { id: 'other' }))).status).toBe(400);
  });

  it('returns what Prefer asks for', async () => {
    const minimal = await registry.post('Organization', organisation('E'), { Prefer: 'return=minimal' });
    expect([minimal.status, minimal.text]).toEqual([201, '']);
    const outcome = await registry.post('Organization', organisation('E'), { Prefer: 'return=OperationOutcome' });
    expect(outcome.body.resourceType).toBe('OperationOutcome');
  });

  it('is conditionally created once under concurrency', async () => {
    const value = `c-${Date.now()}`;
    const body = organisation('F', { identifier: [{ system: 'urn:test', value }] });
    const answers = await Promise.all(Array.from({ length: 12 }, () => registry.post('Organization', body, { 'If-None-Exist': `identifier=urn:test|${value}` })));
    expect(answers.filter((a) => a.status === 201).length).toBe(1);
    expect(answers.filter((a) => a.status === 200).length).toBe(11);
    expect(idsOf(await registry.get(`Organization?identifier=urn:test|${value}`)).length).toBe(1);
  });

  it('is conditionally updated, patched and deleted', async () => {
    const q = 'identifier=urn:test|cond';
    const body = organisation('G', { identifier: [{ system: 'urn:test', value: 'cond' }] });
    const made = await registry.put(`Organization?${q}`, body);
    expect(made.status).toBe(201);
    expect((await registry.put(`Organization?${q}`, { ...body, name: 'G2' })).status).toBe(200);
    expect((await registry.patch(`Organization?${q}`, [{ op: 'replace', path: '/name', value: 'G3' }])).body.name).toBe('G3');
    await registry.post('Organization', body);
    const several = await registry.put(`Organization?${q}`, body);
    expect([several.status, reasons(several)[0]]).toEqual([412, 'multiple-matches']);
    expect((await registry.delete(`Organization?_id=${made.body.id}`)).status).toBe(204);
    expect((await registry.get(`Organization/${made.body.id}`)).status).toBe(410);
  });

  it('is patched by FHIRPath Patch', async () => {
    const made = await registry.post('Organization', organisation('H'));
    const patched = await registry.patch(`Organization/${made.body.id}`, { resourceType: 'Parameters', parameter: [{ name: 'operation', part: [{ name: 'type', valueCode: 'replace' }, { name: 'path', valueString: 'Organization.name' }, { name: 'value', valueString: 'H2' }] }] });
    expect(patched.body.name).toBe('H2');
  });

  it('shows a summary, chosen elements, and pretty text', async () => {
    const made = await registry.post('Organization', organisation('I', { telecom: [{ system: 'phone', value: '1' }], active: true }));
    const summary = (await registry.get(`Organization/${made.body.id}?_summary=true`)).body;
    expect(summary).toHaveProperty('name');
    expect(summary).not.toHaveProperty('telecom');
    expect(summary.meta.tag[0].code).toBe('SUBSETTED');
    expect(Object.keys((await registry.get(`Organization/${made.body.id}?_elements=name`)).body).sort()).toEqual(['id', 'meta', 'name', 'resourceType']);
    expect((await registry.get(`Organization/${made.body.id}?_pretty=true`)).text).toContain('\n  "');
    const head = await registry.send('HEAD', `Organization/${made.body.id}`);
    expect([head.status, head.text, Number(head.headers.get('content-length')) > 10]).toEqual([200, '', true]);
  });
});

describe('a document', () => {
  it('gets an id of the server, never a chosen one', async () => {
    const made = await rec.deposit(hospital, { id: 'mine' });
    expect(made.status).toBe(201);
    expect(made.body.id).not.toBe('mine');
    const put = await hospital.put('DocumentReference/chosen', { ...documentBody(rec.id), id: 'chosen' });
    expect(put.status).toBe(405);
  });

  it('moves data out, computes hash and size, and refuses what does not match', async () => {
    const made = await rec.deposit(hospital);
    const attachment = made.body.content[0].attachment;
    expect(attachment.data).toBeUndefined();
    expect(attachment.url).toMatch(/^Binary\//);
    expect(attachment.size).toBeGreaterThan(0);
    const wrong = await rec.deposit(hospital, { content: [{ attachment: { contentType: 'text/plain', data: 'SGVsbG8=', hash: 'AAAAAAAAAAAAAAAAAAAAAAAAAAA=' } }] });
    expect([wrong.status, reasons(wrong)[0], wrong.body.issue[0].expression]).toEqual([422, 'hash-mismatch', ['DocumentReference.content[0].attachment.hash']]);
    const type = await rec.deposit(hospital, { content: [{ attachment: { contentType: 'application/pdf', data: 'SGVsbG8=' } }] });
    expect(reasons(type)[0]).toBe('content-type-mismatch');
  });

  it('is fixed once published: PATCH of anything else is 405, PUT 422', async () => {
    const made = await rec.deposit(hospital);
    const path = `DocumentReference/${made.body.id}`;
    expect((await hospital.patch(path, [{ op: 'add', path: '/description', value: 'x' }])).status).toBe(405);
    expect((await hospital.put(path, { ...made.body, description: 'x' })).status).toBe(422);
    const superseded = await hospital.patch(path, [{ op: 'replace', path: '/status', value: 'superseded' }]);
    expect([superseded.status, superseded.body.status]).toEqual([200, 'superseded']);
  });

  it('is stored once when sent again, and refused with other content', async () => {
    const masterIdentifier = { system: 'urn:ietf:rfc:3986', value: `urn:oid:1.2.3.${Date.now()}` };
    const body = documentBody(rec.id, { masterIdentifier });
    const first = await hospital.post('DocumentReference', body);
    const again = await hospital.post('DocumentReference', body);
    expect(again.body.id).toBe(first.body.id);
    const other = await hospital.post('DocumentReference', documentBody(rec.id, { masterIdentifier }));
    expect([other.status, reasons(other)[0]]).toEqual([409, 'duplicate']);
  });

  it('is replaced: the old one turns superseded', async () => {
    const old = await rec.deposit(hospital);
    const made = await rec.deposit(hospital, { relatesTo: [{ code: 'replaces', target: { reference: `DocumentReference/${old.body.id}` } }] });
    expect(made.status).toBe(201);
    expect((await hospital.get(`DocumentReference/${old.body.id}`)).body).toMatchObject({ status: 'superseded', meta: { versionId: '2' } });
    expect((await hospital.get(`DocumentReference?patient=${rec.id}&relatesto=DocumentReference/${old.body.id}`)).body.total).toBe(1);
    expect((await hospital.get(`DocumentReference?patient=${rec.id}&relationship=DocumentReference/${old.body.id}$replaces`)).body.total).toBe(1);
  });

  it('is deleted: 404 afterwards, its bytes out of reach', async () => {
    const made = await rec.deposit(hospital);
    const url = made.body.content[0].attachment.url;
    expect((await hospital.get(url)).status).toBe(200);
    expect((await hospital.delete(`DocumentReference/${made.body.id}`)).status).toBe(204);
    expect((await hospital.get(`DocumentReference/${made.body.id}`)).status).toBe(404);
    expect((await hospital.get(url)).status).toBe(404);
  });
});
