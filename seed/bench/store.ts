// create, read, search page, transaction of 20: one client and 32, at several sizes.
import { randomUUID } from 'node:crypto';
import type { Json } from '../../server/fhir/types.ts';
import * as callers from '../callers.ts';
import { consent } from '../consents.ts';
import { call, folder, measure, pick, remove, type Sample, serve, table } from './client.ts';
import { type Loaded, load, post, put } from './load.ts';

const document = (patient: string): Json => ({ resourceType: 'DocumentReference', status: 'current', type: { coding: [{ system: 'http://loinc.org', code: '34112-3' }] }, subject: { reference: `Patient/${patient}` }, date: '2026-01-01T00:00:00Z', content: [{ attachment: { contentType: 'text/plain', data: Buffer.from(randomUUID()).toString('base64') } }] });
const organisation = (): Json => ({ resourceType: 'Organization', name: `Bench ${randomUUID()}` });

const ROUNDS = 2;
/** Patients of a small working set. */
const FEW = 40;

/** One round over one store. */
async function round(store: Stored, seconds: number): Promise<void> {
  const { dataDir, patients, ids } = store;
  const few = patients.slice(0, FEW);
  const s = await serve(dataDir);
  const [doctor, hospital, registry] = await Promise.all([callers.professional('dr-martin'), callers.system('chu-demo'), callers.registry].map(s.token));
  const own = `bench-open-${store.ready.length}`;
  await call(s.base, registry, 'POST', '', JSON.stringify(put({ resourceType: 'Patient', id: own })));
  await call(s.base, await s.token(callers.patient(own)), 'POST', '', JSON.stringify(post(consent('opening', own, { dateTime: '2020-01-01T00:00:00Z' }))));
  const one = (name: string, clients: number, once: () => Promise<number>) => measure(name, clients, seconds, once).then((r) => void store.rows.push(r));
  for (const clients of [1, 32]) {
    await one('read', clients, () => call(s.base, doctor, 'GET', `/DocumentReference/${pick(ids)}`));
    // The same few patients at every size, as a ward asks for them; then any patient, most of them for the first time since the start.
    await one('search page of 20', clients, () => call(s.base, doctor, 'GET', `/DocumentReference?patient=${pick(few)}&_count=20`));
    await one('search page of 20, any patient', clients, () => call(s.base, doctor, 'GET', `/DocumentReference?patient=${pick(patients)}&_count=20`));
    await one('create (document with bytes)', clients, () => call(s.base, hospital, 'POST', '/DocumentReference', JSON.stringify(document(own))));
    await one('transaction of 20', clients, () => call(s.base, registry, 'POST', '', JSON.stringify(post(...Array.from({ length: 20 }, organisation)))));
  }
  store.ready.push(s.ready);
  store.memory.push(s.memory());
  await s.stop();
}

type Stored = Loaded & { dataDir: string; rows: Sample[]; ready: number[]; memory: number[] };

/** Every size is loaded first, then they are measured in turn: a machine's mood falls on all of them. */
export async function benchStore(sizes: number[], seconds: number): Promise<void> {
  const stores: Stored[] = [];
  for (const size of sizes) {
    const dataDir = folder();
    stores.push({ ...(await load(dataDir, size)), dataDir, rows: [], ready: [], memory: [] });
  }
  for (let i = 0; i < ROUNDS; i++) for (const store of stores) await round(store, seconds);
  for (const { documents, rate, ready, memory, rows, dataDir } of stores) {
    process.stdout.write(`\n${documents} documents: loaded at ${rate}/s with validation, gate and trail; ready in ${ready.join(' and ')} ms; memory ${memory.join(' and ')} MB\n`);
    table(rows.sort((a, b) => a.clients - b.clients || (a.name < b.name ? -1 : a.name > b.name ? 1 : 0)));
    remove(dataDir);
  }
}
