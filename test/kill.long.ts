// SIGKILL during 1,000 concurrent writes: everything acknowledged is there, whole; no event of an answered request is lost.
import { afterAll, expect, it } from '@jest/globals';
import { rmSync } from 'node:fs';
import { anchorFile } from '../server/audit/seal.ts';
import { verifyTrail } from '../server/audit/verify.ts';
import { sqliteStore } from '../server/store/sqlite/store.ts';
import * as callers from '../seed/callers.ts';
import { consent } from '../seed/consents.ts';
import { launch, type Launched } from './support/process.ts';
import { documentBody, temporaryFolder } from './support/server.ts';

const running: Launched[] = [];
afterAll(() => running.forEach((r) => r.kill()));

it('loses nothing that it acknowledged', async () => {
  const dataDir = temporaryFolder();
  const first = await launch(dataDir);
  running.push(first);
  const [base, hospital] = [first.base, await first.token(callers.system('chu-demo'))];
  const send = (token: string, method: string, path: string, body: unknown) => fetch(`${base}/${path}`, { method, body: JSON.stringify(body), headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/fhir+json' } });
  await first.send(callers.registry, 'PUT', 'Patient/killed', { resourceType: 'Patient', id: 'killed' });
  expect((await first.send(callers.patient('killed'), 'POST', 'Consent', consent('opening', 'killed', { dateTime: '2020-01-01T00:00:00Z' }))).status).toBe(201);

  const acknowledged: { id: string; request: string | null; url: string }[] = [];
  const writes = Array.from({ length: 1_000 }, async () => {
    const r = await send(hospital, 'POST', 'DocumentReference', documentBody('killed')).catch(() => undefined);
    if (r?.status !== 201) return;
    const body = (await r.json().catch(() => undefined)) as any;
    if (body) acknowledged.push({ id: body.id, request: r.headers.get('x-request-id'), url: body.content[0].attachment.url });
  });
  while (acknowledged.length < 200) await new Promise((r) => setTimeout(r, 5));
  first.kill();
  await Promise.all(writes);
  expect(acknowledged.length).toBeLessThan(1_000);

  // At the same address, so that tokens and links hold.
  const second = await launch(dataDir, { PORT: String(first.port) });
  running.push(second);
  const found: string[] = [];
  let next: string | undefined = `${base}/DocumentReference?patient=killed&_count=200`;
  while (next) {
    const page = (await (await fetch(next, { headers: { Authorization: `Bearer ${hospital}` } })).json()) as any;
    found.push(...page.entry.map((e: any) => e.resource.id));
    next = page.link.find((l: any) => l.relation === 'next')?.url;
  }
  expect(acknowledged.filter((a) => !found.includes(a.id))).toEqual([]);
  for (const a of acknowledged.slice(0, 50)) {
    expect((await fetch(`${base}/DocumentReference/${a.id}/_history/1`, { headers: { Authorization: `Bearer ${hospital}` } })).status).toBe(200);
    expect((await fetch(`${base}/${a.url}`, { headers: { Authorization: `Bearer ${hospital}` } })).status).toBe(200);
  }
  // Whatever was stored without its answer being seen is whole too.
  for (const id of found.slice(0, 100)) expect((await fetch(`${base}/DocumentReference/${id}`, { headers: { Authorization: `Bearer ${hospital}` } })).status).toBe(200);
  expect(await second.stop()).toBe(0);

  const store = sqliteStore(dataDir, 'check');
  const events = new Set<string>();
  for (const p of await store.trail.processes()) for (const e of await store.trail.events(p, 0, 1_000_000)) for (const m of e.text.matchAll(/"identifier":\{"value":"([^"]+)"/g)) events.add(m[1]);
  expect(acknowledged.filter((a) => a.request && !events.has(a.request))).toEqual([]);
  const verdict = await verifyTrail(store, anchorFile(dataDir, undefined));
  expect(verdict.finding).toBeUndefined();
  await store.close();
  rmSync(dataDir, { recursive: true, force: true });
}, 180_000);
