// `npm run audit:export`: moves sealed events past their retention (or `--before DATE`) into signed NDJSON files under DATA_DIR/trail-exports.
import { parseArgs } from 'node:util';
import { exportClosed } from '../audit/export.ts';
import { readConfig } from '../config.ts';
import { addMonths, interval } from '../fhir/dates.ts';
import { openStore } from '../start.ts';

const { values } = parseArgs({ options: { before: { type: 'string' } } });
const config = readConfig(process.env);
const before = values.before === undefined ? addMonths(Date.now(), -12 * config.auditRetentionYears) : interval(values.before)?.lo;
if (before === undefined) {
  process.stderr.write('--before is a date.\n');
  process.exit(2);
}
const store = await openStore(config, 'export');
const n = await exportClosed({ store, dataDir: config.dataDir, before });
await store.close();
process.stdout.write(`${n} events exported.\n`);
