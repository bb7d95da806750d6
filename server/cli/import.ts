// `npm run import -- FILE…`: NDJSON, Bundles, folders, gzip. Run it again after an interruption: it goes on where it was.
import { statSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { readConfig } from '../config.ts';
import { lanesFor, startLanes } from '../import/lanes.ts';
import { letGoOfAll, runImport } from '../import/run.ts';
import { filesOf } from '../import/source.ts';
import { type Progress, progress } from './progress.ts';

const { positionals, values } = parseArgs({ allowPositionals: true, options: { chunk: { type: 'string' }, lanes: { type: 'string' }, 'let-go': { type: 'boolean' } } });
const missing = positionals.filter((p) => !statSync(p, { throwIfNoEntry: false }));
const whole = (v: string | undefined): boolean => v === undefined || /^[1-9]\d{0,5}$/.test(v);
if ((positionals.length > 0) === (values['let-go'] ?? false) || missing.length || !whole(values.chunk) || !whole(values.lanes)) {
  process.stderr.write(`${missing.map((m) => `${m} is not there.\n`).join('')}Usage: npm run import -- FILE… (.ndjson .json, .gz of them, folders) [--chunk RESOURCES] [--lanes PROCESSES]\n       npm run import -- --let-go (opens the records that imports hold which will not be run again)\n`);
  process.exit(2);
}
const { dataDir } = readConfig(process.env);
if (values['let-go']) {
  const [lane] = await startLanes(1, process.env);
  await letGoOfAll(lane);
  process.stdout.write('No record is held.\n');
  process.exit(0);
}
const started = Date.now();
let bar: Progress | undefined;
const r = await runImport({
  dataDir,
  files: filesOf(positionals),
  lanes: (total) => startLanes(values.lanes ? Number(values.lanes) : lanesFor(total), process.env),
  chunk: values.chunk === undefined ? undefined : Number(values.chunk),
  begun: (total) => {
    bar = progress('resources', total);
  },
  progress: (n) => bar?.step(n),
}).catch((e) => {
  process.stderr.write(`\nThe import ended: ${e instanceof Error ? e.message : String(e)}\nNothing is lost: run it again, and it goes on where it was.\n`);
  process.exit(1);
});
bar?.end();
process.stdout.write(`${r.taken} taken at ${Math.round((r.taken * 1000) / Math.max(1, Date.now() - started))}/s, ${r.refused} refused, ${r.skipped} taken before.${r.refused ? ` Why: ${r.report}` : ''}\n`);
if (r.closed) process.stdout.write(`${r.closed} records are held closed by other imports, which have not ended: run them to their end, or open the records as they stand: npm run import -- --let-go\n`);
process.exit(r.refused ? 3 : 0);
