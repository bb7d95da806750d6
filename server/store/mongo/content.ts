// Content in GridFS: uploaded first, bound at commit, the unbound swept.
import { createHash, randomBytes } from 'node:crypto';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { type Db, GridFSBucket, type ObjectId } from 'mongodb';
import type { ContentInfo, Store } from '../port.ts';
import { HEAD, Unavailable } from '../port.ts';

export function gridContent(db: Db): Store['content'] {
  const bucket = new GridFSBucket(db, { bucketName: 'content', chunkSizeBytes: 1_048_576 });
  const fileOf = async (key: string): Promise<{ _id: ObjectId; length: number } | undefined> => (await db.collection('content.files').findOne({ filename: key })) as never;

  async function put(source: AsyncIterable<Buffer> | Iterable<Buffer>, max: number): Promise<ContentInfo> {
    const key = randomBytes(16).toString('hex');
    const sha1 = createHash('sha1');
    let head = Buffer.alloc(0);
    let size = 0;
    const measure = new Transform({
      transform(chunk, _encoding, done) {
        size += chunk.length;
        if (size > max) return done(new RangeError('content too large'));
        sha1.update(chunk);
        if (head.length < HEAD) head = Buffer.concat([head, chunk]).subarray(0, HEAD);
        done(undefined, chunk);
      },
    });
    const upload = bucket.openUploadStream(key);
    try {
      await pipeline(source, measure, upload);
    } catch (e) {
      await upload.abort().catch(() => {});
      throw e instanceof RangeError ? e : new Unavailable(String(e), { cause: e });
    }
    return { key, size, sha1: sha1.digest('base64'), head };
  }

  return {
    put,
    async open(key, range) {
      const file = await fileOf(key);
      if (!file) throw new Unavailable('content missing');
      return bucket.openDownloadStream(file._id, range ? { start: range.start, end: range.end + 1 } : {});
    },
    async remove(key) {
      const file = await fileOf(key);
      if (file) await bucket.delete(file._id).catch(() => {});
    },
    async olderThan(ms) {
      const files = await db.collection('content.files').find({ uploadDate: { $lt: new Date(ms) } }).project({ filename: 1 }).toArray();
      return files.map((f) => f.filename as string);
    },
  };
}
