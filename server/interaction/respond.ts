// Views → answers: headers, summaries, return preferences. https://hl7.org/fhir/R4/http.html
import type { View } from '../access/records.ts';
import { invalidParameter, outcome } from '../fhir/errors.ts';
import { etag, parseEtags } from '../fhir/etag.ts';
import type { Json } from '../fhir/types.ts';
import { structures } from '../fhir/packs.ts';
import type { Context, Response } from './context.ts';

const httpDate = (ms: number): string => new Date(ms).toUTCString();

export const versionHeaders = (v: View): Record<string, string> => ({ ETag: etag(v.version), 'Last-Modified': httpDate(v.updated) });

const SUBSETTED = { system: 'http://terminology.hl7.org/CodeSystem/v3-ObservationValue', code: 'SUBSETTED' };

/** Elements of a type that a summary keeps: those that the definitions mark, and the mandatory ones. */
function summaryElements(type: string, kind: 'true' | 'text' | 'data'): Set<string> {
  const out = new Set(['resourceType', 'id', 'meta', 'implicitRules']);
  for (const e of (structures.get(`http://hl7.org/fhir/StructureDefinition/${type}`)?.snapshot.element ?? []) as Json[]) {
    const parts = e.path.split('.');
    if (parts.length !== 2) continue;
    const name = parts[1].replace('[x]', '');
    if (kind === 'text' ? name === 'text' || e.min > 0 : e.isSummary || e.min > 0) out.add(name);
  }
  return out;
}

function keep(resource: Json, names: Set<string>): Json {
  const out: Json = {};
  for (const k of Object.keys(resource)) {
    const plain = k.startsWith('_') ? k.slice(1) : k;
    if ([...names].some((n) => plain === n || (plain.startsWith(n) && /^[A-Z]/.test(plain.slice(n.length))))) out[k] = resource[k];
  }
  out.meta = { ...resource.meta, tag: [...(resource.meta?.tag ?? []), SUBSETTED] };
  return out;
}

export type Shape = { summary?: string; elements: string[] };

/** A resource's text cut down to what was asked for. */
export function shaped(text: string, shape: Shape): string {
  const { summary, elements } = shape;
  if (!elements.length && (!summary || summary === 'false' || summary === 'count')) return text;
  const r = JSON.parse(text) as Json;
  if (elements.length) {
    const names = new Set(['resourceType', 'id', 'meta', ...elements.map((e) => e.replace(new RegExp(`^${r.resourceType}\\.`), '').split('.')[0])]);
    for (const e of mandatory(r.resourceType)) names.add(e);
    return JSON.stringify(keep(r, names));
  }
  if (summary === 'data') {
    const { text: _t, ...rest } = r;
    return JSON.stringify({ ...rest, meta: { ...r.meta, tag: [...(r.meta?.tag ?? []), SUBSETTED] } });
  }
  return JSON.stringify(keep(r, summaryElements(r.resourceType, summary as 'true' | 'text')));
}

const mandatory = (type: string): string[] =>
  ((structures.get(`http://hl7.org/fhir/StructureDefinition/${type}`)?.snapshot.element ?? []) as Json[]).filter((e) => e.min > 0 && e.path.split('.').length === 2).map((e) => e.path.split('.')[1].replace('[x]', ''));

export function shapeOf(query: [string, string][]): Shape {
  const get = (n: string): string | undefined => query.find(([k]) => k === n)?.[1];
  const summary = get('_summary');
  if (summary !== undefined && !['true', 'text', 'data', 'count', 'false'].includes(summary)) throw invalidParameter('`_summary` is one of true, text, data, count, false.');
  return { summary, elements: (get('_elements') ?? '').split(',').map((e) => e.trim()).filter(Boolean) };
}

/** 200 with the view, or 304 where the client has it (If-None-Match, If-Modified-Since). */
export function viewed(view: View, headers: Record<string, string | undefined>, shape: Shape = { elements: [] }): Response {
  const own = versionHeaders(view);
  const match = headers['if-none-match'];
  const since = headers['if-modified-since'];
  if (match !== undefined) {
    const tags = parseEtags(match, 'If-None-Match');
    if (tags.includes('*') || tags.includes(view.version)) return { status: 304, headers: own };
  } else if (since !== undefined) {
    const at = Date.parse(since);
    if (!Number.isNaN(at) && Math.floor(view.updated / 1000) * 1000 <= at) return { status: 304, headers: own };
  }
  return { status: 200, headers: own, text: shaped(view.text, shape) };
}

/** The answer to a write, as the client prefers it. */
export function written(ctx: Context, status: number, view: View): Response {
  const location = `${ctx.settings.base}/${view.type}/${view.id}${view.type === 'List' ? '' : `/_history/${view.version}`}`;
  const headers = { ...versionHeaders(view), Location: location };
  if (ctx.returns === 'minimal') return { status, headers, location };
  if (ctx.returns === 'OperationOutcome') return { status, headers, location, resource: success(status === 201 ? 'Created.' : 'Done.') };
  return { status, headers, location, text: view.text };
}

const success = (text: string): Json => outcome([{ severity: 'information', code: 'informational', reason: 'done', text }]);
