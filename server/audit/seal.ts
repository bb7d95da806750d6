// Tamper evidence: each process seals its events in numbered, hash-chained, signed batches, anchored outside the store (issue: the trail).
import { createHash } from 'node:crypto';
import { appendFileSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { CompactSign, exportJWK, generateKeyPair, importJWK, type JWK } from 'jose';
import type { Logger } from 'pino';
import { writeOnce } from '../files.ts';
import type { Store } from '../store/port.ts';

const EVERY = 1_000;
const BATCH = 1_000;
/** A process silent for so long is dead: its open end is sealed by whoever lives. */
const DEAD = 30_000;

export type SealBody = { process: string; number: number; count: number; /** Hash of the seal before, '' for the first. */ previous: string; /** Hash of `events`. */ root: string; at: number };
export type SealText = { jws: string; /** [event id, hash of its text], in order. */ events: [string, string][] };
export type AnchorLine = { process: string; number: number; hash: string; kid: string; jwk?: JWK };

export const hash = (text: string): string => createHash('sha256').update(text).digest('base64url');
export const rootOf = (events: [string, string][]): string => hash(JSON.stringify(events));

export const anchorFile = (dataDir: string, anchor: string | undefined): string => anchor ?? join(dataDir, 'audit-anchor.log');

/** The signing key of the trail, made at first use. */
export async function sealingKey(dataDir: string): Promise<JWK> {
  const file = join(dataDir, 'audit.jwk.json');
  if (!existsSync(file)) {
    const { privateKey } = await generateKeyPair('ES256', { extractable: true });
    const jwk = await exportJWK(privateKey);
    writeOnce(file, JSON.stringify({ ...jwk, kid: hash(JSON.stringify([jwk.x, jwk.y])).slice(0, 16), alg: 'ES256' }));
  }
  return JSON.parse(readFileSync(file, 'utf8'));
}

type Sealer = { store: Store; key: JWK; file: string; now: () => number };

/** Seals one batch of a process's open events; false where none is open. */
async function sealOnce(s: Sealer, process: string): Promise<boolean> {
  const open = await s.store.trail.unsealed(process, BATCH);
  if (!open.length) return false;
  const last = await s.store.trail.lastSeal(process);
  const events = open.map((e): [string, string] => [e.id, hash(e.text)]);
  const body: SealBody = { process, number: (last?.number ?? 0) + 1, count: events.length, previous: last ? hash(last.text) : '', root: rootOf(events), at: s.now() };
  const jws = await new CompactSign(Buffer.from(JSON.stringify(body))).setProtectedHeader({ alg: 'ES256', kid: s.key.kid }).sign(await importJWK(s.key, 'ES256'));
  const text = JSON.stringify({ jws, events } satisfies SealText);
  await s.store.trail.seal({ process, number: body.number, text }, open[open.length - 1].seq);
  const { d: _d, ...jwk } = s.key;
  const line: AnchorLine = { process, number: body.number, hash: hash(text), kid: String(s.key.kid), ...(body.number === 1 ? { jwk } : {}) };
  mkdirSync(dirname(s.file), { recursive: true });
  appendFileSync(s.file, `${JSON.stringify(line)}\n`, { mode: 0o600 });
  return open.length === BATCH;
}

async function sealDead(s: Sealer, own: string): Promise<void> {
  for (const p of await s.store.trail.processes()) {
    if (p === own) continue;
    const beat = Number((await s.store.meta(`alive:${p}`)) ?? 0);
    if (s.now() - beat < DEAD) continue;
    while (await sealOnce(s, p));
  }
}

/** Seals at least every second, or every 1,000 events under load. */
export async function startSealing(o: { store: Store; dataDir: string; anchor: string | undefined; process: string; now: () => number; log: Logger }): Promise<{ stop(): Promise<void> }> {
  const s: Sealer = { store: o.store, key: await sealingKey(o.dataDir), file: anchorFile(o.dataDir, o.anchor), now: o.now };
  let running: Promise<void> = Promise.resolve();
  let beats = 0;
  const tick = async (): Promise<void> => {
    if (beats++ % 10 === 0) {
      await o.store.setMeta(`alive:${o.process}`, String(o.now()));
      await sealDead(s, o.process);
    }
    while (await sealOnce(s, o.process));
  };
  const timer = setInterval(() => {
    running = running.then(tick).catch((e) => o.log.warn({ detail: String(e) }, 'sealing failed'));
  }, EVERY);
  timer.unref();
  return {
    async stop() {
      clearInterval(timer);
      await running;
      while (await sealOnce(s, o.process));
      await o.store.setMeta(`alive:${o.process}`, '0');
    },
  };
}
