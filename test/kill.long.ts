// SIGKILL during 1,000 concurrent writes: everything acknowledged is there, whole; no event of an answered request is lost.
import { afterAll, expect, it } from '@jest/globals';
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, rmSync } from 'node:fs';
import { randomUUID } from 'node:crypto';
import { developmentKey, sign } from '../server/auth/development.ts';
import { anchorFile } from '../server/audit/seal.ts';
import { verifyTrail } from '../server/audit/verify.ts';
import { sqliteStore } from '../server/store/sqlite/store.ts';
import * as callers from '../seed/callers.ts';
import { consent } from '../seed/consents.ts';
import { dmpClaims, documentBody, freePort, temporaryFolder } from './support/server.ts';

const children: ChildProcess[] = [];
afterAll(() => children.forEach((c) => c.kill('SIGKILL')));

async function launch(port: number, dataDir: string): Promise<ChildProcess> {
  if (!existsSync('dist/server/main.js')) throw new Error('run `npm run build` first');
  const child = spawn(process.execPath, ['dist/server/main.js'], { env: { PATH: process.env.PATH, PORT: String(port), DATA_DIR: dataDir, SEED: 'demo', LOG_LEVEL: 'silent' }, stdio: 'ignore' });
  children.push(child);
  for (let i = 0; i < 200; i++) {
    const ok = await fetch(`http://127.0.0.1:${port}/readyz`).then((r) => r.ok, () => false);
    if (ok) return child;
    await new Promise((r) => setTimeout(r, 100));
  }
  throw new Error('the server does not start');
}

it('loses nothing that it acknowledged', async () => {
  const dataDir = temporaryFolder();
  const port = await freePort();
  const base = `http://127.0.0.1:${port}/fhir`;
  const child = await launch(port, dataDir);
  const key = await developmentKey(dataDir);
  const tokenOf = (c: typeof callers.registry) => sign(key, base, { dmp: dmpClaims(c), ...(c.kind === 'system' ? {} : { fhirUser: c.ref }), scope: c.scopes.join(' ') }, { ttl: 600, now: Date.now(), jti: randomUUID() });
  const [registry, hospital, patient] = await Promise.all([tokenOf(callers.registry), tokenOf(callers.system('chu-demo')), tokenOf(callers.patient('killed'))]);
  const send = (token: string, method: string, path: string, body: unknown) => fetch(`${base}/${path}`, { method, body: JSON.stringify(body), headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/fhir+json' } });
  await send(registry, 'PUT', 'Patient/killed', { resourceType: 'Patient', id: 'killed' });
  expect((await send(patient, 'POST', 'Consent', consent('opening', 'killed', { dateTime: '2020-01-01T00:00:00Z' }))).status).toBe(201);

  const acknowledged: { id: string; request: string | null; url: string }[] = [];
  const writes = Array.from({ length: 1_000 }, async () => {
    const r = await send(hospital, 'POST', 'DocumentReference', documentBody('killed')).catch(() => undefined);
    if (r?.status !== 201) return;
    const body = (await r.json().catch(() => undefined)) as any;
    if (body) acknowledged.push({ id: body.id, request: r.headers.get('x-request-id'), url: body.content[0].attachment.url });
  });
  while (acknowledged.length < 200) await new Promise((r) => setTimeout(r, 5));
  child.kill('SIGKILL');
  await Promise.all(writes);
  expect(acknowledged.length).toBeLessThan(1_000);

  const second = await launch(port, dataDir);
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
  const exit = new Promise((r) => second.once('exit', r));
  second.kill('SIGTERM');
  expect(await exit).toBe(0);

  const store = sqliteStore(dataDir, 'check');
  const events = new Set<string>();
  for (const p of await store.trail.processes()) for (const e of await store.trail.events(p, 0, 1_000_000)) for (const m of e.text.matchAll(/"identifier":\{"value":"([^"]+)"/g)) events.add(m[1]);
  expect(acknowledged.filter((a) => a.request && !events.has(a.request))).toEqual([]);
  const verdict = await verifyTrail(store, anchorFile(dataDir, undefined));
  expect(verdict.finding).toBeUndefined();
  await store.close();
  rmSync(dataDir, { recursive: true, force: true });
}, 180_000);
