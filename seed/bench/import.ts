// How fast a region moves in: NDJSON through validation, write rules and trail.
import { join } from 'node:path';
import { runImport } from '../../server/import/run.ts';
import { writeNdjson } from '../ndjson.ts';
import { folder, remove } from './client.ts';
import { embedded } from './load.ts';

export async function benchImport(documents: number): Promise<void> {
  const dataDir = folder();
  const file = join(dataDir, 'region.ndjson');
  const n = await writeNdjson(file, { patients: Math.ceil(documents / 20), seed: 5, documents: 20, now: Date.now() });
  const running = await embedded(dataDir);
  const started = Date.now();
  const r = await runImport({ services: running.services, deps: running.deps, dataDir, files: [file] });
  const seconds = (Date.now() - started) / 1000;
  process.stdout.write(`\nImport: ${r.taken} resources, ${n} of them documents with bytes, ${r.refused} refused, in ${Math.round(seconds)} s: ${Math.round(r.taken / seconds)} resources/s, ${Math.round(n / seconds)} documents/s; memory ${Math.round(process.memoryUsage().rss / 1_048_576)} MB\n`);
  await running.stop();
  remove(dataDir);
}
