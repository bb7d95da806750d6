// `npm run bench`: median, p99, rate, memory, on the embedded store. `--sizes 1000,100000` documents; `--seconds 3` a measure.
import { mkdtempSync, rmSync } from 'node:fs';
import { request, Agent } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { randomUUID } from 'node:crypto';
import { parseArgs } from 'node:util';
import { developmentKey, sign } from '../../server/auth/development.ts';
import { readConfig } from '../../server/config.ts';
import type { Json } from '../../server/fhir/types.ts';
import type { Caller } from '../../server/policy/caller.ts';
import { type Running, start } from '../../server/start.ts';
import * as callers from '../callers.ts';
import { consent } from '../consents.ts';
import { runStep, seedDirectory, run as post } from '../demo.ts';
import { record } from '../generate.ts';

const { values } = parseArgs({ options: { sizes: { type: 'string', default: '1000,100000' }, seconds: { type: 'string', default: '3' } } });
const SECONDS = Number(values.seconds);

type Sample = { name: string; clients: number; median: number; p99: number; rate: number };

const agent = new Agent({ keepAlive: true, maxSockets: 64 });

function call(base: string, token: string, method: string, path: string, body?: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const at = process.hrtime.bigint();
    const url = new URL(`${base}${path}`);
    const req = request({ agent, method, host: url.hostname, port: url.port, path: url.pathname + url.search, headers: { Authorization: `Bearer ${token}`, ...(body ? { 'Content-Type': 'application/fhir+json', 'Content-Length': Buffer.byteLength(body) } : {}) } }, (res) => {
      res.resume();
      res.on('end', () => ((res.statusCode ?? 500) >= 400 ? reject(new Error(`${method} ${path}: ${res.statusCode}`)) : resolve(Number(process.hrtime.bigint() - at) / 1e6)));
    });
    req.on('error', reject);
    req.end(body);
  });
}

async function measure(name: string, clients: number, once: () => Promise<number>): Promise<Sample> {
  for (let i = 0; i < 20; i++) await once();
  const times: number[] = [];
  const until = Date.now() + SECONDS * 1000;
  const started = Date.now();
  await Promise.all(Array.from({ length: clients }, async () => {
    while (Date.now() < until) times.push(await once());
  }));
  times.sort((a, b) => a - b);
  const at = (q: number): number => times[Math.min(times.length - 1, Math.floor(times.length * q))];
  return { name, clients, median: at(0.5), p99: at(0.99), rate: Math.round((times.length * 1000) / (Date.now() - started)) };
}

async function load(running: Running, documents: number): Promise<{ patients: string[]; ids: string[] }> {
  const patients: string[] = [];
  const now = Date.now();
  await seedDirectory(running.services, 7);
  for (let n = 0, made = 0; made < documents; n++) {
    const r = record(7, n, now, { documents: 20, demo: n === 0 });
    for (const s of r.steps) {
      await runStep(running.services, s);
      made += s.bundle.entry.filter((e: Json) => e.resource.resourceType === 'DocumentReference').length;
    }
    await post(running.services, callers.registry, { resourceType: 'Bundle', type: 'transaction', entry: [{ resource: { resourceType: 'Patient', id: r.id, birthDate: '1960-01-01', generalPractitioner: [{ reference: 'Practitioner/dr-martin' }] }, request: { method: 'PUT', url: `Patient/${r.id}` } }] });
    const kinds = r.steps.flatMap((x) => x.bundle.entry.map((e: Json) => String(e.resource.meta?.profile?.[0] ?? '')));
    if (kinds.some((k) => k.endsWith('-opening')) && !kinds.some((k) => k.endsWith('-closing'))) patients.push(r.id);
    if (process.stderr.isTTY && n % 50 === 0) process.stderr.write(`\rloading ${made}/${documents} `);
  }
  const ids: string[] = [];
  for (const p of patients.slice(0, 200)) ids.push(...(await running.deps.store.ids('DocumentReference', { kind: 'scalar', field: 'patient', op: 'eq', value: p })));
  return { patients, ids };
}

