// https://hl7.org/fhir/R4/http.html#search
import { search as run } from '../access/search.ts';
import type { View } from '../access/records.ts';
import { outcome, type Issue } from '../fhir/errors.ts';
import type { Json } from '../fhir/types.ts';
import { compartmentParams, parametersOf, STORED_TYPES } from '../search/registry.ts';
import * as keys from '../search/keys.ts';
import { parseQuery, type Query } from '../search/query.ts';
import { or, term } from '../store/plan.ts';
import * as errors from '../fhir/errors.ts';
import type { Context, Response } from './context.ts';
import { shaped } from './respond.ts';

const RULE_TEXT: Record<string, string> = {
  'record-closed': 'No open record for this patient.',
  'never-admitted': 'This caller is never admitted to the record.',
  'no-consent': 'No consent of this patient permits this caller.',
};

const encode = (pairs: [string, string][]): string => pairs.map(([k, v]) => `${encodeURIComponent(k)}=${encodeURIComponent(v)}`).join('&');

function entryText(ctx: Context, view: View, mode: 'match' | 'include', query: Query): string {
  const text = shaped(view.text, { summary: query.summary, elements: query.elements });
  return `{"fullUrl":${JSON.stringify(`${ctx.settings.base}/${view.type}/${view.id}`)},"resource":${text},"search":{"mode":"${mode}"}}`;
}

function noticeText(ctx: Context, issues: Issue[]): string {
  const resource: Json = { ...outcome(issues), id: 'notice' };
  return `{"fullUrl":${JSON.stringify(`${ctx.settings.base}/OperationOutcome/notice`)},"resource":${JSON.stringify(resource)},"search":{"mode":"outcome"}}`;
}

/** A searchset as text: stored texts are sent as they are, not parsed and printed again. */
function searchset(path: string, ctx: Context, query: Query, page: Awaited<ReturnType<typeof run>>): string {
  const link = [{ relation: 'self', url: `${ctx.settings.base}/${path}${query.used.length ? `?${encode(query.used)}` : ''}` }];
  if (page.next) link.push({ relation: 'next', url: `${ctx.settings.base}/${path}?${encode([...query.used, ['_cursor', page.next]])}` });
  const issues: Issue[] = query.ignored.map((text) => ({ severity: 'warning', code: 'not-supported', reason: 'unsupported-parameter', text: `${text} It was ignored.` }));
  for (const f of query.filters) {
    if ((f.kind === 'param' || f.kind === 'chain') && ctx.settings.incomplete.has(`${query.type} ${f.param.code}`)) issues.push({ severity: 'warning', code: 'incomplete', reason: 'indexing', text: `\`${f.param.code}\` is being indexed; matches may be missing.` });
  }
  if (page.refusal) {
    const rule = page.refusal.rule === 'blocked' ? 'no-consent' : page.refusal.rule;
    issues.push({ severity: 'information', code: 'suppressed', reason: rule, text: RULE_TEXT[rule] ?? 'The record is not open to this caller.' });
  }
  const entries = [...page.matches.map((v) => entryText(ctx, v, 'match', query)), ...page.included.map((v) => entryText(ctx, v, 'include', query)), ...(issues.length ? [noticeText(ctx, issues)] : [])];
  return `{"resourceType":"Bundle","type":"searchset"${page.total === undefined ? '' : `,"total":${page.total}`},"link":${JSON.stringify(link)}${entries.length ? `,"entry":[${entries.join(',')}]` : ''}}`;
}

/** Search on a type, by GET or POST. */
export async function searchType(ctx: Context, type: string, params: [string, string][]): Promise<Response> {
  const query = parseQuery(type, params, ctx.strict);
  const page = await run(ctx.records, query);
  return { status: 200, headers: {}, text: searchset(type, ctx, query, page) };
}

/** Search in a Patient's compartment: https://hl7.org/fhir/R4/compartmentdefinition-patient.html */
export async function searchCompartment(ctx: Context, patient: string, type: string, params: [string, string][]): Promise<Response> {
  const codes = compartmentParams('Patient', type).filter((c) => parametersOf(type).has(c));
  if (!STORED_TYPES.includes(type) || !codes.length) throw errors.unknownRoute(`Patient/${patient}/${type}`);
  const query = parseQuery(type, params, ctx.strict);
  const inside = or(...codes.map((c) => term(keys.referenceKey(keys.paramKey(type, c), `Patient/${patient}`))));
  const page = await run(ctx.records, query, { compartment: patient, compartmentPlan: inside });
  return { status: 200, headers: {}, text: searchset(`Patient/${patient}/${type}`, ctx, query, page) };
}
