// Binary: bytes stream both ways; as a FHIR Binary or by native type, as Accept says. https://hl7.org/fhir/R4/binary.html
import { inspect, storeStream, contentOf } from '../access/write/content.ts';
import { perform } from '../access/write/perform.ts';
import * as errors from '../fhir/errors.ts';
import { Readable } from 'node:stream';
import { openContent } from '../access/content.ts';
import { type Context, type Request, type Response, writeEvents } from './context.ts';
import { resultView } from './write.ts';
import { versionHeaders, viewed, written } from './respond.ts';

const MEDIA = /^[\w.+-]+\/[\w.+-]+(\s*;\s*[\w.-]+=("[^"]*"|[\w.+:/-]+))*$/;

/** Whether Accept asks for the FHIR resource rather than its bytes. */
const wantsFhir = (accept: string | undefined): boolean => accept !== undefined && /application\/(fhir\+)?json/.test(accept) && !/\*\/\*/.test(accept.split(',')[0]);

type Range = { start: number; end: number };

/** One range of a Range header; undefined: the whole. A range outside is a 416. */
function rangeOf(header: string | undefined, size: number): Range | undefined {
  const m = header === undefined ? null : /^bytes=(\d*)-(\d*)$/.exec(header.trim());
  if (!m || (m[1] === '' && m[2] === '')) return undefined;
  const start = m[1] === '' ? Math.max(0, size - Number(m[2])) : Number(m[1]);
  const end = m[1] === '' || m[2] === '' ? size - 1 : Math.min(Number(m[2]), size - 1);
  if (start > end || start >= size) throw errors.rangeNotSatisfiable(size);
  return { start, end };
}

function* prefixed(head: string): Generator<string> {
  yield head;
}

/** The FHIR form, its data base64 as it streams. */
async function* asFhir(meta: string, bytes: Readable): AsyncGenerator<string> {
  yield* prefixed(`${meta.slice(0, -1)},"data":"`);
  let rest: Buffer = Buffer.alloc(0);
  for await (const c of bytes) {
    const all = rest.length ? Buffer.concat([rest, c as Buffer]) : (c as Buffer);
    const whole = all.length - (all.length % 3);
    yield all.toString('base64', 0, whole);
    rest = all.subarray(whole);
  }
  yield `${rest.toString('base64')}"}`;
}

/** Content retrieval (ITI-68). */
export async function readBinary(ctx: Context, id: string, req: Request): Promise<Response> {
  const view = await ctx.records.read('Binary', id);
  const cached = viewed(view, req.headers);
  if (cached.status === 304) return cached;
  const { size } = contentOf(view.row);
  const meta = JSON.parse(view.text);
  const own = { ...versionHeaders(view), 'Content-Security-Policy': "sandbox; default-src 'none'", 'X-Content-Type-Options': 'nosniff', Vary: 'Accept, Authorization, Origin' };
  if (wantsFhir(req.headers.accept)) return { status: 200, headers: { ...own, 'Content-Type': 'application/fhir+json; charset=utf-8' }, ...(req.method === 'HEAD' ? {} : { stream: Readable.from(asFhir(view.text, await openContent(ctx.records, view))) }) };
  const range = rangeOf(req.headers.range, size);
  const headers: Record<string, string> = { ...own, 'Content-Type': String(meta.contentType), 'Content-Disposition': `attachment; filename="${id}"`, 'Accept-Ranges': 'bytes', 'Content-Length': String(range ? range.end - range.start + 1 : size) };
  if (range) headers['Content-Range'] = `bytes ${range.start}-${range.end}/${size}`;
  return { status: range ? 206 : 200, headers, ...(req.method === 'HEAD' ? {} : { stream: await openContent(ctx.records, view, range) }) };
}

/** Raw upload: unbound until a document names it (W5). */
export async function createRawBinary(ctx: Context, req: Request): Promise<Response> {
  ctx.records.requireScope('Binary', 'c');
  const contentType = req.headers['content-type'] ?? 'application/octet-stream';
  if (!MEDIA.test(contentType)) throw errors.unsupportedMedia('The Content-Type is no media type.');
  const info = await storeStream(ctx.records, req.raw as Readable);
  await inspect(ctx.records, info, contentType, 'Binary.contentType');
  const change = { kind: 'create' as const, type: 'Binary', id: ctx.settings.world.newId(), resource: { resourceType: 'Binary', contentType }, content: info };
  const done = await perform(ctx.records, async () => ({ changes: [change] }), writeEvents(ctx, (all) => all.map((performed) => ({ act: ctx.act, performed }))));
  return written(ctx, 201, await resultView(ctx, done[0].effect.row));
}
