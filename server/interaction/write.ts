// https://hl7.org/fhir/R4/http.html#create, #update, #patch, #delete and their conditional forms.
import { conditionalMatches } from '../access/search.ts';
import type { View } from '../access/records.ts';
import type { Change } from '../access/write/change.ts';
import { inspect, storeBase64 } from '../access/write/content.ts';
import { type Performed, perform } from '../access/write/perform.ts';
import { viewOf } from '../access/views.ts';
import * as errors from '../fhir/errors.ts';
import { parseEtags } from '../fhir/etag.ts';
import { isId } from '../fhir/reference.ts';
import { isGated, type Resource } from '../fhir/types.ts';
import { parseQuery } from '../search/query.ts';
import type { Row, Search } from '../store/port.ts';
import { applyPatch } from '../bundle/patch.ts';
import { type Context, type Request, type Response, writeEvents } from './context.ts';
import { written } from './respond.ts';

/** The one answer to a PUT on a gated id that the caller does not see (S1). */
const noUpdateAsCreate = () => errors.methodNotAllowed('GET, HEAD', 'The server gives the ids of this type; nothing is created by PUT.');

export function checkBody(ctx: Context, type: string, body: Resource | undefined): Resource {
  if (!body) throw errors.malformed('A resource is expected in the body.');
  if (body.resourceType !== type) throw errors.invalid(`The body is a \`${String(body.resourceType).slice(0, 64)}\`; the address says \`${type}\`.`, ['resourceType']);
  const issues = ctx.services.validate(body);
  if (issues.some((i) => i.severity === 'error' || i.severity === 'fatal')) throw errors.unprocessable(issues);
  return body;
}

/** Matches of conditional criteria; several are a 412. */
export async function oneMatch(ctx: Context, type: string, criteria: [string, string][], name: string): Promise<{ view: View | undefined; absent: Search | undefined }> {
  if (!criteria.length) throw errors.preconditionFailed(`${name} needs criteria.`);
  const query = parseQuery(type, criteria, true);
  if (!query.filters.length) throw errors.invalidParameter(`${name} needs criteria that select.`);
  const { matches, absent } = await conditionalMatches(ctx.records, query);
  if (matches.length > 1) throw errors.multipleMatches(`The criteria of ${name} match more than one ${type}.`);
  return { view: matches[0], absent };
}

export const criteriaOf = (text: string): [string, string][] => [...new URLSearchParams(text.replace(/^[^?]*\?/, ''))];

/** A Binary's bytes leave the JSON before anything is decided. */
export async function withContent(ctx: Context, change: Extract<Change, { kind: 'create' }>): Promise<Extract<Change, { kind: 'create' }>> {
  if (change.type !== 'Binary' || change.content) return change;
  const info = await storeBase64(ctx.records, change.resource.data ?? '', 'Binary.data');
  await inspect(ctx.records, info, String(change.resource.contentType), 'Binary.contentType');
  return { ...change, content: info };
}

/** The view of what a write left; to a caller who may not read what they wrote, its own text. */
export async function resultView(ctx: Context, row: Row): Promise<View> {
  const view = await viewOf(ctx.records.gate, row);
  return view ?? { type: row.type, id: row.id, version: String(row.version), updated: row.updated, date: row.scalars.date, text: row.text, row };
}

const single = (ctx: Context) => writeEvents(ctx, (done: Performed[]) => done.map((performed) => ({ act: ctx.act, performed })));

/** Create; with If-None-Exist safe under concurrency and replay. */
export async function create(ctx: Context, type: string, req: Request): Promise<Response> {
  ctx.records.requireScope(type, 'c');
  const resource = checkBody(ctx, type, req.body);
  const criteria = req.headers['if-none-exist'];
  const prepared = await withContent(ctx, { kind: 'create', type, id: ctx.settings.world.newId(), resource });
  let existing: View | undefined;
  const done = await perform(ctx.records, async () => {
    if (criteria === undefined) return { changes: [prepared] };
    const match = await oneMatch(ctx, type, criteriaOf(criteria), 'If-None-Exist');
    existing = match.view;
    return existing ? { changes: [] } : { changes: [prepared], absent: match.absent ? [match.absent] : [] };
  }, single(ctx));
  if (existing) {
    ctx.records.notes.recorded = false;
    return written(ctx, 200, existing);
  }
  return written(ctx, 201, await resultView(ctx, done[0].effect.row));
}

function checkIfMatch(header: string | undefined, view: View): void {
  if (header === undefined) return;
  const tags = parseEtags(header, 'If-Match');
  if (!tags.includes('*') && !tags.includes(view.version)) throw errors.preconditionFailed(`The version is not the one that If-Match names.`);
}

/** The row that a write addresses, once its caller sees it; otherwise what stands for "not there" on this verb. */
export async function seen(ctx: Context, type: string, id: string, absent: () => errors.FhirError): Promise<{ row: Row; view: View }> {
  const found = await ctx.records.seen(type, id);
  if (!found) throw absent();
  return found;
}

async function updateChange(ctx: Context, type: string, id: string, resource: Resource, ifMatch: string | undefined): Promise<Change> {
  if (isGated(type)) {
    const { row, view } = await seen(ctx, type, id, noUpdateAsCreate);
    checkIfMatch(ifMatch, view);
    return { kind: 'update', type, id, resource, before: row, method: 'PUT' };
  }
  const standing = await ctx.records.standing(type, id);
  if (standing.state === 'none') {
    if (ifMatch !== undefined) throw errors.preconditionFailed('There is no version to match.');
    return { kind: 'create', type, id, resource, put: true };
  }
  if (standing.state === 'deleted') return { kind: 'update', type, id, resource, before: standing.row, method: 'PUT' };
  const { row, view } = await seen(ctx, type, id, () => errors.notFound(type, id));
  checkIfMatch(ifMatch, view);
  return { kind: 'update', type, id, resource, before: row, method: 'PUT' };
}

