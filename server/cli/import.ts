// `npm run import -- FILE…`: NDJSON, Bundles, folders, gzip. Run it again after an interruption: it goes on where it was.
import { statSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { readConfig } from '../config.ts';
import { lanesFor, startLanes } from '../import/lanes.ts';
import { runImport } from '../import/run.ts';
import { filesOf } from '../import/source.ts';
import { type Progress, progress } from './progress.ts';

const { positionals, values } = parseArgs({ allowPositionals: true, options: { chunk: { type: 'string' }, lanes: { type: 'string' } } });
const missing = positionals.filter((p) => !statSync(p, { throwIfNoEntry: false }));
const whole = (v: string | undefined): boolean => v === undefined || /^[1-9]\d{0,5}$/.test(v);
if (!positionals.length || missing.length || !whole(values.chunk) || !whole(values.lanes)) {
  process.stderr.write(`${missing.map((m) => `${m} is not there.\n`).join('')}Usage: npm run import -- FILE… (.ndjson .json, .gz of them, folders) [--chunk RESOURCES] [--lanes PROCESSES]\n`);
  process.exit(2);
}
const { dataDir } = readConfig(process.env);
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
process.exit(r.refused ? 3 : 0);
