// Content: raw and as FHIR, ranges, headers, binding.
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import * as callers from '../../seed/callers.ts';
import { type Client, documentBody, openRecord, type Rec, type TestServer, testServer } from '../support/server.ts';

let s: TestServer;
let rec: Rec;
let hospital: Client;
beforeAll(async () => {
  s = await testServer();
  rec = await openRecord(s);
  hospital = await s.as(callers.system('chu-demo'));
});
afterAll(() => s.stop());

it('an upload is readable by its depositor alone, until a document names it; then it is bound for good', async () => {
  const bytes = '0123456789'.repeat(100);
  const up = await hospital.post('Binary', bytes, { 'Content-Type': 'text/plain' });
  expect(up.status).toBe(201);
  const path = `Binary/${up.body.id}`;
  expect((await hospital.get(path)).text).toBe(bytes);
  expect((await (await s.as(callers.system('labo-demo'))).get(path)).status).toBe(404);
  const made = await hospital.post('DocumentReference', documentBody(rec.id, { content: [{ attachment: { contentType: 'text/plain', url: path } }] }));
  expect(made.body.content[0].attachment).toMatchObject({ url: path, size: 1000 });
  expect((await rec.patient.get(path)).text).toBe(bytes);
  expect((await hospital.post('DocumentReference', documentBody(rec.id, { content: [{ attachment: { contentType: 'text/plain', url: path } }] }))).status).toBe(422);
  expect((await hospital.delete(path)).status).toBe(405);
  expect((await hospital.put(path, { resourceType: 'Binary', id: up.body.id, contentType: 'text/plain', data: 'eA==' })).status).toBe(405);
});

it('answers by native type with safe headers, by ranges, or as a FHIR Binary', async () => {
  const made = await rec.deposit(hospital, { content: [{ attachment: { contentType: 'text/plain', data: Buffer.from('0123456789').toString('base64') } }] });
  const path = made.body.content[0].attachment.url;
  const whole = await hospital.get(path);
  expect(whole.headers.get('content-security-policy')).toContain('sandbox');
  expect(whole.headers.get('x-content-type-options')).toBe('nosniff');
  expect(whole.headers.get('content-disposition')).toMatch(/^attachment/);
  const part = await hospital.get(path, { Range: 'bytes=2-4' });
  expect([part.status, part.text, part.headers.get('content-range')]).toEqual([206, '234', 'bytes 2-4/10']);
  expect((await hospital.get(path, { Range: 'bytes=-3' })).text).toBe('789');
  expect((await hospital.get(path, { Range: 'bytes=50-' })).status).toBe(416);
  const fhir = await hospital.get(path, { Accept: 'application/fhir+json' });
  expect(fhir.body).toMatchObject({ resourceType: 'Binary', contentType: 'text/plain', data: Buffer.from('0123456789').toString('base64') });
  expect((await hospital.get(path, { 'If-None-Match': whole.headers.get('etag') as string })).status).toBe(304);
  expect((await hospital.send('HEAD', path)).headers.get('content-length')).toBe('10');
});
