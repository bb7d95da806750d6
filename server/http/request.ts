// HTTP in → a typed request: media types, limits, bodies.
import { isUtf8 } from 'node:buffer';
import type { IncomingMessage } from 'node:http';
import type { Readable } from 'node:stream';
import type { Limits } from '../access/deps.ts';
import * as errors from '../fhir/errors.ts';
import { parseJson } from '../fhir/json.ts';
import type { Resource } from '../fhir/types.ts';
import type { Request } from '../interaction/context.ts';

const JSON_TYPES = new Set(['application/fhir+json', 'application/json', 'application/json+fhir', 'text/json']);

/** Memory for a body of a declared length, or one that may grow up to `limit`. */
function room(expected: number, limit: number): ArrayBuffer {
  try {
    return expected ? new ArrayBuffer(expected, { maxByteLength: expected }) : new ArrayBuffer(Math.min(65_536, limit), { maxByteLength: limit });
  } catch (e) {
    throw errors.unavailable('no memory for a body', e);
  }
}

const tooLarge = (what: string, limit: number): errors.FhirError => errors.tooLarge(`The ${what} is larger than ${limit} bytes.`);

/**
 * The text of a body up to `limit` bytes; the rest of a longer one is drained so that the answer can be read. `expected`: its declared length.
 * A body of several chunks is gathered in memory that is given back as soon as the text is made, not when the collector gets to it:
 * a large Bundle is then never held as bytes, as text and as what is parsed from it at once.
 */
export async function textOf(stream: Readable, limit: number, what: string, expected = 0): Promise<string> {
  if (expected > limit) throw tooLarge(what, limit);
  let first: Buffer | undefined;
  let memory: ArrayBuffer | undefined;
  let size = 0;
  const append = (held: ArrayBuffer, bytes: Buffer): void => {
    if (size + bytes.length > held.byteLength) held.resize(Math.min(held.maxByteLength, Math.max(held.byteLength * 2, size + bytes.length)));
    bytes.copy(new Uint8Array(held, size, bytes.length));
    size += bytes.length;
  };
  for await (const chunk of stream) {
    const bytes = chunk as Buffer;
    if (size + (first?.length ?? 0) + bytes.length > limit) throw tooLarge(what, limit);
    if (first === undefined && memory === undefined) {
      first = bytes;
      continue;
    }
    if (memory === undefined) {
      memory = room(expected, limit);
      append(memory, first as Buffer);
      first = undefined;
    }
    append(memory, bytes);
  }
  if (memory === undefined) return first === undefined ? '' : decode(first);
  try {
    return decode(Buffer.from(memory, 0, size));
  } finally {
    memory.resize(0);
  }
}

const mediaType = (header: string | undefined): string => (header ?? '').split(';')[0].trim().toLowerCase();

/** Throws 406 where the client takes neither JSON nor anything. */
function checkAccept(accept: string | undefined, format: string | undefined, binary: boolean): void {
  if (format !== undefined) {
    if (!['json', 'application/json', 'application/fhir+json', 'application/fhir json', 'text/json'].includes(format)) throw errors.notAcceptable('Only JSON is offered here (`_format=json`).');
    return;
  }
  if (accept === undefined || binary) return;
  const types = accept.split(',').map(mediaType);
  if (!types.some((t) => t === '*/*' || t === 'application/*' || t === 'text/html' || JSON_TYPES.has(t))) throw errors.notAcceptable('Only application/fhir+json is offered here.');
}

/** Node gives a text of one byte a character where it can: a large Bundle is not held at twice its size. */
function decode(bytes: Buffer): string {
  if (!isUtf8(bytes)) throw errors.malformed('The body is not UTF-8.');
  return bytes.toString('utf8');
}

async function readBody(req: IncomingMessage, path: string, limits: Limits): Promise<Partial<Request>> {
  const type = mediaType(req.headers['content-type']);
  const isSearch = path === '_search' || path.endsWith('/_search');
  if (type === 'application/x-www-form-urlencoded' || isSearch) {
    if (!isSearch) throw errors.unsupportedMedia('A form is taken by _search only.');
    return { query: [...new URLSearchParams(await textOf(req, 65_536, 'form'))] };
  }
  if (path === 'Binary' && req.method === 'POST' && !JSON_TYPES.has(type)) return { raw: req };
  if (type === 'application/json-patch+json' || (req.method === 'PATCH' && type === 'application/json')) {
    const text = await textOf(req, limits.resource, 'patch');
    let patch: unknown;
    try {
      patch = JSON.parse(text);
    } catch {
      throw errors.malformed('The patch is not JSON.');
    }
    if (Array.isArray(patch)) return { patch };
    if (type === 'application/json') return { body: parseJson(text) as Resource };
    throw errors.malformed('A JSON Patch is an array of operations.');
  }
  if (!JSON_TYPES.has(type)) throw errors.unsupportedMedia(`The media type \`${type.slice(0, 64) || 'none'}\` is not taken here; send application/fhir+json.`);
  const whole = path === '' || path === 'Binary' ? limits.bundle : limits.resource;
  const text = await textOf(req, whole, path === '' ? 'Bundle' : 'resource', Number(req.headers['content-length']) || 0);
  if (!text) return {};
  const body = parseJson(text) as Resource;
  if (typeof body.resourceType !== 'string') throw errors.invalid('The body has no `resourceType`.', ['resourceType']);
  return { body };
}

/** The request that an HTTP message carries. `path` is below the base, decoded. */
export async function toRequest(req: IncomingMessage, path: string, search: string, limits: Limits): Promise<Request> {
  const query = [...new URLSearchParams(search)];
  const headers: Request['headers'] = {};
  for (const [k, v] of Object.entries(req.headers)) headers[k] = Array.isArray(v) ? v.join(', ') : v;
  const method = req.method ?? 'GET';
  const other = path.startsWith('Binary/') || path.includes('$');
  checkAccept(headers.accept, other ? undefined : query.find(([k]) => k === '_format')?.[1], other);
  const hasBody = method !== 'GET' && method !== 'HEAD' && (Number(headers['content-length'] ?? 0) > 0 || headers['transfer-encoding'] !== undefined);
  const body = hasBody ? await readBody(req, path, limits) : {};
  return { method, path, headers, ...body, query: [...query, ...(body.query ?? [])] };
}
