// _include and _revinclude: what they bring passes the same gate and the same scopes. https://hl7.org/fhir/R4/search.html#include
import * as errors from '../fhir/errors.ts';
import { asArray, isGated, isStored, type Json } from '../fhir/types.ts';
import { relativeReference } from '../fhir/reference.ts';
import { grantsFor } from '../policy/scopes.ts';
import * as keys from '../search/keys.ts';
import type { Include, Query } from '../search/query.ts';
import { parametersOf, STORED_TYPES } from '../search/registry.ts';
import { and, NONE } from '../store/plan.ts';
import type { Plan } from '../store/port.ts';
import { viewOf } from './views.ts';
import type { Records, View } from './records.ts';

const MAX_INCLUDED = 1_000;
const MAX_ROUNDS = 5;

function references(records: Records, view: View, inc: Include): string[] {
  if (!inc.wildcard && inc.type !== view.type) return [];
  if (inc.wildcard && inc.type !== '*' && inc.type !== view.type) return [];
  const resource = JSON.parse(view.text) as Json;
  const out: string[] = [];
  const params = inc.wildcard ? [...parametersOf(view.type).values()].filter((p) => p.type === 'reference') : asArray(parametersOf(view.type).get(inc.code));
  for (const p of params) {
    for (const v of p.path(resource)) {
      const ref = relativeReference((v as Json)?.reference, records.deps.base);
      if (ref && (!inc.target || ref.startsWith(`${inc.target}/`))) out.push(ref);
    }
  }
  return out;
}

/** A resource that a reference leads to, where the caller may see it and a scope covers its type. */
async function follow(records: Records, ref: string): Promise<View | undefined> {
  const [type, id] = ref.split('/');
  if (!isStored(type) || !grantsFor(records.ask.caller, type, 'r').length) return undefined;
  const row = await records.deps.store.read(type, id);
  if (!row || row.deleted) return undefined;
  const decision = await records.visible(row);
  if (!decision || !(await records.inScope(row, 'r'))) return undefined;
  const view = await viewOf(records.gate, row);
  if (view) records.notes.shown(row, decision);
  return view;
}

/** What refers to these matches, within one patient where the type is gated (S5). */
async function back(records: Records, views: View[], inc: Include, patient: string | undefined): Promise<View[]> {
  const { ask, deps, gate } = records;
  const sources = inc.type === '*' ? STORED_TYPES : [inc.type];
  const out: View[] = [];
  for (const type of sources) {
    if (!grantsFor(ask.caller, type, 's').length) continue;
    const params = inc.wildcard ? [...parametersOf(type).values()].filter((p) => p.type === 'reference') : asArray(parametersOf(type).get(inc.code));
    const wanted = params.flatMap((p) => views.map((v) => keys.referenceKey(keys.paramKey(type, p.code), `${v.type}/${v.id}`)));
    if (!wanted.length) continue;
    const plan = and({ kind: 'terms', keys: wanted }, await records.scopePlan(type, 's'), await backGate(records, type, patient));
    if (plan.kind === 'none') continue;
    const found = await deps.store.search({ type, plan, sort: [{ by: 'date', desc: true }], limit: MAX_INCLUDED + 1 });
    if (found.length > MAX_INCLUDED) throw errors.tooCostly(`More than ${MAX_INCLUDED} resources would be included; narrow the search.`);
    const own: View[] = [];
    const sight = gate.sight();
    for (const f of found) {
      const view = await viewOf(sight, f.row);
      const decision = view && (await records.visible(f.row, undefined, sight));
      if (!view || !decision || !stillRefers(records, view, params.map((p) => p.code), views)) continue;
      records.notes.shown(f.row, decision);
      own.push(view);
    }
    // A List's stored date may be younger than the caller's view of it: order by what is shown (S3).
    if (type === 'List') own.sort((a, b) => b.date - a.date || (a.id < b.id ? 1 : -1));
    out.push(...own);
  }
  return out;
}

/** A view may have lost the reference that the index holds. */
function stillRefers(records: Records, view: View, codes: string[], targets: View[]): boolean {
  const wanted = new Set(targets.map((t) => `${t.type}/${t.id}`));
  return codes.some((code) => references(records, view, { type: view.type, code, iterate: false, wildcard: false }).some((r) => wanted.has(r)));
}

async function backGate(records: Records, type: string, patient: string | undefined): Promise<Plan> {
  if (records.deps.open || !(isGated(type) || type === 'RelatedPerson' || type === 'Patient')) return and();
  if (patient === undefined) throw errors.onePatient(type);
  if (type === 'List') return { kind: 'scalar', field: 'patient', op: 'eq', value: patient };
  if (type === 'Patient') return (await records.gate.patientVisible(patient)) ? { kind: 'ids', ids: [patient] } : NONE;
  if (type === 'RelatedPerson') return (await records.gate.relatedVisible(patient)) ? { kind: 'scalar', field: 'patient', op: 'eq', value: patient } : NONE;
  return records.gate.plan(type, patient);
}

/** Everything that a page includes, each once, none of the matches again. */
export async function includesOf(records: Records, query: Query, matches: View[], patient: string | undefined): Promise<View[]> {
  if (!query.includes.length && !query.revincludes.length) return [];
  const seen = new Set(matches.map((v) => `${v.type}/${v.id}`));
  const out: View[] = [];
  let round = matches;
  for (let i = 0; i < MAX_ROUNDS && round.length; i++) {
    const fresh: View[] = [];
    const take = (v: View | undefined): void => {
      if (!v || seen.has(`${v.type}/${v.id}`)) return;
      seen.add(`${v.type}/${v.id}`);
      fresh.push(v);
    };
    for (const inc of query.includes.filter((x) => i === 0 || x.iterate)) for (const view of round) for (const ref of references(records, view, inc)) if (!seen.has(ref)) take(await follow(records, ref));
    for (const inc of query.revincludes.filter((x) => i === 0 || x.iterate)) for (const v of await back(records, round, inc, patient)) take(v);
    out.push(...fresh);
    if (out.length > MAX_INCLUDED) throw errors.tooCostly(`More than ${MAX_INCLUDED} resources would be included; narrow the search.`);
    round = fresh;
  }
  return out;
}
