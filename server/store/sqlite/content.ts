// Content as files beside the database: streamed in, synced, named by a random key.
import { createHash, randomBytes } from 'node:crypto';
import { createReadStream, mkdirSync } from 'node:fs';
import { open, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import type { ContentInfo, Store } from '../port.ts';
import { Unavailable } from '../port.ts';

export function fileContent(folder: string): Store['content'] {
  mkdirSync(join(folder, 'tmp'), { recursive: true });
  const path = (key: string): string => join(folder, key.slice(0, 2), key);

  async function put(stream: Readable, max: number): Promise<ContentInfo> {
    const key = randomBytes(16).toString('hex');
    const temporary = join(folder, 'tmp', key);
    const sha1 = createHash('sha1');
    const sha256 = createHash('sha256');
    let size = 0;
    const file = await open(temporary, 'wx');
    try {
      for await (const chunk of stream) {
        const bytes = chunk as Buffer;
        size += bytes.length;
        if (size > max) throw new RangeError('content too large');
        sha1.update(bytes);
        sha256.update(bytes);
        await file.write(bytes);
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
    return { key, size, sha1: sha1.digest('base64'), sha256: sha256.digest('base64') };
  }

  async function openContent(key: string, range?: { start: number; end: number }): Promise<Readable> {
    try {
      await stat(path(key));
    } catch (e) {
      throw new Unavailable(`content missing: ${String(e)}`);
    }
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
    put,
    open: openContent,
    olderThan,
    async remove(key) {
      await rm(path(key), { force: true });
      await rm(join(folder, 'tmp', key), { force: true });
    },
  };
}
