// https://hl7.org/fhir/R4/http.html#transaction. Every decision on the state before, one commit, answers in the order asked (W7).
import type { View } from '../access/records.ts';
import type { Records } from '../access/records.ts';
import { conditionalMatches } from '../access/search.ts';
import type { Change } from '../access/write/change.ts';
import { type Performed, perform } from '../access/write/perform.ts';
import type { InteractionKind } from '../audit/event.ts';
import { checkIdentities, type Entry, isIssue, parseEntries } from '../bundle/entries.ts';
import { conditionalReferences, rewriteReferences } from '../bundle/references.ts';
import * as errors from '../fhir/errors.ts';
import { eachReference } from '../fhir/reference.ts';
import { isGated, type Json, type Resource, cloned } from '../fhir/types.ts';
import { parseQuery } from '../search/query.ts';
import type { Search } from '../store/port.ts';
import { type Context, type Response, writeEvents } from './context.ts';
import { checkBody, conditionalChange, criteriaOf, oneMatch, patchChange, resultView, seen, withContent } from './write.ts';
import { written } from './respond.ts';
import { dispatchRead } from './dispatch.ts';

type Planned = { entry: Entry; change?: Change; existing?: View; absent?: Search[]; kind: InteractionKind };

const WRITES = new Set(['POST', 'PUT', 'PATCH', 'DELETE']);

const KIND: Record<string, InteractionKind> = { POST: 'create', PUT: 'update', PATCH: 'patch', DELETE: 'delete' };
const SCOPE = { POST: 'c', PUT: 'u', PATCH: 'u', DELETE: 'd' } as const;

/** All faults of form and content at once, each with its place. */
function checkAll(ctx: Context, entries: Entry[]): void {
  const issues: errors.Issue[] = [];
  for (const e of entries) {
    if (!WRITES.has(e.method)) continue;
    try {
      ctx.records.requireScope(e.type, SCOPE[e.method as keyof typeof SCOPE]);
      if (e.resource && e.method !== 'PATCH') checkBody(ctx, e.type, e.resource);
    } catch (err) {
      if (!(err instanceof errors.FhirError)) throw err;
      if (err.status === 403) throw err.at(`Bundle.entry[${e.index}]`);
      issues.push(...err.at(`Bundle.entry[${e.index}]`).issues);
    }
  }
  if (issues.some((i) => i.severity === 'error' || i.severity === 'fatal')) throw new errors.FhirError(422, issues);
}

async function planEntry(ctx: Context, e: Entry, id: string): Promise<Planned> {
  const kind = KIND[e.method];
  switch (e.method) {
    case 'POST': {
      const criteria = e.headers['if-none-exist'];
      if (criteria !== undefined) {
        const m = await oneMatch(ctx, e.type, criteriaOf(criteria), 'ifNoneExist');
        if (m.view) return { entry: e, existing: m.view, kind };
        return { entry: e, kind, change: { kind: 'create', type: e.type, id, resource: e.resource as Resource }, absent: m.absent ? [m.absent] : [] };
      }
      return { entry: e, kind, change: { kind: 'create', type: e.type, id, resource: e.resource as Resource } };
    }
    case 'PUT': {
      if (e.id === undefined) {
        const c = await conditionalChange(ctx, e.type, e.resource as Resource, e.query);
        return { entry: e, kind, change: c.changes[0], absent: c.absent };
      }
      if ((e.resource as Resource).id !== undefined && (e.resource as Resource).id !== e.id) throw errors.invalid('The id in the resource is not that of the address.', [`${e.type}.id`]);
      const resource = { ...(e.resource as Resource), id: e.id };
      const standing = await ctx.records.standing(e.type, e.id);
      if (standing.state === 'none' && !isGated(e.type)) return { entry: e, kind, change: { kind: 'create', type: e.type, id: e.id, resource, put: true } };
      const found = standing.state === 'deleted' ? standing : await seen(ctx, e.type, e.id, () => errors.methodNotAllowed('GET, HEAD', 'The server gives the ids of this type; nothing is created by PUT.'));
      return { entry: e, kind, change: { kind: 'update', type: e.type, id: e.id, resource, before: found.row, method: 'PUT' } };
    }
    case 'PATCH': {
      const patched = e.id ?? (await oneMatch(ctx, e.type, e.query, 'a conditional patch')).view?.id;
      if (patched === undefined) throw errors.notFound(e.type, '?');
      return { entry: e, kind, change: await patchChange(ctx, e.type, patched, { body: e.resource, headers: e.headers }) };
    }
    default: {
      if (e.id === undefined) {
        const m = await oneMatch(ctx, e.type, e.query, 'a conditional delete');
        return { entry: e, kind, ...(m.view ? { change: { kind: 'delete' as const, type: e.type, id: m.view.id, before: m.view.row } } : {}) };
      }
      const found = await seen(ctx, e.type, e.id, () => errors.notFound(e.type, e.id as string));
      return { entry: e, kind, change: { kind: 'delete', type: e.type, id: e.id, before: found.row } };
    }
  }
}

