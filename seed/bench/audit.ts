// What the trail costs: reads and writes with it and without (the store's own commit of events replaced by nothing, in this process only),
// a patient's history among a million events, verification.
import { randomUUID } from 'node:crypto';
import { anchorFile } from '../../server/audit/seal.ts';
import { verifyTrail } from '../../server/audit/verify.ts';
import type { Ask } from '../../server/access/deps.ts';
import { dispatch } from '../../server/interaction/dispatch.ts';
import type { Running } from '../../server/start.ts';
import type { AuditRow } from '../../server/store/port.ts';
import * as callers from '../callers.ts';
import { call, folder, measure, remove, type Sample, serve, table } from './client.ts';
import { embedded, load } from './load.ts';

const organisation = () => ({ resourceType: 'Organization', name: `Bench ${randomUUID()}` });

/** The store without its trail: what remains of a commit. */
function withoutTrail(running: Running): () => void {
  const { store } = running.deps;
  const real = store.commit;
  store.commit = (c) => (c.ops.length ? real({ ...c, audit: [] }) : Promise.resolve());
  return () => {
    store.commit = real;
  };
}

async function compare(dataDir: string, ids: string[], seconds: number): Promise<Sample[]> {
  const running = await embedded(dataDir);
  const ask = (): Ask => ({ caller: callers.professional('dr-martin'), requestId: randomUUID(), now: Date.now() });
  const timed = async (work: Promise<unknown>, at = performance.now()): Promise<number> => work.then(() => performance.now() - at);
  const doctor = ask().caller;
  const read = () => timed(dispatch(running.services, { ...ask(), caller: doctor }, { method: 'GET', path: `DocumentReference/${ids[Math.floor(Math.random() * ids.length)]}`, query: [], headers: {} }));
  const write = () => timed(dispatch(running.services, { ...ask(), caller: callers.registry }, { method: 'POST', path: 'Organization', query: [], headers: {}, body: organisation() }));
  const rows: Sample[] = [];
  for (const on of [true, false, true, false]) {
    const restore = on ? () => {} : withoutTrail(running);
    const name = on ? 'trail on' : 'trail off';
    rows.push(await measure(`read, ${name}`, 1, seconds, read), await measure(`read, ${name}`, 32, seconds, read), await measure(`create, ${name}`, 1, seconds, write), await measure(`create, ${name}`, 32, seconds, write));
    restore();
  }
  await running.stop();
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
      return { id, patient, date: Date.now() - (EVENTS - n - i) * 1000, text: sample.text.replace(sample.id, id), terms: [], docs: [] };
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
  process.stdout.write('\nThe trail (no HTTP: the interactions alone)\n');
  table(await compare(dataDir, ids, seconds));
  await million(dataDir, seconds);
  remove(dataDir);
}
