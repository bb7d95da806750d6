// `npm run bench`: what this server costs, on the embedded store. `--only store,gate,audit,token,validation`; `--sizes 1000,100000` documents;
// `--seconds 3` a measure.
import { parseArgs } from 'node:util';
import { agent } from './client.ts';
import { benchStore } from './store.ts';

const { values } = parseArgs({ options: { only: { type: 'string', default: 'store' }, sizes: { type: 'string', default: '1000,100000' }, seconds: { type: 'string', default: '3' } } });
const seconds = Number(values.seconds);
const sections: Record<string, () => Promise<void>> = {
  store: () => benchStore(String(values.sizes).split(',').map(Number), seconds),
};
for (const name of String(values.only).split(',')) {
  if (!sections[name]) throw new Error(`no such section: ${name} (${Object.keys(sections).join(', ')})`);
  await sections[name]();
}
agent.destroy();