function checkIfMatch(e: Entry, change: Change | undefined): void {
  const header = e.headers['if-match'];
  if (header === undefined || !change || change.kind === 'create') return;
  const version = /^(?:W\/)?"([^"]*)"$/.exec(header.trim());
  if (!version) throw errors.invalidParameter('`ifMatch` is no ETag.');
  if (version[1] !== String(change.before.version)) throw errors.preconditionFailed('The version is not the one that ifMatch names.');
}

/** Where the Bundle's own names lead. */
function namesOf(planned: Planned[]): Map<string, string> {
  const names = new Map<string, string>();
  for (const p of planned) {
    const target = p.change ?? p.existing;
    if (!target) continue;
    const ref = `${target.type}/${target.id}`;
    if (p.entry.fullUrl) names.set(p.entry.fullUrl, ref);
    const own = p.entry.resource?.id;
    if (own && p.entry.method === 'POST' && p.entry.fullUrl && !p.entry.fullUrl.startsWith('urn:')) names.set(`${p.entry.type}/${own}`, ref);
  }
  return names;
}

/** The one visible resource that a conditional reference names, as `Type/id`; throws 412 where that is not one. */
export async function resolveConditional(records: Records, text: string): Promise<string> {
  const [type, search] = text.split(/\?(.*)/s);
  const query = parseQuery(type, [...new URLSearchParams(search)], true);
  const { matches } = await conditionalMatches(records, query);
  if (matches.length !== 1) throw errors.preconditionFailed(`The conditional reference \`${text.slice(0, 100)}\` matches ${matches.length ? 'more than one' : 'no'} resource.`);
  return `${matches[0].type}/${matches[0].id}`;
}

async function place<T>(index: number, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (e) {
    throw e instanceof errors.FhirError ? e.at(`Bundle.entry[${index}]`) : e;
  }
}

/** Plans every write on the state before; references among entries are settled. */
async function plan(ctx: Context, entries: Entry[], ids: string[], contents: Map<number, { key: string; size: number; sha1: string }>): Promise<Planned[]> {
  const planned: Planned[] = [];
  for (const e of entries) planned.push(await place(e.index, async () => {
    const p = await planEntry(ctx, e, ids[e.index]);
    checkIfMatch(e, p.change);
    return p;
  }));
  const names = namesOf(planned);
  const resources = planned.flatMap((p) => (p.change && p.change.kind !== 'delete' ? [p.change.resource] : []));
  // Never into the Bundle itself: no cycle can form.
  for (const text of conditionalReferences(resources)) names.set(text, await resolveConditional(ctx.records, text));
  for (const p of planned) {
    if (!p.change || p.change.kind === 'delete') continue;
    const copy = cloned(p.change.resource);
    rewriteReferences(copy, (text) => names.get(text));
    let dangling: string | undefined;
    eachReference(copy, (holder) => {
      if (holder.reference.startsWith('urn:uuid:')) dangling ??= holder.reference;
    });
    if (dangling !== undefined) throw new errors.FhirError(422, [{ severity: 'error', code: 'not-found', reason: 'reference-not-found', text: `The reference \`${dangling.slice(0, 64)}\` names no entry of this Bundle.`, expression: [`Bundle.entry[${p.entry.index}].resource`] }]);
    p.change = { ...p.change, resource: copy } as Change;
    const content = contents.get(p.entry.index);
    if (p.change.kind === 'create' && content) p.change.content = content;
  }
  const twice = new Set<string>();
  for (const p of planned) {
    const ref = p.change && `${p.change.type}/${p.change.id}`;
    if (ref && twice.has(ref)) throw new errors.FhirError(400, [{ severity: 'error', code: 'duplicate', reason: 'duplicate-entry', text: `Two entries are for \`${ref}\`.`, expression: [`Bundle.entry[${p.entry.index}]`] }]);
    if (ref) twice.add(ref);
  }
  return planned;
}

