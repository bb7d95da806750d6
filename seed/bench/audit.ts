// What the trail costs: reads and writes with it and without, a patient's history among a million events, verification.
import { randomUUID } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { anchorFile } from '../../server/audit/seal.ts';
import { verifyTrail } from '../../server/audit/verify.ts';
import type { AuditRow } from '../../server/store/port.ts';
import * as keys from '../../server/search/keys.ts';
import * as callers from '../callers.ts';
import { call, folder, measure, pick, remove, type Sample, serve, table } from './client.ts';
import { embedded, load } from './load.ts';

/** Over HTTP: the server as it is, and one whose store drops its events (untrailed.ts), each in a process of its own. */
async function compare(dataDir: string, ids: string[], seconds: number): Promise<Sample[]> {
  const rows: Sample[] = [];
  for (const on of [true, false, true, false]) {
    const s = await serve(dataDir, {}, on ? undefined : fileURLToPath(new URL('./untrailed.js', import.meta.url)));
    const [doctor, registry] = await Promise.all([callers.professional('dr-martin'), callers.registry].map(s.token));
    const name = on ? 'trail on' : 'trail off';
    for (const clients of [1, 32]) {
      rows.push(await measure(`read, ${name}`, clients, seconds, () => call(s.base, doctor, 'GET', `/DocumentReference/${pick(ids)}`)));
      rows.push(await measure(`create, ${name}`, clients, seconds, () => call(s.base, registry, 'POST', '/Organization', JSON.stringify({ resourceType: 'Organization', name: `Bench ${randomUUID()}` }))));
    }
    await s.stop();
  }
  return rows;
}

const EVENTS = 1_000_000;

/** A million events, a thousand of them one patient's; then sealed and verified. */
async function million(dataDir: string, seconds: number): Promise<void> {
  const running = await embedded(dataDir);
  const { store } = running.deps;
  const sample = (await store.search({ type: 'AuditEvent', plan: { kind: 'all' }, sort: [{ by: 'date', desc: true }], limit: 1 }))[0].row;
  const started = Date.now();
  for (let n = 0; n < EVENTS; n += 2_000) {
    const audit: AuditRow[] = Array.from({ length: 2_000 }, (_, i) => {
      const id = randomUUID();
      const patient = (n + i) % 1_000 === 0 ? 'watched' : `crowd-${(n + i) % 5_000}`;
      return { id, patient, date: Date.now() - (EVENTS - n - i) * 1000, text: sample.text.replace(sample.id, id), terms: [keys.referenceKey(keys.paramKey('AuditEvent', 'patient'), `Patient/${patient}`)], docs: [] };
    });
    await store.commit({ ops: [], audit });
    if (process.stderr.isTTY) process.stderr.write(`\revents ${n} `);
  }
  process.stdout.write(`\n${EVENTS} events stored at ${Math.round((EVENTS * 1000) / (Date.now() - started))}/s\n`);
  await running.stop();
  const s = await serve(dataDir);
  await call(s.base, await s.token(callers.registry), 'POST', '', JSON.stringify({ resourceType: 'Bundle', type: 'transaction', entry: [{ resource: { resourceType: 'Patient', id: 'watched' }, request: { method: 'PUT', url: 'Patient/watched' } }] }));
  const token = await s.token(callers.patient('watched'));
  const rows = [
    await measure('AuditEvent page of 20 of 1,000 among 1,000,000', 1, seconds, () => call(s.base, token, 'GET', '/AuditEvent?patient=watched&_count=20')),
    await measure('$access-history page of 20, the same', 1, seconds, () => call(s.base, token, 'GET', '/Patient/watched/$access-history?_count=20')),
  ];
  table(rows);
  await s.stop();
  const again = await embedded(dataDir);
  const at = Date.now();
  const verdict = await verifyTrail(again.deps.store, anchorFile(dataDir, undefined));
  process.stdout.write(`${verdict.events} events in ${verdict.seals} seals verified at ${Math.round((verdict.events * 1000) / (Date.now() - at))}/s: ${verdict.finding ? `FAULT ${JSON.stringify(verdict.finding)}` : 'whole'}\n`);
  await again.stop();
}

export async function benchAudit(seconds: number): Promise<void> {
  const dataDir = folder();
  const { ids } = await load(dataDir, 1_000);
  process.stdout.write('\nThe trail\n');
  table(await compare(dataDir, ids, seconds));
  await million(dataDir, seconds);
  remove(dataDir);
}
