// Records for a measure, deposited through the same interactions as any client's, without HTTP.
import type { Json, Resource } from '../../server/fhir/types.ts';
import { readConfig } from '../../server/config.ts';
import { type Running, start } from '../../server/start.ts';
import * as callers from '../callers.ts';
import { run, runStep, seedDirectory } from '../demo.ts';
import { record } from '../generate.ts';
import { freePort } from './client.ts';

export type Loaded = { patients: string[]; ids: string[]; rate: number; documents: number };

/** A server in this process, on a folder that another will serve later. */
export async function embedded(dataDir: string, env: Record<string, string> = {}): Promise<Running> {
  return start(readConfig({ PORT: String(await freePort()), DATA_DIR: dataDir, SEED: 'none', LOG_LEVEL: 'silent', ...env }));
}

export const put = (...resources: Json[]): Resource => ({ resourceType: 'Bundle', type: 'transaction', entry: resources.map((resource) => ({ resource, request: { method: 'PUT', url: `${resource.resourceType}/${resource.id}` } })) });
export const post = (...resources: Json[]): Resource => ({ resourceType: 'Bundle', type: 'transaction', entry: resources.map((resource) => ({ resource, request: { method: 'POST', url: resource.resourceType } })) });

const kindsOf = (entries: Json[]): string[] => entries.map((e) => String(e.resource.meta?.profile?.[0] ?? ''));

/** Loads records until so many documents stand; `patients` are those whose open record dr-martin treats. */
export async function load(dataDir: string, documents: number): Promise<Loaded> {
  const running = await embedded(dataDir);
  const { services } = running;
  const patients: string[] = [];
  const now = Date.now();
  await seedDirectory(services, 7);
  const started = Date.now();
  let made = 0;
  let n = 0;
  const worker = async (): Promise<void> => {
    while (made < documents) {
      const i = n++;
      const r = record(7, i, now, { documents: 20, demo: i === 0 });
      for (const s of r.steps) {
        await runStep(services, s);
        made += s.bundle.entry.filter((e: Json) => e.resource.resourceType === 'DocumentReference').length;
      }
      await run(services, callers.registry, put({ resourceType: 'Patient', id: r.id, birthDate: '1960-01-01', generalPractitioner: [{ reference: 'Practitioner/dr-martin' }] }));
      const kinds = r.steps.flatMap((x) => kindsOf(x.bundle.entry));
      if (kinds.some((k) => k.endsWith('-opening')) && !kinds.some((k) => k.endsWith('-closing'))) patients.push(r.id);
      if (process.stderr.isTTY && i % 50 === 0) process.stderr.write(`\rloading ${made}/${documents} `);
    }
  };
  await Promise.all(Array.from({ length: 4 }, worker));
  const rate = Math.round((made * 1000) / (Date.now() - started));
  const ids: string[] = [];
  for (const p of patients.slice(0, 500)) ids.push(...(await running.deps.store.ids('DocumentReference', { kind: 'scalar', field: 'patient', op: 'eq', value: p })));
  await running.stop();
  return { patients, ids, rate, documents: made };
}
