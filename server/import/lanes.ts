// Lanes of an import in processes of their own, each a whole server on the same store: they share nothing but the store.
import { type ChildProcess, fork } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import type { Chunk, Lane, Outcome } from './writer.ts';

/** What is said to a lane, and what it answers: `n` names the chunk. */
export type ToLane = { n: number; chunk: Chunk } | 'end';
export type FromLane = { n: number; outcome: Outcome } | { n: number; fault: string } | 'ready';

/** Above this, the store's one writer at a time is what is waited for. */
const MOST_LANES = 4;
/** Resources that are worth a lane. */
const WORTH = 2_000;

/** How many lanes an import of so many resources is given here. */
export const lanesFor = (total: number): number => Math.max(1, Math.min(MOST_LANES, availableParallelism(), Math.ceil(total / WORTH)));

const PROGRAM = fileURLToPath(new URL('../cli/import-lane.js', import.meta.url));

function laneOf(child: ChildProcess): Lane {
  const asked = new Map<number, { resolve: (o: Outcome) => void; reject: (e: Error) => void }>();
  let n = 0;
  let left = false;
  child.on('message', (m: FromLane) => {
    if (m === 'ready') return;
    const a = asked.get(m.n);
    asked.delete(m.n);
    if ('fault' in m) a?.reject(new Error(m.fault));
    else a?.resolve(m.outcome);
  });
  const gone = new Promise<void>((resolve) => {
    child.once('exit', (code, signal) => {
      left = true;
      for (const a of asked.values()) a.reject(new Error(`a process of the import ended (${signal ?? code})`));
      resolve();
    });
  });
  return {
    perform: (chunk) =>
      new Promise((resolve, reject) => {
        if (left) return reject(new Error('a process of the import has ended'));
        asked.set(++n, { resolve, reject });
        child.send({ n, chunk } satisfies ToLane);
      }),
    async end() {
      if (!left) child.send('end' satisfies ToLane);
      await gone;
    },
  };
}

function open(env: Record<string, string | undefined>): Promise<Lane> {
  const child = fork(PROGRAM, { serialization: 'advanced', execArgv: ['--max-semi-space-size=32'], env: env as NodeJS.ProcessEnv });
  return new Promise((resolve, reject) => {
    child.once('message', () => resolve(laneOf(child)));
    child.once('exit', (code) => reject(new Error(`a process of the import does not start (${code})`)));
  });
}

/** Starts so many; the first one alone, since it may make or migrate the store. */
export async function startLanes(count: number, env: Record<string, string | undefined>): Promise<Lane[]> {
  const first = await open(env);
  return [first, ...(await Promise.all(Array.from({ length: count - 1 }, () => open(env))))];
}