/** Update by id; update-as-create for directory types only (S6). */
export async function update(ctx: Context, type: string, id: string, req: Request): Promise<Response> {
  ctx.records.requireScope(type, 'u');
  const resource = checkBody(ctx, type, req.body);
  if (resource.id !== id) throw errors.invalid(`The id in the body is \`${String(resource.id).slice(0, 64)}\`; the address says \`${id}\`.`, [`${type}.id`]);
  const done = await perform(ctx.records, async () => ({ changes: [await updateChange(ctx, type, id, resource, req.headers['if-match'])] }), single(ctx));
  return answer(ctx, done[0]);
}

async function answer(ctx: Context, done: Performed): Promise<Response> {
  if (done.effect.row.deleted) return { status: 204, headers: {} };
  return written(ctx, done.change.kind === 'create' ? 201 : 200, await resultView(ctx, done.effect.row));
}

/** Conditional update: https://hl7.org/fhir/R4/http.html#cond-update */
export async function conditionalUpdate(ctx: Context, type: string, req: Request): Promise<Response> {
  ctx.records.requireScope(type, 'u');
  const resource = checkBody(ctx, type, req.body);
  const done = await perform(ctx.records, () => conditionalChange(ctx, type, resource, req.query), single(ctx));
  return answer(ctx, done[0]);
}

export async function conditionalChange(ctx: Context, type: string, resource: Resource, criteria: [string, string][]): Promise<{ changes: Change[]; absent?: Search[] }> {
  const match = await oneMatch(ctx, type, criteria, 'a conditional update');
  if (match.view) {
    if (resource.id !== undefined && resource.id !== match.view.id) throw errors.invalid('The id in the body is not that of the match.', [`${type}.id`]);
    return { changes: [{ kind: 'update', type, id: match.view.id, resource: { ...resource, id: match.view.id }, before: match.view.row, method: 'PUT' }] };
  }
  ctx.records.requireScope(type, 'c');
  const keepsId = !isGated(type) && isId(resource.id) && (await ctx.records.standing(type, resource.id)).state === 'none';
  const id = keepsId ? (resource.id as string) : ctx.settings.world.newId();
  return { changes: [await withContent(ctx, { kind: 'create', type, id, resource, put: keepsId })], absent: match.absent ? [match.absent] : [] };
}

/** The change that a patch comes to, on what the caller sees. */
export async function patchChange(ctx: Context, type: string, id: string, req: Pick<Request, 'body' | 'patch' | 'headers'>): Promise<Change> {
  const { row, view } = await seen(ctx, type, id, () => errors.notFound(type, id));
  checkIfMatch(req.headers['if-match'], view);
  const patched = applyPatch(JSON.parse(view.text), req);
  if (patched.resourceType !== type || patched.id !== id) throw errors.businessRule('A patch does not change the type or the id.', [type]);
  checkBody(ctx, type, patched);
  return { kind: 'update', type, id, resource: patched, before: row, method: 'PATCH' };
}

/** JSON Patch or FHIRPath Patch. https://hl7.org/fhir/R4/http.html#patch */
export async function patch(ctx: Context, type: string, id: string, req: Request): Promise<Response> {
  ctx.records.requireScope(type, 'u');
  const done = await perform(ctx.records, async () => ({ changes: [await patchChange(ctx, type, id, req)] }), single(ctx));
  return answer(ctx, done[0]);
}

export async function conditionalPatch(ctx: Context, type: string, req: Request): Promise<Response> {
  ctx.records.requireScope(type, 'u');
  const done = await perform(ctx.records, async () => {
    const match = await oneMatch(ctx, type, req.query, 'a conditional patch');
    if (!match.view) throw errors.notFound(type, '?');
    return { changes: [await patchChange(ctx, type, match.view.id, req)] };
  }, single(ctx));
  return answer(ctx, done[0]);
}

/** Delete; what is gone already is gone (204) for directory types, not there (404) for gated ones (S1). */
export async function remove(ctx: Context, type: string, id: string, req: Request): Promise<Response> {
  ctx.records.requireScope(type, 'd');
  if (!isGated(type) && (await ctx.records.standing(type, id)).state === 'deleted') return { status: 204, headers: {} };
  await perform(ctx.records, async () => {
    const found = await seen(ctx, type, id, () => errors.notFound(type, id));
    checkIfMatch(req.headers['if-match'], found.view);
    return { changes: [{ kind: 'delete', type, id, before: found.row }] };
  }, single(ctx));
  return { status: 204, headers: {} };
}

export async function conditionalDelete(ctx: Context, type: string, req: Request): Promise<Response> {
  ctx.records.requireScope(type, 'd');
  let matched = false;
  await perform(ctx.records, async () => {
    const match = await oneMatch(ctx, type, req.query, 'a conditional delete');
    matched = match.view !== undefined;
    return { changes: match.view ? [{ kind: 'delete' as const, type, id: match.view.id, before: match.view.row }] : [] };
  }, single(ctx));
  if (!matched) ctx.records.notes.recorded = false;
  return { status: 204, headers: {} };
}
