// Search under the gate: parse → plan → AND residual → rows → each decided again → includes by the same way.
import * as errors from '../fhir/errors.ts';
import { ID, isGated } from '../fhir/types.ts';
import { relativeReference } from '../fhir/reference.ts';
import type { Decision } from '../policy/decide.ts';
import { patientOf } from '../policy/caller.ts';
import { compileFilters, sortField } from '../search/compile.ts';
import * as keys from '../search/keys.ts';
import { type Filter, type Query, split, unescaped } from '../search/query.ts';
import { extract } from '../search/extract.ts';
import { and, matches, NONE, not, or, scalar, term } from '../store/plan.ts';
import type { Found, Plan, Search, Sort } from '../store/port.ts';
import { openCursor, sealCursor } from './cursor.ts';
import { includesOf } from './include.ts';
import type { Page } from './page.ts';
import { searchLists } from './lists.ts';
import type { Records, View } from './records.ts';
import { eachRow } from './rows.ts';
import { viewOf } from './views.ts';

/** What a search names (S5): one patient, one resource, or neither. */
type Named = { patient?: string; nobody?: boolean; rows?: Plan };

const PATIENT_CODES = new Set(['patient', 'subject']);

async function patientByIdentifier(records: Records, value: string): Promise<string[]> {
  const [system, code] = split(value, '|').map(unescaped);
  if (!system || !code) return [];
  const ids = await records.deps.store.ids('Patient', term(keys.tokenKey(keys.paramKey('Patient', 'identifier'), system, code)));
  const seen: string[] = [];
  for (const id of ids) if (await records.gate.patientVisible(id)) seen.push(id);
  return seen;
}

async function namedByFilter(records: Records, f: Filter): Promise<string[] | undefined> {
  if (f.values.length !== 1) return undefined;
  if (f.kind === 'param' && PATIENT_CODES.has(f.param.code)) {
    if (f.modifier === 'identifier') return patientByIdentifier(records, f.values[0]);
    const text = unescaped(f.values[0]);
    const ref = relativeReference(text, records.deps.base);
    if (ref?.startsWith('Patient/')) return [ref.slice('Patient/'.length)];
    return ID.test(text) && (f.modifier === undefined || f.modifier === 'Patient') ? [text] : undefined;
  }
  if (f.kind === 'chain' && PATIENT_CODES.has(f.param.code)) {
    if (f.rest === 'identifier') return patientByIdentifier(records, f.values[0]);
    if (f.rest === '_id' && ID.test(f.values[0])) return [f.values[0]];
  }
  return undefined;
}

/** The patient, or the resources, that a search on a gated type names; 400 where it names neither. */
async function named(records: Records, query: Query, compartment: string | undefined): Promise<Named> {
  if (compartment !== undefined) return { patient: compartment };
  for (const f of query.filters) {
    const ids = await namedByFilter(records, f);
    if (ids?.length === 1) return { patient: ids[0] };
    if (ids?.length === 0) return { nobody: true };
  }
  const id = query.filters.find((f) => f.kind === 'id');
  if (id) return { rows: { kind: 'ids', ids: id.values } };
  const identifier = query.filters.find((f) => f.kind === 'param' && f.param.code === 'identifier' && f.modifier === undefined);
  if (identifier && identifier.values.length === 1 && /^.+\|.+$/.test(identifier.values[0])) {
    const [system, value] = split(identifier.values[0], '|').map(unescaped);
    return { rows: term(keys.tokenKey(keys.paramKey(query.type, 'identifier'), system, value)) };
  }
  return {};
}

/** `patient:identifier=` names the patient as `patient.identifier=` does; the filter is then met by the name. */
const filtersFor = (query: Query, patient: string | undefined): Filter[] =>
  query.filters.filter((f) => !(patient !== undefined && f.values.length === 1 && ((f.kind === 'param' && PATIENT_CODES.has(f.param.code) && f.modifier === 'identifier') || (f.kind === 'chain' && PATIENT_CODES.has(f.param.code) && f.rest === 'identifier'))));

