// What is imported: NDJSON, Bundles, single resources, folders of them, any of them gzipped; read as a stream, one resource at a time.
import { createHash } from 'node:crypto';
import { createReadStream, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { asArray, type Json } from '../fhir/types.ts';

export type Item = { file: string; line: number; resource?: Json; fault?: string };

/** Every file below these paths that can be imported, in a stable order. */
export function filesOf(paths: string[]): string[] {
  return paths.flatMap((p) => (statSync(p).isDirectory() ? filesOf(readdirSync(p).sort().map((f) => join(p, f))) : /\.(ndjson|json)(\.gz)?$/.test(p) ? [p] : []));
}

const open = (file: string): Readable => (file.endsWith('.gz') ? createReadStream(file).pipe(createGunzip()) : createReadStream(file));

/** A hash of what is imported: an import is resumed only where its files are what they were. */
export async function digestOf(files: string[]): Promise<string> {
  const hash = createHash('sha256');
  for (const f of files) for await (const chunk of createReadStream(f)) hash.update(chunk as Buffer);
  return hash.digest('hex').slice(0, 32);
}

function parsed(file: string, line: number, text: string): Item[] {
  let value: Json;
  try {
    value = JSON.parse(text);
  } catch {
    return [{ file, line, fault: 'not JSON' }];
  }
  if (value?.resourceType === 'Bundle') return asArray<Json>(value.entry).map((e, i) => (e?.resource ? { file, line: line + i, resource: e.resource } : { file, line: line + i, fault: 'an entry without a resource' }));
  return typeof value?.resourceType === 'string' ? [{ file, line, resource: value }] : [{ file, line, fault: 'no resourceType' }];
}

/** The resources of the files, in order. */
export async function* itemsOf(files: string[]): AsyncGenerator<Item> {
  for (const file of files) {
    if (/\.ndjson(\.gz)?$/.test(file)) {
      let line = 0;
      for await (const text of createInterface({ input: open(file), crlfDelay: Number.POSITIVE_INFINITY })) {
        line++;
        if (text.trim()) yield* parsed(file, line, text);
      }
    } else {
      const chunks: Buffer[] = [];
      for await (const c of open(file)) chunks.push(c as Buffer);
      yield* parsed(file, 1, Buffer.concat(chunks).toString('utf8'));
    }
  }
}
