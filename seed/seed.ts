// `npm run seed -- --patients 10000 --seed 42`: fictitious records, reproducible from a number, loaded through the same interactions as any client's.
import { parseArgs } from 'node:util';
import { readConfig } from '../server/config.ts';
import { start } from '../server/start.ts';
import { seedDirectory, runStep } from './demo.ts';
import { record } from './generate.ts';
import { progress } from '../server/cli/progress.ts';

const AT_ONCE = 8;

const { values } = parseArgs({ options: { patients: { type: 'string', default: '100' }, seed: { type: 'string', default: '42' }, documents: { type: 'string' } } });
const [patients, seed] = [Number(values.patients), Number(values.seed)];
if (!Number.isInteger(patients) || patients < 1 || !Number.isInteger(seed)) {
  process.stderr.write('Usage: npm run seed -- [--patients NUMBER] [--seed NUMBER] [--documents NUMBER a record]\n');
  process.exit(2);
}
const running = await start({ ...readConfig({ ...process.env, SEED: 'none', LOG_LEVEL: 'silent' }), port: 0, host: '127.0.0.1' });
const now = running.deps.world.now();
await seedDirectory(running.services, seed);
const bar = progress('records', patients);
let next = 0;
let documents = 0;
await Promise.all(Array.from({ length: AT_ONCE }, async () => {
  while (next < patients) {
    const r = record(seed, next++, now, values.documents === undefined ? {} : { documents: Number(values.documents) });
    // A record of this number and seed stands already.
    if (await running.deps.store.read('Patient', r.id)) {
      bar.step();
      continue;
    }
    for (const s of r.steps) {
      await runStep(running.services, s);
      documents += s.bundle.entry.filter((e: { resource: { resourceType: string } }) => e.resource.resourceType === 'DocumentReference').length;
    }
    bar.step();
  }
}));
bar.end();
await running.stop();
process.stdout.write(`${patients} records, ${documents} documents (seed ${seed}).\n`);
