// What the gate costs: ACCESS=consent against ACCESS=open over the same store; large records half hidden, nearly all hidden; many patients.
import { execFileSync } from 'node:child_process';
import type { Json } from '../../server/fhir/types.ts';
import * as callers from '../callers.ts';
import { consent } from '../consents.ts';
import { run, seedDirectory } from '../demo.ts';
import { call, folder, measure, pick, remove, type Sample, serve, table } from './client.ts';
import { embedded, post, put } from './load.ts';

const A07 = 'https://mos.esante.gouv.fr/NOS/TRE_A07-StatutVisibiliteDocument/FHIR/TRE-A07-StatutVisibiliteDocument';
const document = (patient: string, n: number, masked: boolean) => ({
  resourceType: 'DocumentReference', status: 'current', type: { coding: [{ system: 'http://loinc.org', code: '34112-3' }] }, subject: { reference: `Patient/${patient}` }, date: new Date(Date.UTC(2020, 0, 1) + n * 3_600_000).toISOString(),
  ...(masked ? { securityLabel: [{ coding: [{ system: A07, code: 'MASQUE_PS' }] }] } : {}), content: [{ attachment: { contentType: 'text/plain', url: `https://elsewhere.example/${patient}/${n}`, hash: 'AAAA' } }],
});

const BATCH = 100;

/** Consents of an open record that authorises dr-martin. */
const opened = (patient: string): Json[] => [consent('opening', patient, { dateTime: '2020-01-01T00:00:00Z' }), consent('authorisation', patient, { dateTime: new Date(Date.now() - 1000).toISOString(), actors: ['Practitioner/dr-martin'] })];

/** A record of 5,000 documents, of which a professional sees so many. */
async function fill(services: Parameters<typeof run>[0], patient: string, visible: (n: number) => boolean, documents: number): Promise<void> {
  await run(services, callers.registry, put({ resourceType: 'Patient', id: patient, birthDate: '1960-01-01' }));
  await run(services, callers.patient(patient), post(...opened(patient)));
  for (let n = 0; n < documents; n += 500) await run(services, callers.system('chu-demo'), post(...Array.from({ length: Math.min(500, documents - n) }, (_, i) => document(patient, n + i, !visible(n + i)))));
}

/** The same gated page among so many patients. Each size keeps a copy of its store, and they are measured in turn: a machine's mood then falls on all. */
async function flatness(dataDir: string, seconds: number, patients: number[]): Promise<Sample[]> {
  const stores: [number, string][] = [];
  let made = 0;
  for (const n of patients) {
    const more = await embedded(dataDir);
    for (; made < n; made += BATCH) {
      const ids = Array.from({ length: Math.min(BATCH, n - made) }, (_, i) => `p${made + i}`);
      await run(more.services, callers.registry, put(...ids.map((id) => ({ resourceType: 'Patient', id, birthDate: '1960-01-01' }))));
      await Promise.all(ids.map((id) => run(more.services, callers.patient(id), post(...opened(id)))));
      await run(more.services, callers.system('chu-demo'), post(...ids.map((id) => document(id, 0, false))));
      if (process.stderr.isTTY) process.stderr.write(`\rpatients ${made}/${n} `);
    }
    await more.stop();
    const copy = folder();
    // By another process: to close a copied database here would drop the locks of one that is open here.
    execFileSync(process.execPath, ['-e', 'require("fs").cpSync(process.argv[1], process.argv[2], { recursive: true })', dataDir, copy]);
    stores.push([n, copy]);
  }
  const rows: Sample[] = [];
  for (const round of [1, 2]) {
    for (const [n, store] of stores) {
      const s = await serve(store);
      const token = await s.token(callers.professional('dr-martin'));
      // Some hundred patients asked for again and again, as a hospital's day does; then any of all, most of them for the first time.
      for (const [who, among] of [['300 of', 300], ['any of', n]] as const) {
        rows.push(await measure(`gated page, ${who} ${n} patients, round ${round}`, 1, seconds, () => call(s.base, token, 'GET', `/DocumentReference?patient=p${Math.floor(Math.random() * among)}&_count=20`)));
      }
      await s.stop();
    }
  }
  for (const [, store] of stores) remove(store);
  return rows;
}

export async function benchGate(seconds: number, patients: number[]): Promise<void> {
  const dataDir = folder();
  const local = await embedded(dataDir);
  await seedDirectory(local.services, 7);
  await fill(local.services, 'half', (n) => n % 2 === 0, 5_000);
  await fill(local.services, 'all', () => true, 5_000);
  await fill(local.services, 'few', (n) => n % 500 === 0, 5_000);
  const ids = await local.deps.store.ids('DocumentReference', { kind: 'and', of: [{ kind: 'scalar', field: 'patient', op: 'eq', value: 'half' }, { kind: 'scalar', field: 'maskPs', op: 'eq', value: 0 }] });
  await local.stop();
  const doctor = callers.professional('dr-martin');
  const rows: Sample[] = [];
  // Twice in turn: a machine's mood then falls on both.
  for (const [round, access] of [[1, 'open'], [1, 'consent'], [2, 'open'], [2, 'consent']] as const) {
    const s = await serve(dataDir, { ACCESS: access });
    const token = await s.token(doctor);
    const page = (p: string) => () => call(s.base, token, 'GET', `/DocumentReference?patient=${p}&_count=20`);
    const measured = async (what: string, once: () => Promise<number>) => void rows.push(await measure(`${what}, ACCESS=${access}, round ${round}`, 1, seconds, once));
    await measured('read', () => call(s.base, token, 'GET', `/DocumentReference/${pick(ids)}`));
    await measured('page of 20 of 5,000 half hidden', page('half'));
    await measured('page of 20 of 5,000 with 4,990 hidden', page('few'));
    await s.stop();
  }
  rows.push(...(await flatness(dataDir, seconds, patients)));
  process.stdout.write('\nThe gate\n');
  table(rows);
  remove(dataDir);
}
