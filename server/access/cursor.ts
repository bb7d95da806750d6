// Cursors: sealed, bound to the search they continue and to nobody's internals (S6).
import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto';
import { invalidParameter } from '../fhir/errors.ts';

const broken = () => invalidParameter('The page cursor is broken or belongs to another search.');

const digest = (search: string): Buffer => createHash('sha256').update(search).digest().subarray(0, 12);

/** Seals keyset values; `search` is the text of the search that they belong to. */
export function sealCursor(key: Buffer, search: string, after: (string | number)[]): string {
  const iv = digest(`${search}\n${JSON.stringify(after)}`);
  const cipher = createCipheriv('aes-256-gcm', key, iv);
  cipher.setAAD(digest(search));
  const body = Buffer.concat([cipher.update(JSON.stringify(after), 'utf8'), cipher.final()]);
  return Buffer.concat([iv, cipher.getAuthTag(), body]).toString('base64url');
}

/** Opens a cursor; a 400 where it is not ours or belongs to another search. */
export function openCursor(key: Buffer, search: string, cursor: string): (string | number)[] {
  try {
    const raw = Buffer.from(cursor, 'base64url');
    const decipher = createDecipheriv('aes-256-gcm', key, raw.subarray(0, 12));
    decipher.setAAD(digest(search));
    decipher.setAuthTag(raw.subarray(12, 28));
    return JSON.parse(Buffer.concat([decipher.update(raw.subarray(28)), decipher.final()]).toString('utf8'));
  } catch {
    throw broken();
  }
}

export const newCursorKey = (): string => randomBytes(32).toString('base64');
