// Content of documents: moved out, measured, held against what is declared, bound for good (W5).
import * as errors from '../../fhir/errors.ts';
import { asArray, type Json, type Resource } from '../../fhir/types.ts';
import { relativeReference } from '../../fhir/reference.ts';
import type { ContentInfo, Row } from '../../store/port.ts';
import type { Records } from '../records.ts';
import { putOf, type Siblings } from './change.ts';
import type { Operation } from '../../store/port.ts';
import { referenceNotFound } from './references.ts';

const BASE64 = /^[A-Za-z0-9+/\s]*={0,2}\s*$/;

/** What the first bytes of a format are; types that are not here carry no such mark. */
const MAGIC: Record<string, (b: Buffer) => boolean> = {
  'application/pdf': (b) => b.subarray(0, 1024).includes('%PDF-'),
  'image/jpeg': (b) => b[0] === 0xff && b[1] === 0xd8,
  'image/png': (b) => b.subarray(0, 4).equals(Buffer.from([0x89, 0x50, 0x4e, 0x47])),
  'image/tiff': (b) => ['49492a00', '4d4d002a'].includes(b.subarray(0, 4).toString('hex')),
  'application/dicom': (b) => b.subarray(128, 132).toString() === 'DICM',
  'text/xml': (b) => looksXml(b),
  'application/xml': (b) => looksXml(b),
  'application/rtf': (b) => b.subarray(0, 5).toString() === '{\\rtf',
};

const looksXml = (b: Buffer): boolean => /^\uFEFF?\s*</.test(b.subarray(0, 64).toString('utf8'));

/** Holds the head of stored content against the declared type; then the antivirus hook. */
export async function inspect(records: Records, info: ContentInfo, contentType: string, expression: string): Promise<void> {
  const test = MAGIC[contentType.split(';')[0].trim().toLowerCase()];
  if (test && info.size > 0 && !test(info.head)) throw errors.businessRule(`The content is not what its declared type \`${contentType.slice(0, 64)}\` says.`, [expression], 'content-type-mismatch');
  await records.deps.inspect?.({ key: info.key, contentType, size: info.size });
}

/** Stores base64 data in pieces, so that a large attachment is not held twice. */
export async function storeBase64(records: Records, data: unknown, expression: string): Promise<ContentInfo> {
  if (typeof data !== 'string' || !BASE64.test(data)) throw errors.invalid('The data is not base64.', [expression]);
  const text = /\s/.test(data) ? data.replace(/\s+/g, '') : data;
  if (text.length % 4 !== 0) throw errors.invalid('The data is not whole base64.', [expression]);
  const STEP = 4 * 65_536;
  function* pieces(): Generator<Buffer> {
    for (let i = 0; i < text.length; i += STEP) yield Buffer.from(text.slice(i, i + STEP), 'base64');
  }
  return storeStream(records, pieces());
}

export async function storeStream(records: Records, source: AsyncIterable<Buffer> | Iterable<Buffer>): Promise<ContentInfo> {
  try {
    return await records.deps.store.content.put(source, records.deps.limits.binary);
  } catch (e) {
    if (e instanceof RangeError) throw errors.tooLarge(`The content is larger than ${records.deps.limits.binary} bytes.`);
    throw e;
  }
}

function checkDeclared(attachment: Json, info: { size: number; sha1: string }, expression: string): void {
  if (attachment.size !== undefined && attachment.size !== info.size) throw errors.businessRule(`The size is ${info.size} bytes, not ${attachment.size} as declared.`, [`${expression}.size`], 'size-mismatch');
  if (attachment.hash !== undefined && attachment.hash !== info.sha1) throw errors.businessRule('The SHA-1 of the content is not the declared hash.', [`${expression}.hash`], 'hash-mismatch');
}

/** The metadata of a Binary as stored: everything but its bytes. */
export function binaryResource(id: string, contentType: string, extra: Json = {}): Resource {
  return { resourceType: 'Binary', id, ...extra, contentType };
}