/** The gate of a gated type for what a search names. */
async function gatePlan(records: Records, type: string, n: Named): Promise<Plan> {
  const { gate, ask } = records;
  if (n.nobody) return NONE;
  if (n.patient !== undefined) return gate.plan(type, n.patient);
  if (type === 'AuditEvent' && ask.caller.roles.includes('auditor')) return gate.events(undefined);
  if (!n.rows) throw errors.onePatient(type);
  return { kind: 'ids', ids: await visibleNamed(records, type, n.rows) };
}

/** Those of the rows named that the caller sees. No bound on how many are named: where it stood, hidden ones would tell of themselves. */
async function visibleNamed(records: Records, type: string, rows: Plan): Promise<string[]> {
  const byPatient = new Map<string, string[]>();
  for await (const row of eachRow(records.deps.store, type, rows)) {
    const p = row.scalars.patient;
    if (p === null) continue;
    const own = byPatient.get(p) ?? [];
    own.push(row.id);
    byPatient.set(p, own);
  }
  const ids: string[] = [];
  for (const [p, own] of byPatient) ids.push(...(await records.deps.store.ids(type, and({ kind: 'ids', ids: own }, await records.gate.plan(type, p)))));
  return ids;
}

/** S7: how each kind of caller may look for patients. */
async function patientGate(records: Records, query: Query): Promise<Plan> {
  const { ask, deps } = records;
  const { caller } = ask;
  if (deps.open || caller.roles.includes('registry')) return and();
  if (caller.roles.length) return NONE;
  const own = patientOf(caller);
  if (own !== undefined) return { kind: 'ids', ids: [own] };
  if (caller.kind === 'representative') return { kind: 'ids', ids: await represented(records) };
  const has = (code: string): boolean => query.filters.some((f) => f.kind === 'param' && f.param.code === code && (f.modifier === undefined || f.modifier === 'exact'));
  const byIdentifier = query.filters.some((f) => f.kind === 'param' && f.param.code === 'identifier' && f.modifier === undefined && f.values.every((v) => /^[^|]+\|[^|]+$/.test(v)));
  const byId = query.filters.some((f) => f.kind === 'id');
  if (byId || byIdentifier || (has('family') && has('birthdate'))) return and();
  throw new errors.FhirError(400, [{ severity: 'error', code: 'required', reason: 'patient-search', text: 'A search on Patient gives `_id`, a full `identifier` (system|value), or `family` with `birthdate`.' }]);
}

/** Patients of whom the caller is a legal representative now. */
async function represented(records: Records): Promise<string[]> {
  const row = await records.deps.store.read('RelatedPerson', records.ask.caller.ref.slice('RelatedPerson/'.length));
  const patient = row && !row.deleted ? row.scalars.patient : null;
  return patient !== null && (await records.gate.patientVisible(patient)) ? [patient] : [];
}

const PATIENT_LIMIT = 20;

async function relatedGate(records: Records, n: Named): Promise<Plan> {
  if (records.deps.open || records.ask.caller.roles.includes('registry')) return and();
  if (n.patient === undefined) throw errors.onePatient('RelatedPerson');
  return (await records.gate.relatedVisible(n.patient)) ? scalar('patient', 'eq', n.patient) : NONE;
}

const VIEWED = new Set(['relatesto', 'relation', 'relationship', 'related']);

