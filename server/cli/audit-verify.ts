// `npm run audit:verify`: verifies the whole trail; exit 1 names the first fault.
import { anchorFile } from '../audit/seal.ts';
import { verifyExports } from '../audit/export.ts';
import { readAnchor, verifyTrail } from '../audit/verify.ts';
import { readConfig } from '../config.ts';
import { openStore } from '../start.ts';

const config = readConfig(process.env);
const store = await openStore(config, 'verify');
const started = Date.now();
let shown = 0;
const bar = (n: number): void => {
  if (!process.stderr.isTTY || n - shown < 5_000) return;
  shown = n;
  process.stderr.write(`\r${n} events, ${Math.round((n * 1000) / Math.max(1, Date.now() - started))}/s `);
};
const v = await verifyTrail(store, anchorFile(config.dataDir, config.auditAnchor), bar);
const exported = await verifyExports(store, config.dataDir, readAnchor(anchorFile(config.dataDir, config.auditAnchor)).keys);
await store.close();
const rate = Math.round((v.events * 1000) / Math.max(1, Date.now() - started));
process.stdout.write(`${v.events} events in ${v.seals} seals verified (${rate}/s), ${v.open} not yet sealed, ${v.exported} exported.\n`);
if (v.finding) {
  process.stdout.write(`FAULT: ${v.finding.fault}${v.finding.event ? ` AuditEvent/${v.finding.event}` : ''} in chain ${v.finding.process}${v.finding.number ? `, seal ${v.finding.number}` : ''}\n`);
  process.exit(1);
}
if (exported) {
  process.stdout.write(`FAULT: ${exported.fault} in the export ${exported.file}\n`);
  process.exit(1);
}
process.stdout.write('The trail is whole.\n');
