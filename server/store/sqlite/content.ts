// Content: small ones stand in the database and become durable in the commit that names them; large ones are files beside it,
// streamed in, synced, named by a random key.
import { createHash, randomUUID } from 'node:crypto';
import { createReadStream, mkdirSync } from 'node:fs';
import { type FileHandle, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import type { ContentInfo, Store } from '../port.ts';
import { HEAD, Unavailable } from '../port.ts';
import type { Committer } from './committer.ts';
import type { Statements } from './statements.ts';

/** Bytes up to which content stands in the database. */
const SMALL = 65_536;
/** Small contents that no commit has named yet are held for this long (ms). */
const HELD = 600_000;

const randomName = (): string => randomUUID().replaceAll('-', '');

/** Keys of before schema 2 are bare 32-digit names of files. */
const isSmall = (key: string): boolean => key.length === 33 && key.startsWith('b');

/** Small contents between their arrival and the commit that names them. */
export type Pending = {
  /** Writes a small content inside the running transaction; throws where it is not held any more. */
  write(key: string): void;
  /** Lets go of what is durable now. */
  settle(key: string): void;
};

type Held = { bytes: Buffer; at: number };

export function sqliteContent(folder: string, statement: Statements, committer: Committer): { content: Store['content']; pending: Pending } {
  mkdirSync(join(folder, 'tmp'), { recursive: true });
  const path = (key: string): string => join(folder, key.slice(0, 2), key);
  const held = new Map<string, Held>();

  const stored = (key: string): Buffer | undefined => {
    const row = statement('SELECT data FROM blob WHERE key = ?').get(key) as { data: Uint8Array } | undefined;
    return row && Buffer.from(row.data);
  };

  function hold(bytes: Buffer): string {
    const now = Date.now();
    for (const [k, h] of held) {
      if (now - h.at < HELD) break;
      held.delete(k);
    }
    const key = `b${randomName()}`;
    held.set(key, { bytes, at: now });
    return key;
  }

  /** Spills what has come so far, and the rest, into a file. */
  async function spill(key: string, head: Buffer[], rest: AsyncIterator<Buffer> | Iterator<Buffer>, seen: (b: Buffer) => void): Promise<void> {
    const temporary = join(folder, 'tmp', key);
    const file: FileHandle = await open(temporary, 'wx');
    try {
      for (const b of head) await file.write(b);
      for (let n = await rest.next(); !n.done; n = await rest.next()) {
        seen(n.value);
        await file.write(n.value);
      }
      await file.sync();
    } catch (e) {
      await file.close();
      await rm(temporary, { force: true });
      throw e;
    }
    await file.close();
    mkdirSync(join(folder, key.slice(0, 2)), { recursive: true });
    await rename(temporary, path(key));
  }

  async function put(source: AsyncIterable<Buffer> | Iterable<Buffer>, max: number): Promise<ContentInfo> {
    const sha1 = createHash('sha1');
    let size = 0;
    const seen = (b: Buffer): void => {
      size += b.length;
      if (size > max) throw new RangeError('content too large');
      sha1.update(b);
    };
    const head: Buffer[] = [];
    const pieces = Symbol.asyncIterator in source ? source[Symbol.asyncIterator]() : source[Symbol.iterator]();
    let more = await pieces.next();
    for (; !more.done && size <= SMALL; more = await pieces.next()) {
      seen(more.value);
      head.push(more.value);
    }
    let key: string;
    if (more.done && size <= SMALL) key = hold(Buffer.concat(head));
    else {
      key = `f${randomName()}`;
      if (!more.done) {
        seen(more.value);
        head.push(more.value);
      }
      await spill(key, head, pieces, seen);
    }
    return { key, size, sha1: sha1.digest('base64'), head: Buffer.concat(head, Math.min(size, HEAD)) };
  }

  async function openContent(key: string, range?: { start: number; end: number }): Promise<Readable> {
    if (isSmall(key)) {
      const bytes = held.get(key)?.bytes ?? stored(key);
      if (!bytes) throw new Unavailable('content missing');
      return Readable.from([range ? bytes.subarray(range.start, range.end + 1) : bytes]);
    }
    await stat(path(key)).catch((e) => {
      throw new Unavailable(`content missing: ${String(e)}`);
    });
    return createReadStream(path(key), range ? { start: range.start, end: range.end } : {});
  }

  async function olderThan(ms: number): Promise<string[]> {
    const keys: string[] = [];
    for (const d of await readdir(folder)) {
      for (const f of await readdir(join(folder, d))) {
        const s = await stat(join(folder, d, f)).catch(() => undefined);
        if (s && s.mtimeMs < ms) keys.push(f);
      }
    }
    return keys;
  }

  return {
    pending: {
      write(key) {
        if (!isSmall(key)) return;
        const bytes = held.get(key)?.bytes;
        if (!bytes && stored(key)) return;
        if (!bytes) throw new Unavailable('content is not held any more');
        statement('INSERT OR IGNORE INTO blob VALUES (?, ?)').run(key, bytes);
      },
      settle: (key) => void held.delete(key),
    },
    content: {
      put,
      open: openContent,
      olderThan,
      async remove(key) {
        held.delete(key);
        if (isSmall(key)) return committer.submit(() => void statement('DELETE FROM blob WHERE key = ?').run(key));
        await rm(path(key), { force: true });
        await rm(join(folder, 'tmp', key), { force: true });
      },
    },
  };
}
