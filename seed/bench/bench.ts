// `npm run bench`: what this server costs, on the embedded store. `--only store,gate,audit,token,validation,import`; `--sizes 1000,100000` documents;
// `--patients 1000,100000` for the gate; `--seconds 3` a measure.
import { parseArgs } from 'node:util';
import { agent } from './client.ts';
import { benchAudit } from './audit.ts';
import { benchGate } from './gate.ts';
import { benchImport } from './import.ts';
import { benchStore } from './store.ts';
import { benchToken } from './token.ts';
import { benchValidation } from './validation.ts';

const { values } = parseArgs({ options: { only: { type: 'string', default: 'store' }, sizes: { type: 'string', default: '1000,100000' }, seconds: { type: 'string', default: '3' }, patients: { type: 'string', default: '1000,100000' }, documents: { type: 'string', default: '100000' } } });
const seconds = Number(values.seconds);
const sections: Record<string, () => Promise<void>> = {
  store: () => benchStore(String(values.sizes).split(',').map(Number), seconds),
  gate: () => benchGate(seconds, String(values.patients).split(',').map(Number)),
  audit: () => benchAudit(seconds),
  token: () => benchToken(seconds),
  validation: () => benchValidation(),
  import: () => benchImport(Number(values.documents)),
};
for (const name of String(values.only).split(',')) {
  if (!sections[name]) throw new Error(`no such section: ${name} (${Object.keys(sections).join(', ')})`);
  await sections[name]();
}
agent.destroy();
