// How fast a region moves in: NDJSON through validation, write rules and trail.
import { join } from 'node:path';
import { lanesFor, startLanes } from '../../server/import/lanes.ts';
import { runImport } from '../../server/import/run.ts';
import { writeNdjson } from '../ndjson.ts';
import { folder, remove } from './client.ts';

export async function benchImport(documents: number): Promise<void> {
  const dataDir = folder();
  const file = join(dataDir, 'region.ndjson');
  const n = await writeNdjson(file, { patients: Math.ceil(documents / 20), seed: 5, documents: 20, now: Date.now() });
  const started = Date.now();
  const r = await runImport({ dataDir, files: [file], lanes: (total) => startLanes(lanesFor(total), { ...process.env, DATA_DIR: dataDir }) });
  const seconds = (Date.now() - started) / 1000;
  process.stdout.write(`\nImport: ${r.taken} resources, ${n} of them documents with bytes, ${r.refused} refused, in ${Math.round(seconds)} s: ${Math.round(r.taken / seconds)} resources/s, ${Math.round(n / seconds)} documents/s\n`);
  remove(dataDir);
}
