// `npm run import -- FILE…`: NDJSON, Bundles, folders, gzip. Run it again after an interruption: it goes on where it was.
import { statSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { readConfig } from '../config.ts';
import { runImport } from '../import/run.ts';
import { filesOf, itemsOf } from '../import/source.ts';
import { start } from '../start.ts';
import { progress } from './progress.ts';

const { positionals, values } = parseArgs({ allowPositionals: true, options: { chunk: { type: 'string' } } });
const missing = positionals.filter((p) => !statSync(p, { throwIfNoEntry: false }));
if (!positionals.length || missing.length) {
  process.stderr.write(`${missing.map((m) => `${m} is not there.\n`).join('')}Usage: npm run import -- FILE… (.ndjson .json, .gz of them, folders) [--chunk RESOURCES]\n`);
  process.exit(2);
}
const files = filesOf(positionals);
let total = 0;
if (process.stderr.isTTY) for await (const _ of itemsOf(files)) total++;
const running = await start({ ...readConfig({ ...process.env, SEED: 'none', LOG_LEVEL: 'silent' }), port: 0, host: '127.0.0.1' });
const bar = progress('resources', total);
const started = Date.now();
const r = await runImport({ services: running.services, deps: running.deps, dataDir: readConfig(process.env).dataDir, files, chunk: values.chunk === undefined ? undefined : Number(values.chunk), progress: (n) => bar.step(n) });
bar.end();
await running.stop();
process.stdout.write(`${r.taken} taken at ${Math.round((r.taken * 1000) / Math.max(1, Date.now() - started))}/s, ${r.refused} refused, ${r.skipped} taken before.${r.refused ? ` Why: ${r.report}` : ''}\n`);
process.exit(r.refused ? 3 : 0);