/** Parameters whose values a view may leave out: documents that refer to hidden ones are matched as they are shown (S1). */
async function viewedParts(records: Records, query: Query, patient: string | undefined, plan: Plan, gate: Plan): Promise<Plan> {
  const asks = query.filters.some((f) => (f.kind === 'param' || f.kind === 'chain') && VIEWED.has(f.param.code)) || query.sort.some((s) => VIEWED.has(s.code));
  if (query.type !== 'DocumentReference' || !asks || records.deps.open) return plan;
  const patients = patient !== undefined ? [patient] : [];
  if (!patients.length) throw errors.onePatient('DocumentReference');
  const hidden = [...(await records.gate.hidden(patients[0]))];
  const refs = hidden.flatMap((id) => ['relatesto', 'related'].map((c) => keys.referenceKey(keys.paramKey('DocumentReference', c), `DocumentReference/${id}`)));
  const partial = await records.deps.store.search({ type: 'DocumentReference', plan: and(gate, { kind: 'terms', keys: refs }), sort: [{ by: 'id', desc: false }], limit: 5_000 });
  const kept: string[] = [];
  for (const f of partial) {
    const view = await viewOf(records.gate, f.row);
    if (!view) continue;
    const e = extract(JSON.parse(view.text), records.deps.base);
    if (matches(plan, { ...f.row, scalars: { ...f.row.scalars, present: e.present } }, e.entries)) kept.push(f.row.id);
  }
  return or(and(plan, not({ kind: 'ids', ids: partial.map((f) => f.row.id) })), { kind: 'ids', ids: kept });
}

const defaultSort = (query: Query): Sort[] => (query.sort.length ? query.sort.map((s) => ({ by: sortField(query.type, s.code), desc: s.desc })) : [{ by: 'date', desc: true }]);

type Options = { compartment?: string; compartmentPlan?: Plan; action?: 's' | 'r' };

/** What is hidden of a record moved between the making of a plan and its rows: events and Consents are gated by the documents they name. */
class Moved extends Error {}
const GATED_BY_DOCUMENTS = new Set(['AuditEvent', 'Consent']);
const MAX_ATTEMPTS = 4;

/** Runs a search. `compartment`: the patient whose compartment it is in. */
export async function search(records: Records, query: Query, options: Options = {}): Promise<Page> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await once(records, query, options);
    } catch (e) {
      if (!(e instanceof Moved)) throw e;
      if (attempt >= MAX_ATTEMPTS) throw errors.unavailable('what is hidden of the record moves faster than it is read');
    }
  }
}

async function once(records: Records, query: Query, options: Options): Promise<Page> {
  const { deps, notes } = records;
  const { type } = query;
  records.requireScope(type, options.action ?? 's');
  const scope = await records.scopePlan(type, options.action ?? 's');
  const gatedBy: Named = isGated(type) || type === 'RelatedPerson' ? await named(records, query, options.compartment) : type === 'Patient' ? patientNamed(query) : options.compartment !== undefined ? { patient: options.compartment } : {};
  if (gatedBy.patient !== undefined && isGated(type)) notes.patients.add(gatedBy.patient);
  const gate = await gateOf(records, type, query, gatedBy);
  const refusal = gatedBy.patient !== undefined && (type === 'DocumentReference' || type === 'List') ? await records.gate.refusal(gatedBy.patient) : undefined;
  if (refusal && gatedBy.patient !== undefined) notes.refusal = { patient: gatedBy.patient, decision: refusal };
  const resolver = records.resolver(gatedBy.patient);
  const compiled = and(await compileFilters(type, filtersFor(query, isGated(type) ? gatedBy.patient : undefined), resolver), options.compartmentPlan ?? and());
  if (type === 'List' && !deps.open) return searchLists(records, query, and(compiled, scope), gatedBy, refusal);
  const asked = await viewedParts(records, query, gatedBy.patient, and(compiled, scope), gate);
  return page(records, query, { gate, plan: and(gate, asked) }, refusal, gatedBy.patient);
}

const patientNamed = (query: Query): Named => {
  const id = query.filters.find((f) => f.kind === 'id');
  return id?.values.length === 1 ? { patient: id.values[0] } : {};
};