export type Bound = { ops: Operation[]; hashes: string[] };
/** How contents reach a document: stored already for a change of the same commit, by Binary reference. */
export type Binding = { records: Records; documentId: string; patient: string; stamp: Pick<Row['scalars'], 'depositor' | 'depositorOrg' | 'bySystem'>; siblings: Siblings };

async function bindData(b: Binding, attachment: Json, expression: string): Promise<{ op: Operation; info: ContentInfo }> {
  const { records } = b;
  const info = await storeBase64(records, attachment.data, `${expression}.data`);
  await inspect(records, info, String(attachment.contentType ?? 'application/octet-stream'), `${expression}.contentType`);
  const id = records.deps.world.newId();
  const op = putOf(records.deps, records.ask.now, binaryResource(id, attachment.contentType ?? 'application/octet-stream'), id, undefined, 'POST', { ...b.stamp, patient: b.patient, bound: b.documentId, content: `${info.key}:${info.size}:${info.sha1}`, since: records.ask.now });
  attachment.url = `Binary/${id}`;
  delete attachment.data;
  return { op, info };
}

export const contentOf = (row: Row): { key: string; size: number; sha1: string } => {
  const [key, size, sha1] = String(row.scalars.content).split(':');
  return { key, size: Number(size), sha1 };
};

async function bindUploaded(b: Binding, id: string, expression: string): Promise<{ op?: Operation; info: { size: number; sha1: string } }> {
  const { records } = b;
  const sibling = b.siblings.get(`Binary/${id}`);
  if (sibling?.kind === 'create' && sibling.content) {
    if (sibling.boundTo !== undefined && sibling.boundTo !== b.documentId) throw referenceNotFound(`Binary/${id}`, `${expression}.url`);
    sibling.boundTo = b.documentId;
    sibling.boundPatient = b.patient;
    return { info: sibling.content };
  }
  const row = await records.deps.store.read('Binary', id);
  const own = row && !row.deleted && row.scalars.bound === null && row.scalars.depositor === b.stamp.depositor && row.scalars.depositorOrg === b.stamp.depositorOrg;
  if (!row || !own) throw referenceNotFound(`Binary/${id}`, `${expression}.url`);
  return { op: putOf(records.deps, records.ask.now, JSON.parse(row.text), id, row, 'PUT', { patient: b.patient, bound: b.documentId }), info: contentOf(row) };
}

/** Binds each attachment of a document; data is moved out, hash and size are set and checked. */
export async function bindContents(b: Binding, resource: Resource): Promise<Bound> {
  const out: Bound = { ops: [], hashes: [] };
  for (const [i, c] of asArray<Json>(resource.content).entries()) {
    const attachment = c.attachment as Json | undefined;
    const expression = `DocumentReference.content[${i}].attachment`;
    if (!attachment) continue;
    let info: { size: number; sha1: string } | undefined;
    if (attachment.data !== undefined) {
      const bound = await bindData(b, attachment, expression);
      out.ops.push(bound.op);
      info = bound.info;
    } else {
      const ref = relativeReference(attachment.url, b.records.deps.base);
      if (ref?.startsWith('Binary/')) {
        const bound = await bindUploaded(b, ref.slice('Binary/'.length), expression);
        if (bound.op) out.ops.push(bound.op);
        info = bound.info;
        attachment.url = ref;
      } else if (typeof attachment.url === 'string' && attachment.url.startsWith('urn:uuid:')) throw referenceNotFound(attachment.url, `${expression}.url`);
    }
    if (info) {
      checkDeclared(attachment, info, expression);
      attachment.size = info.size;
      attachment.hash = info.sha1;
      out.hashes.push(info.sha1);
    } else out.hashes.push(String(attachment.hash ?? attachment.url ?? ''));
  }
  return out;
}
