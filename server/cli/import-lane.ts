// One lane of an import (server/import/lanes.ts): a server of its own on the store of the environment; chunks come from its parent.
import { readConfig } from '../config.ts';
import type { FromLane, ToLane } from '../import/lanes.ts';
import { laneHere } from '../import/writer.ts';
import { start } from '../start.ts';

const running = await start({ ...readConfig({ ...process.env, SEED: 'none', LOG_LEVEL: 'silent' }), port: 0, host: '127.0.0.1' }, { bulk: true });
const lane = laneHere(running.deps, running.services);
const answer = (m: FromLane): void => void process.send?.(m);
const end = (): void => void running.stop().then(() => process.exit(0), () => process.exit(1));

// The terminal's interrupt reaches every process: the parent says when to end.
process.on('SIGINT', () => undefined);
// A parent that is gone hears no answer; the next run finds what was done.
process.on('disconnect', end);
process.on('message', (m: ToLane) => {
  if (m === 'end') return end();
  lane.perform(m.chunk).then((outcome) => answer({ n: m.n, outcome }), (e) => answer({ n: m.n, fault: e instanceof Error ? e.message : String(e) }));
});
answer('ready');