async function bench(size: number): Promise<void> {
  const dataDir = mkdtempSync(join(tmpdir(), 'dmp-bench-'));
  const port = 18000 + Math.floor(Math.random() * 1000);
  const config = readConfig({ PORT: String(port), DATA_DIR: dataDir, SEED: 'none', LOG_LEVEL: 'silent' });
  let running = await start(config);
  const t0 = Date.now();
  const { patients, ids } = await load(running, size);
  const loaded = Date.now() - t0;
  await running.stop();
  const t1 = Date.now();
  running = await start(config);
  const restart = Date.now() - t1;
  const key = await developmentKey(dataDir);
  const token = (c: Caller): Promise<string> => sign(key, config.base, { dmp: { kind: c.kind, system: c.ref, organization: c.organization, sector: c.sector, profession: c.profession, specialty: c.specialty, roles: c.roles }, ...(c.kind === 'system' ? {} : { fhirUser: c.ref }), scope: c.scopes.join(' ') }, { ttl: 3600, now: Date.now(), jti: randomUUID() });
  const doctor = await token(callers.professional('dr-martin'));
  const hospital = await token(callers.system('chu-demo'));
  const registry = await token(callers.registry);
  const pick = <T>(l: T[]): T => l[Math.floor(Math.random() * l.length)];
  const open = `bench-${size}`;
  await post(running.services, callers.registry, { resourceType: 'Bundle', type: 'transaction', entry: [{ resource: { resourceType: 'Patient', id: open }, request: { method: 'PUT', url: `Patient/${open}` } }] });
  await post(running.services, callers.patient(open), { resourceType: 'Bundle', type: 'transaction', entry: [{ resource: consent('opening', open, { dateTime: '2020-01-01T00:00:00Z' }), request: { method: 'POST', url: 'Consent' } }] });
  const document = (): Json => ({ resourceType: 'DocumentReference', status: 'current', type: { coding: [{ system: 'http://loinc.org', code: '34112-3' }] }, subject: { reference: `Patient/${open}` }, date: '2026-01-01T00:00:00Z', content: [{ attachment: { contentType: 'text/plain', data: Buffer.from(randomUUID()).toString('base64') } }] });
  const organisation = (): Json => ({ resourceType: 'Organization', name: `Bench ${randomUUID()}` });
  const rows: Sample[] = [];
  for (const clients of [1, 32]) {
    rows.push(await measure('read', clients, () => call(config.base, doctor, 'GET', `/DocumentReference/${pick(ids)}`)));
    rows.push(await measure('search page of 20', clients, () => call(config.base, doctor, 'GET', `/DocumentReference?patient=${pick(patients)}&_count=20`)));
    rows.push(await measure('create (document)', clients, () => call(config.base, hospital, 'POST', '/DocumentReference', JSON.stringify(document()))));
    rows.push(await measure('transaction of 20', clients, () => call(config.base, registry, 'POST', '', JSON.stringify({ resourceType: 'Bundle', type: 'transaction', entry: Array.from({ length: 20 }, () => ({ resource: organisation(), request: { method: 'POST', url: 'Organization' } })) }))));
  }
  const memory = Math.round(process.memoryUsage().rss / 1_048_576);
  process.stdout.write(`\n${size} documents: loaded at ${Math.round((size * 1000) / loaded)}/s with validation, gate and trail; restart ready in ${restart} ms; memory ${memory} MB (server and client in one process)\n`);
  process.stdout.write('| what | clients | median ms | p99 ms | per second |\n|---|---|---|---|---|\n');
  for (const r of rows) process.stdout.write(`| ${r.name} | ${r.clients} | ${r.median.toFixed(2)} | ${r.p99.toFixed(2)} | ${r.rate} |\n`);
  await running.stop();
  rmSync(dataDir, { recursive: true, force: true });
}

for (const size of String(values.sizes).split(',').map(Number)) await bench(size);
agent.destroy();