function entryOf(r: Response, text: string | undefined): string {
  const response: Json = { status: String(r.status), ...(r.headers.Location ? { location: r.headers.Location } : {}), ...(r.headers.ETag ? { etag: r.headers.ETag } : {}), ...(r.headers['Last-Modified'] ? { lastModified: new Date(r.headers['Last-Modified']).toISOString() } : {}) };
  return `{${text === undefined ? '' : `"resource":${text},`}"response":${JSON.stringify(response)}}`;
}

const textOf = (r: Response): string | undefined => r.text ?? (r.resource ? JSON.stringify(r.resource) : undefined);

export async function transaction(ctx: Context, bundle: Resource, given: string[] = []): Promise<Response> {
  const parsed = parseEntries(bundle, ctx.settings.base, ctx.settings.limits.entries);
  const faults = parsed.filter(isIssue);
  if (faults.length) throw new errors.FhirError(faults.every((f) => f.reason === 'type-not-supported') ? 404 : 400, faults);
  const entries = parsed as Entry[];
  checkIdentities(entries);
  checkAll(ctx, entries);
  const writes = entries.filter((e) => WRITES.has(e.method));
  const ids = entries.map((_, i) => given[i] ?? ctx.settings.world.newId());
  const contents = new Map<number, { key: string; size: number; sha1: string }>();
  for (const e of writes) {
    if (e.method !== 'POST' || e.type !== 'Binary') continue;
    const c = await place(e.index, () => withContent(ctx, { kind: 'create', type: 'Binary', id: ids[e.index], resource: e.resource as Resource }));
    if (c.content) contents.set(e.index, c.content);
    e.resource = { ...(e.resource as Resource), data: undefined };
  }
  let planned: Planned[] = [];
  const done = await performPlaced(ctx, async () => {
    planned = await plan(ctx, writes, ids, contents);
    return planned;
  });
  return { status: 200, headers: {}, text: await answer(ctx, entries, planned, done) };
}

async function performPlaced(ctx: Context, planAll: () => Promise<Planned[]>): Promise<Performed[]> {
  let planned: Planned[] = [];
  try {
    return await perform(
      ctx.records,
      async () => {
        planned = await planAll();
        const withChange = planned.filter((p) => p.change);
        return { changes: withChange.map((p) => p.change as Change), absent: planned.flatMap((p) => p.absent ?? []) };
      },
      writeEvents(ctx, (done) => done.map((performed) => ({ performed, act: { kind: planned.find((p) => p.change === performed.change)?.kind ?? 'create', bundled: true } }))),
    );
  } catch (e) {
    const index = (e as { changeIndex?: number }).changeIndex;
    const at = index === undefined ? undefined : planned.filter((p) => p.change)[index]?.entry.index;
    throw e instanceof errors.FhirError && at !== undefined ? e.at(`Bundle.entry[${at}]`) : e;
  }
}

async function answer(ctx: Context, entries: Entry[], planned: Planned[], done: Performed[]): Promise<string> {
  const out: string[] = [];
  const full = ctx.representation;
  for (const e of entries) {
    if (!WRITES.has(e.method)) {
      const r = await place(e.index, () => dispatchRead(ctx, e));
      out.push(entryOf(r, textOf(r)));
      continue;
    }
    const p = planned.find((x) => x.entry === e) as Planned;
    if (p.existing) out.push(entryOf(written(ctx, 200, p.existing), undefined));
    else if (!p.change) out.push(entryOf({ status: 204, headers: {} }, undefined));
    else {
      const effect = done.find((d) => d.change === p.change)?.effect;
      const row = effect?.row;
      if (!row || row.deleted) out.push(entryOf({ status: 204, headers: {} }, undefined));
      else {
        const r = written(ctx, p.change.kind === 'create' ? 201 : 200, await resultView(ctx, row));
        out.push(entryOf(r, full ? textOf(r) : undefined));
      }
    }
  }
  return `{"resourceType":"Bundle","type":"transaction-response","entry":[${out.join(',')}]}`;
}
