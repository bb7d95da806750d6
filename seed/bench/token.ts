// What a token costs a read: kept, or verified for the first time (ES256, the development issuer).
import * as callers from '../callers.ts';
import { seedDirectory } from '../demo.ts';
import { call, folder, measure, pick, remove, serve, table } from './client.ts';
import { embedded } from './load.ts';

export async function benchToken(seconds: number): Promise<void> {
  const dataDir = folder();
  const local = await embedded(dataDir);
  await seedDirectory(local.services, 7);
  await local.stop();
  const s = await serve(dataDir);
  const origin = new URL(s.base).origin;
  const kept = await s.token(callers.professional('dr-martin'));
  const many: string[] = [];
  for (let i = 0; i < 4_000; i++) many.push(await s.token(callers.professional('dr-martin')));
  let next = 0;
  const rows = [
    await measure('no token asked for (/livez)', 1, seconds, () => call(origin, kept, 'GET', '/livez')),
    await measure('read with a kept token', 1, seconds, () => call(s.base, kept, 'GET', '/Practitioner/dr-martin')),
    await measure('read with 50 tokens in turn, all kept', 1, seconds, () => call(s.base, pick(many.slice(0, 50)), 'GET', '/Practitioner/dr-martin')),
    await measure('read with a token never seen', 1, Math.min(seconds, 2), () => call(s.base, many[50 + (next++ % 3_950)], 'GET', '/Practitioner/dr-martin')),
  ];
  process.stdout.write('\nTokens\n');
  table(rows);
  await s.stop();
  remove(dataDir);
}
