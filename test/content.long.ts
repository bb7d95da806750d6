// A raw document of 100 MB moves without the process growing by 50 MB; inside a Bundle, by less than three times its body.
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { Readable } from 'node:stream';
import * as callers from '../seed/callers.ts';
import { consent } from '../seed/consents.ts';
import { launch, type Launched } from './support/process.ts';
import { temporaryFolder } from './support/server.ts';

const MB = 1_048_576;
const SIZE = 100 * MB;
const dataDir = temporaryFolder();
let server: Launched;
const linux = existsSync('/proc/self/status');
if (!linux) process.stdout.write('skipped: memory is read from /proc\n');

beforeAll(async () => {
  server = await launch(dataDir);
  await server.send(callers.registry, 'PUT', 'Patient/large', { resourceType: 'Patient', id: 'large' });
  await server.send(callers.patient('large'), 'POST', 'Consent', consent('opening', 'large', { dateTime: '2020-01-01T00:00:00Z' }));
}, 60_000);
afterAll(async () => {
  await server.stop();
  rmSync(dataDir, { recursive: true, force: true });
});

/** Resident memory and its peak since it was last reset, in bytes. */
const memory = (field: 'VmRSS' | 'VmHWM'): number => Number(new RegExp(`${field}:\\s+(\\d+)`).exec(readFileSync(`/proc/${server.pid}/status`, 'utf8'))?.[1]) * 1024;
const resetPeak = (): void => writeFileSync(`/proc/${server.pid}/clear_refs`, '5');

function* zeros(): Generator<Buffer> {
  const block = Buffer.alloc(MB, 7);
  for (let i = 0; i < SIZE / MB; i++) yield block;
}

(linux ? it : it.skip)('raw, both ways', async () => {
  const token = await server.token(callers.system('chu-demo'));
  // Once before, so that what is measured is not what is loaded.
  await fetch(`${server.base}/Binary`, { method: 'POST', body: 'x', headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/octet-stream' } });
  resetPeak();
  const before = memory('VmRSS');
  const up = await fetch(`${server.base}/Binary`, { method: 'POST', body: Readable.from(zeros()) as never, duplex: 'half', headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/octet-stream' } } as never);
  expect(up.status).toBe(201);
  const { id } = (await up.json()) as { id: string };
  const down = await fetch(`${server.base}/Binary/${id}`, { headers: { Authorization: `Bearer ${token}`, Accept: 'application/octet-stream' } });
  let size = 0;
  for await (const chunk of down.body as unknown as AsyncIterable<Uint8Array>) size += chunk.length;
  expect(size).toBe(SIZE);
  const grown = (memory('VmHWM') - before) / MB;
  process.stdout.write(`100 MB raw, up and down: grown by ${Math.round(grown)} MB\n`);
  expect(grown).toBeLessThan(50);
}, 120_000);

(linux ? it : it.skip)('inside a Bundle', async () => {
  const data = Buffer.alloc(72 * MB, 7).toString('base64');
  const body = JSON.stringify({ resourceType: 'Bundle', type: 'transaction', entry: [{ resource: { resourceType: 'DocumentReference', status: 'current', type: { coding: [{ system: 'http://loinc.org', code: '34112-3' }] }, subject: { reference: 'Patient/large' }, content: [{ attachment: { contentType: 'application/octet-stream', data } }] }, request: { method: 'POST', url: 'DocumentReference' } }] });
  resetPeak();
  const before = memory('VmRSS');
  const a = await server.send(callers.system('chu-demo'), 'POST', '', body);
  expect([a.status, a.status === 200 ? '' : await a.text()]).toEqual([200, '']);
  const times = (memory('VmHWM') - before) / body.length;
  process.stdout.write(`${Math.round(body.length / MB)} MB Bundle: grown by ${times.toFixed(1)} times its body\n`);
  expect(times).toBeLessThan(3);
}, 120_000);
