// `npm run audit:verify`: walks the whole trail and names the first event altered, removed, inserted or reordered.
import { existsSync, readFileSync } from 'node:fs';
import { compactVerify, importJWK, type JWK } from 'jose';
import type { Store } from '../store/port.ts';
import { type AnchorLine, hash, rootOf, type SealBody, type SealText } from './seal.ts';

export type Finding = { process: string; number?: number; event?: string; fault: 'altered' | 'removed' | 'inserted' | 'reordered' | 'seal-altered' | 'seal-missing' | 'signature' | 'anchor-missing' };
export type Verdict = { events: number; seals: number; open: number; exported: number; finding: Finding | undefined };

/** Lines of the anchor, by process and number. */
export function readAnchor(file: string): { lines: Map<string, AnchorLine>; keys: Map<string, JWK>; last: Map<string, number> } {
  const lines = new Map<string, AnchorLine>();
  const keys = new Map<string, JWK>();
  const last = new Map<string, number>();
  for (const text of existsSync(file) ? readFileSync(file, 'utf8').split('\n') : []) {
    if (!text) continue;
    const line = JSON.parse(text) as AnchorLine;
    lines.set(`${line.process} ${line.number}`, line);
    if (line.jwk) keys.set(line.kid, line.jwk);
    last.set(line.process, Math.max(last.get(line.process) ?? 0, line.number));
  }
  return { lines, keys, last };
}

/** Compares what a seal says with what stands; the first difference, named. */
function compare(process: string, number: number, sealed: [string, string][], standing: { id: string; text: string }[]): Finding | undefined {
  for (let i = 0; i < sealed.length; i++) {
    const [id, digest] = sealed[i];
    const e = standing[i];
    if (!e) return { process, number, event: id, fault: 'removed' };
    if (e.id !== id) {
      const later = standing.some((s) => s.id === id);
      const known = sealed.some(([s]) => s === e.id);
      return later ? { process, number, event: known ? id : e.id, fault: known ? 'reordered' : 'inserted' } : { process, number, event: id, fault: 'removed' };
    }
    if (hash(e.text) !== digest) return { process, number, event: id, fault: 'altered' };
  }
  return undefined;
}

async function verifyProcess(store: Store, process: string, read: () => ReturnType<typeof readAnchor>, v: Verdict, progress: (n: number) => void): Promise<Finding | undefined> {
  let anchor = read();
  let unanchored: Finding | undefined;
  let previous = '';
  let expected = 1;
  let seq = 0;
  const exportedUpTo = Number((await store.meta(`exported:${process}`)) ?? 0);
  for await (const seal of store.trail.seals(process)) {
    const at = { process, number: seal.number };
    if (seal.number !== expected) return { ...at, number: expected, fault: 'seal-missing' };
    const { jws, events } = JSON.parse(seal.text) as SealText;
    if (unanchored) return unanchored;
    const named = `${process} ${seal.number}`;
    // A living server may have sealed since the anchor was read.
    if (!anchor.lines.has(named)) anchor = read();
    const line = anchor.lines.get(named);
    // A crash between a seal and its line leaves the last one without: signed all the same, it is told as such by what follows.
    if (!line) unanchored = { ...at, fault: 'anchor-missing' };
    else if (line.hash !== hash(seal.text)) return { ...at, fault: 'seal-altered' };
    const key = anchor.keys.get(line?.kid ?? String(JSON.parse(Buffer.from(jws.split('.')[0], 'base64url').toString('utf8')).kid));
    let body: SealBody;
    try {
      body = JSON.parse(new TextDecoder().decode((await compactVerify(jws, await importJWK(key as JWK, 'ES256'))).payload));
    } catch {
      return { ...at, fault: 'signature' };
    }
    if (body.previous !== previous || body.root !== rootOf(events) || body.number !== seal.number || body.process !== process) return { ...at, fault: 'seal-altered' };
    if (seal.number > exportedUpTo) {
      const standing = await store.trail.events(process, seq, events.length);
      const finding = compare(process, seal.number, events, standing);
      if (finding) return finding;
      seq = standing[standing.length - 1].seq;
      v.events += events.length;
      progress(v.events);
    } else v.exported += events.length;
    v.seals++;
    previous = hash(seal.text);
    expected++;
  }
  if ((anchor.last.get(process) ?? 0) >= expected) return { process, number: expected, fault: 'seal-missing' };
  const tail = await store.trail.events(process, seq, 1_000_000);
  const open = new Set((await store.trail.unsealed(process, 1_000_000)).map((e) => e.id));
  const extra = tail.find((e) => !open.has(e.id));
  if (extra) return { process, event: extra.id, fault: 'inserted' };
  v.open += tail.length;
  return undefined;
}

/** Verifies every chain against its seals and the anchor. */
export async function verifyTrail(store: Store, anchorPath: string, progress: (events: number) => void = () => {}): Promise<Verdict> {
  const read = () => readAnchor(anchorPath);
  const anchor = read();
  const v: Verdict = { events: 0, seals: 0, open: 0, exported: 0, finding: undefined };
  for (const process of new Set([...(await store.trail.processes()), ...anchor.last.keys()])) {
    v.finding = await verifyProcess(store, process, read, v, progress);
    if (v.finding) return v;
  }
  return v;
}
