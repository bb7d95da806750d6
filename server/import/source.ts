// What is imported: NDJSON, Bundles, single resources, folders of them, any of them gzipped. Read as a stream, once to survey it and
// once for each rank that it holds, so that what refers comes after what is referred to whatever the order of the files.
import { createHash } from 'node:crypto';
import { createReadStream, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { eachReference } from '../fhir/reference.ts';
import { asArray, ID, type Json } from '../fhir/types.ts';
import { binaryNamed, BinaryPool } from './binaries.ts';
import { rankOf, RANKS } from './order.ts';

/** One resource of a file (the nth of the source), parsed or as its text, or the fault of what stands there; `line` counts from 1, in a Bundle from its first entry. */
export type Item = { file: string; nth: number; line: number; resource?: Json; text?: string; fault?: string };

export const resourceOf = (item: Item): Json | undefined => item.resource ?? (item.text === undefined ? undefined : (JSON.parse(item.text) as Json));

export type Source = {
  /** A hash of what is imported: an import is resumed only where its files are what they were. */
  digest: string;
  /** Resources that are written, Binaries apart: they come with their document. */
  total: number;
  files: string[];
  /** Of each file: a set of ranks, as bits, for each line (NDJSON) or for the whole; SINGLE where one resource stands there alone. */
  ranks: Map<string, number[]>;
  binaries: BinaryPool;
  /** Ids of documents that another of the source replaces: each comes as it was before, and is superseded by the other. */
  replaced: Set<string>;
  /** Where Binaries stand that no document of the import names. */
  unnamed: Item[];
};

const SINGLE = 1 << 30;

/** Every file below these paths that can be imported, in a stable order. */
export function filesOf(paths: string[]): string[] {
  return paths.flatMap((p) => (statSync(p).isDirectory() ? filesOf(readdirSync(p).sort().map((f) => join(p, f))) : /\.(ndjson|json)(\.gz)?$/.test(p) ? [p] : []));
}

const open = (file: string): Readable => (file.endsWith('.gz') ? createReadStream(file).pipe(createGunzip()) : createReadStream(file));

async function digestOf(files: string[]): Promise<string> {
  const hash = createHash('sha256');
  for (const f of files) for await (const chunk of createReadStream(f)) hash.update(chunk as Buffer);
  return hash.digest('hex').slice(0, 32);
}

/** The resources of a Bundle; where they name each other by fullUrl, they do so by `Type/id` afterwards. */
function entriesOf(bundle: Json): (Json | undefined)[] {
  const names = new Map<string, string>();
  const resources = asArray<Json>(bundle.entry).map((e) => {
    const r = e?.resource as Json | undefined;
    if (!r || typeof e.fullUrl !== 'string') return r;
    const uuid = e.fullUrl.replace(/^urn:uuid:/, '');
    if (r.id === undefined && e.fullUrl !== uuid && ID.test(uuid)) r.id = uuid;
    if (r.id !== undefined) names.set(e.fullUrl, `${r.resourceType}/${r.id}`);
    return r;
  });
  for (const r of resources) {
    eachReference(r, (holder) => {
      holder.reference = names.get(holder.reference) ?? holder.reference;
    });
    for (const c of asArray<Json>(r?.resourceType === 'DocumentReference' ? r.content : undefined)) if (names.has(c?.attachment?.url)) c.attachment.url = names.get(c.attachment.url);
  }
  return resources;
}

type Text = { file: string; nth: number; line: number; text: string };

function parsed({ file, nth, line, text }: Text): { items: Item[]; single: boolean } {
  const faulty = (fault: string) => ({ items: [{ file, nth, line, fault }], single: false });
  let value: Json;
  try {
    value = JSON.parse(text);
  } catch {
    return faulty('not JSON');
  }
  if (value?.resourceType === 'Bundle') return { items: entriesOf(value).map((resource, i) => (resource ? { file, nth, line: line + i, resource } : { file, nth, line: line + i, fault: 'an entry without a resource' })), single: false };
  return typeof value?.resourceType === 'string' ? { items: [{ file, nth, line, resource: value }], single: true } : faulty('no resourceType');
}

/** The texts of a file with the line that each begins at. */
async function* textsOf(file: string, nth: number): AsyncGenerator<Text> {
  if (/\.ndjson(\.gz)?$/.test(file)) {
    let line = 0;
    for await (const text of createInterface({ input: open(file), crlfDelay: Number.POSITIVE_INFINITY })) {
      line++;
      if (text.trim()) yield { file, nth, line, text };
    }
    return;
  }
  const chunks: Buffer[] = [];
  for await (const c of open(file)) chunks.push(c as Buffer);
  yield { file, nth, line: 1, text: Buffer.concat(chunks).toString('utf8') };
}

/** Kept until its document comes; one without an id cannot be named by any. */
const isPooled = (r: Json | undefined): r is Json & { id: string } => r?.resourceType === 'Binary' && typeof r.id === 'string';

/** Reads everything once: what is where, and the Binaries, kept in `folder` until their documents come. */
export async function survey(files: string[], folder: string): Promise<Source> {
  const digest = await digestOf(files);
  const source: Source = { digest, total: 0, files, ranks: new Map(), binaries: new BinaryPool(join(folder, `${digest}.binaries`)), replaced: new Set(), unnamed: [] };
  const places = new Map<string, Item>();
  const named = new Set<string>();
  for (const [nth, file] of files.entries()) {
    const ranks: number[] = [];
    source.ranks.set(file, ranks);
    for await (const text of textsOf(file, nth)) {
      let bits = 0;
      const { items, single } = parsed(text);
      if (single) bits |= SINGLE;
      for (const item of items) {
        const { resource } = item;
        if (isPooled(resource)) {
          source.binaries.add(resource.id, resource);
          places.set(resource.id, { file, nth, line: item.line, resource: { resourceType: 'Binary', id: resource.id } });
          continue;
        }
        bits |= 1 << rankOf(resource);
        source.total++;
        if (resource?.resourceType !== 'DocumentReference') continue;
        for (const c of asArray<Json>(resource.content)) named.add(binaryNamed(c) ?? '');
        for (const r of asArray<Json>(resource.relatesTo)) if (r?.code === 'replaces') source.replaced.add(String(r.target?.reference).replace(/^.*DocumentReference\//, ''));
      }
      ranks.push(bits);
    }
  }
  source.unnamed = [...places].filter(([id]) => !named.has(id)).map(([, item]) => item);
  return source;
}

/** The items of one rank, in the order of the files. */
export async function* itemsOf(source: Source, rank: number): AsyncGenerator<Item> {
  for (const [nth, file] of source.files.entries()) {
    const ranks = source.ranks.get(file) ?? [];
    const last = ranks.findLastIndex((bits) => bits & (1 << rank));
    if (last < 0) continue;
    let n = 0;
    for await (const text of textsOf(file, nth)) {
      if (ranks[n] & (1 << rank)) {
        if (ranks[n] & SINGLE) yield text;
        else for (const item of parsed(text).items) if (!isPooled(item.resource) && rankOf(item.resource) === rank) yield item;
      }
      if (n++ === last) break;
    }
  }
}

/** An item as it is written: a document with the bytes of its Binaries, and current where another of the source replaces it. */
export function whole(source: Source, item: Item): Item {
  if (source.binaries.empty && !source.replaced.size) return item;
  const resource = source.binaries.fill(resourceOf(item));
  if (resource?.resourceType === 'DocumentReference' && resource.status === 'superseded' && source.replaced.has(resource.id)) resource.status = 'current';
  return { ...item, text: undefined, resource };
}

/** The ranks that a source holds, in order. */
export const ranksOf = (source: Source): number[] => RANKS.map((_, rank) => rank).filter((rank) => [...source.ranks.values()].some((ranks) => ranks.some((bits) => bits & (1 << rank))));
