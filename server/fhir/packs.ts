// The packed base definitions: each line parsed when first asked for.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { brotliDecompressSync } from 'node:zlib';
import type { Json } from './types.ts';

/** The project's folder: the nearest above this file that holds `profiles/base`. */
export const ROOT: string = (() => {
  let dir = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(dir, 'profiles', 'base', 'NOTICE.json'))) {
    const up = dirname(dir);
    if (up === dir) throw new Error('profiles/base is missing: run `npm run definitions`');
    dir = up;
  }
  return dir;
})();

/** A pack: canonical URL → definition. The text stays compressed until the first use and parsed pieces are kept. */
class Pack {
  private readonly name: string;
  private bytes: Buffer | undefined;
  private places: Map<string, [number, number]> | undefined;
  private readonly parsed = new Map<string, Json>();

  constructor(name: string) {
    this.name = name;
  }

  private index(): Map<string, [number, number]> {
    if (this.places) return this.places;
    this.bytes = brotliDecompressSync(readFileSync(join(ROOT, 'profiles', 'base', `${this.name}.br`)));
    const places = new Map<string, [number, number]>();
    for (let start = 0; start < this.bytes.length; ) {
      const tab = this.bytes.indexOf(9, start);
      const end = this.bytes.indexOf(10, tab);
      const stop = end < 0 ? this.bytes.length : end;
      places.set(this.bytes.toString('utf8', start, tab), [tab + 1, stop]);
      start = stop + 1;
    }
    this.places = places;
    return places;
  }

  keys(): string[] {
    return [...this.index().keys()];
  }

  get(url: string): Json | undefined {
    const known = this.parsed.get(url);
    if (known) return known;
    const at = this.index().get(url);
    if (!at) return undefined;
    const value = JSON.parse((this.bytes as Buffer).toString('utf8', at[0], at[1]));
    this.parsed.set(url, value);
    return value;
  }
}

export const structures = new Pack('structures');
export const searchParameters = new Pack('search');
export const codeSystems = new Pack('codesystems');
export const valueSets = new Pack('valuesets');
export const expansions = new Pack('expansions');
export const compartments = new Pack('compartments');

/** JSON files of one of this server's own folders, by file name order. */
export function jsonFiles(folder: string): Json[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .filter((f) => f.endsWith('.json'))
    .sort()
    .map((f) => JSON.parse(readFileSync(join(folder, f), 'utf8')));
}