async function gateOf(records: Records, type: string, query: Query, n: Named): Promise<Plan> {
  if (records.deps.open) return n.patient !== undefined && isGated(type) ? scalar('patient', 'eq', n.patient) : n.nobody ? NONE : and();
  if (type === 'List') return NONE;
  if (type === 'Binary') throw errors.unsupportedParameter('Binary is not searched; its DocumentReference is.');
  if (isGated(type)) return gatePlan(records, type, n);
  if (type === 'Patient') return patientGate(records, query);
  if (type === 'RelatedPerson') return relatedGate(records, n);
  return and();
}

/** The text that a cursor is bound to. */
const identity = (query: Query, caller: string): string => `${caller}\n${query.type}\n${JSON.stringify(query.used)}`;

async function page(records: Records, query: Query, { gate, plan }: { gate: Plan; plan: Plan }, refusal: Decision | undefined, patient: string | undefined): Promise<Page> {
  const { deps, ask } = records;
  const count = query.summary === 'count' ? 0 : Math.min(query.count ?? 20, deps.limits.count);
  const bound = query.type === 'Patient' && !deps.open && (ask.caller.kind === 'professional' || ask.caller.kind === 'system') && !ask.caller.roles.includes('registry');
  const sort = defaultSort(query);
  const who = identity(query, ask.caller.ref);
  const after = query.cursor === undefined ? undefined : openCursor(deps.cursorKey, who, query.cursor);
  const limit = bound ? Math.min(count, PATIENT_LIMIT) : count;
  const found: Found[] = plan.kind === 'none' || limit === 0 ? [] : await deps.store.search({ type: query.type, plan, sort, after, limit: limit + 1 });
  const shown = found.slice(0, limit);
  const views: View[] = [];
  const sight = records.gate.sight();
  for (const f of shown) {
    const decision = await records.visible(f.row, undefined, sight);
    if (!decision && GATED_BY_DOCUMENTS.has(query.type)) throw new Moved();
    // The gate stood in the query: a row that it lets through and the decision refuses is a fault of ours, never a silent drop.
    if (!decision) throw errors.internal(new Error(`gate and decision differ on a ${query.type}`));
    const view = await viewOf(sight, f.row);
    if (!view) throw errors.internal(new Error(`gate and view differ on a ${query.type}`));
    records.notes.shown(f.row, decision);
    views.push(view);
  }
  const more = found.length > limit && limit > 0 && !bound;
  const next = more ? sealCursor(deps.cursorKey, who, shown[shown.length - 1].keys) : undefined;
  const included = views.length ? await includesOf(records, query, views, patient) : [];
  const partial = after !== undefined || more || limit === 0;
  const counted = await total(records, query, plan, found.length, partial);
  if (partial && counted !== undefined && patient !== undefined && !deps.open && GATED_BY_DOCUMENTS.has(query.type)) {
    const now = await records.gate.sight().plan(query.type, patient);
    if (JSON.stringify(now) !== JSON.stringify(gate)) throw new Moved();
  }
  return { matches: views, included, total: counted, next, refusal, plan };
}

async function total(records: Records, query: Query, plan: Plan, known: number, partial: boolean): Promise<number | undefined> {
  if (query.total === 'none') return undefined;
  if (!partial) return known;
  if (query.summary === 'count' || query.total !== undefined || query.count === 0) return plan.kind === 'none' ? 0 : records.deps.store.count(query.type, plan);
  return undefined;
}

/** Visible matches of a conditional interaction's criteria (two are enough to tell), and the search that must stay absent where there is none. */
export async function conditionalMatches(records: Records, query: Query): Promise<{ matches: View[]; absent: Search | undefined }> {
  const asked: Query = { ...query, count: 2, includes: [], revincludes: [], summary: undefined, total: 'none', cursor: undefined, sort: [] };
  const p = await search(records, asked);
  if (p.matches.length || query.type === 'List' || p.plan === undefined || p.plan.kind === 'none') return { matches: p.matches, absent: undefined };
  return { matches: [], absent: { type: query.type, plan: p.plan, sort: [], limit: 1 } };
}
