// Retention: closed periods leave the store as signed NDJSON; the chain of seals stays, so that it still verifies.
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createReadStream, createWriteStream, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { CompactSign, compactVerify, importJWK, type JWK } from 'jose';
import type { Store } from '../store/port.ts';
import { hash, type SealBody, type SealText, sealingKey } from './seal.ts';

export const exportFolder = (dataDir: string): string => join(dataDir, 'trail-exports');

/** Beside each file: what it holds, signed with the trail's key. */
type Manifest = { process: string; from: number; to: number; events: number; sha256: string };

const safe = (process: string): string => process.replace(/[^A-Za-z0-9-]/g, '-');
const bodyOf = (text: string): SealBody => JSON.parse(Buffer.from((JSON.parse(text) as SealText).jws.split('.')[1], 'base64url').toString('utf8'));

/** Exports every sealed batch older than an instant (ms), then removes its events. Answers how many events left. */
export async function exportClosed(o: { store: Store; dataDir: string; before: number }): Promise<number> {
  let total = 0;
  for (const process of await o.store.trail.processes()) {
    const done = Number((await o.store.meta(`exported:${process}`)) ?? 0);
    let count = 0;
    let last = done;
    for await (const seal of o.store.trail.seals(process)) {
      if (seal.number <= done) continue;
      const body = bodyOf(seal.text);
      if (body.at >= o.before) break;
      count += body.count;
      last = seal.number;
    }
    if (last > done) total += await exportBatches(o.store, o.dataDir, process, done + 1, last, count);
  }
  return total;
}

async function exportBatches(store: Store, dataDir: string, process: string, from: number, to: number, count: number): Promise<number> {
  const folder = exportFolder(dataDir);
  mkdirSync(folder, { recursive: true });
  const file = join(folder, `${safe(process)}.${from}-${to}.ndjson`);
  const out = createWriteStream(file, { mode: 0o600, flush: true } as never);
  const sha256 = createHash('sha256');
  let seq = 0;
  for (let written = 0; written < count; ) {
    const events = await store.trail.events(process, seq, Math.min(1_000, count - written));
    if (!events.length) throw new Error(`the chain of ${process} lacks events: verify the trail`);
    for (const e of events) {
      const line = `${e.text}\n`;
      sha256.update(line);
      if (!out.write(line)) await once(out, 'drain');
    }
    written += events.length;
    seq = events[events.length - 1].seq;
  }
  await new Promise<void>((resolve, reject) => out.end((e?: Error | null) => (e ? reject(e) : resolve())));
  const key = await sealingKey(dataDir);
  const manifest: Manifest = { process, from, to, events: count, sha256: sha256.digest('base64url') };
  const jws = await new CompactSign(Buffer.from(JSON.stringify(manifest))).setProtectedHeader({ alg: 'ES256', kid: key.kid }).sign(await importJWK(key, 'ES256'));
  writeFileSync(`${file}.jws`, `${jws}\n`, { mode: 0o600 });
  // Said first: should the process die here, the events that stay are more than are missed.
  await store.setMeta(`exported:${process}`, String(to));
  await store.trail.drop(process, seq);
  return count;
}

export type ExportFault = { file: string; fault: 'signature' | 'altered' | 'missing' };

/** Holds the exported files against their signatures and against the seals. */
export async function verifyExports(store: Store, dataDir: string, keys: Map<string, JWK>): Promise<ExportFault | undefined> {
  const folder = exportFolder(dataDir);
  const files = existsSync(folder) ? readdirSync(folder).filter((f) => f.endsWith('.ndjson')) : [];
  for (const name of files) {
    const file = join(folder, name);
    let manifest: Manifest;
    try {
      const jws = readFileSync(`${file}.jws`, 'utf8').trim();
      const kid = JSON.parse(Buffer.from(jws.split('.')[0], 'base64url').toString('utf8')).kid as string;
      manifest = JSON.parse(new TextDecoder().decode((await compactVerify(jws, await importJWK(keys.get(kid) as JWK, 'ES256'))).payload));
    } catch {
      return { file: name, fault: 'signature' };
    }
    const sealed: string[] = [];
    for await (const seal of store.trail.seals(manifest.process)) if (seal.number >= manifest.from && seal.number <= manifest.to) for (const [, digest] of (JSON.parse(seal.text) as SealText).events) sealed.push(digest);
    let n = 0;
    for await (const line of createInterface({ input: createReadStream(file, 'utf8'), crlfDelay: Number.POSITIVE_INFINITY })) if (hash(line) !== sealed[n++]) return { file: name, fault: 'altered' };
    if (n !== manifest.events || n !== sealed.length) return { file: name, fault: 'missing' };
  }
  return undefined;
}
