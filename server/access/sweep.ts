// Housekeeping: records that time opens or erases; uploads that no document named are erased after 24 h (W5), and content that no row names.
import type { Logger } from 'pino';
import { and, scalar } from '../store/plan.ts';
import type { Deps } from './deps.ts';
import { eraseArchives, openAutomatically } from './lifecycle.ts';
import { tombstone } from './write/change.ts';
import { contentOf } from './write/content.ts';

const DAY = 86_400_000;
const EVERY = 3_600_000;

/** One round; answers how many uploads and orphans were erased. */
export async function sweep(deps: Deps): Promise<number> {
  const now = deps.world.now();
  await openAutomatically(deps);
  let erased = await eraseArchives(deps);
  const unbound = await deps.store.search({ type: 'Binary', plan: and(scalar('bound', 'eq', null), scalar('since', 'lt', now - DAY)), sort: [{ by: 'id', desc: false }], limit: 500 });
  for (const f of unbound) {
    await deps.store.commit({ ops: [tombstone(now, f.row)], audit: [] });
    await deps.store.content.remove(contentOf(f.row).key);
    erased++;
  }
  for (const key of await deps.store.content.olderThan(now - DAY)) {
    const used = await deps.store.ids('Binary', and(scalar('content', 'ge', key), scalar('content', 'lt', `${key}~`)));
    if (used.length) continue;
    await deps.store.content.remove(key);
    erased++;
  }
  return erased;
}

export function startSweeping(deps: Deps, log: Logger): { stop(): void } {
  const timer = setInterval(() => sweep(deps).catch((e) => log.warn({ detail: String(e) }, 'sweep failed')), EVERY);
  timer.unref();
  return { stop: () => clearInterval(timer) };
}
