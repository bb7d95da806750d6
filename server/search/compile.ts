// Filters → SearchPlan: what each parameter type means, once. https://hl7.org/fhir/R4/search.html
import { FOREVER, interval } from '../fhir/dates.ts';
import { invalidParameter, unsupportedParameter } from '../fhir/errors.ts';
import { ID, isGated } from '../fhir/types.ts';
import { relativeReference } from '../fhir/reference.ts';
import { and, NONE, not, or, scalar, term } from '../store/plan.ts';
import type { Plan } from '../store/port.ts';
import { componentKeys } from './extract.ts';
import * as keys from './keys.ts';
import { type Filter, filterOn, split, unescaped } from './query.ts';
import { type Param, parametersOf } from './registry.ts';

/** What compiling needs from outside; each hop it makes is gated by whoever answers. */
export type Resolver = {
  base: string;
  now: number;
  /** Ids of the visible resources of a type that a plan selects; throws too-costly above its bound. */
  ids(type: string, plan: Plan): Promise<string[]>;
  /** Ids of resources of `target` that visible matches of a plan name through a reference parameter. */
  referenced(type: string, plan: Plan, param: Param, target: string): Promise<string[]>;
  /** Codes of a value set; throws where it is unknown or too large. */
  valueSet(url: string): { system: string; code: string }[];
  /** A code with all that it subsumes (`below`) or that subsumes it (`above`). */
  closure(direction: 'above' | 'below', system: string, code: string): string[];
};

const PREFIXES = ['eq', 'ne', 'gt', 'lt', 'ge', 'le', 'sa', 'eb', 'ap'] as const;

function datePrefix(value: string): { prefix: (typeof PREFIXES)[number]; lo: number; hi: number } {
  const m = /^([a-z]{2})?(.+)$/.exec(value);
  const prefix = (m?.[1] ?? 'eq') as (typeof PREFIXES)[number];
  const i = m && interval(m[2].replace(/ (\d\d:\d\d)$/, '+$1'));
  if (!i || !PREFIXES.includes(prefix)) throw invalidParameter(`\`${value.slice(0, 64)}\` is not a date with an optional prefix.`);
  return { prefix, ...i };
}

/** R4 interval semantics: the resource's interval against the asked one. */
function datePlan(p: string, value: string, now: number): Plan {
  const { prefix, lo, hi } = datePrefix(value);
  const range = (r: object): Plan => ({ kind: 'range', p, ...r });
  const eq = range({ loMin: lo, hiMax: hi });
  switch (prefix) {
    case 'eq': return eq;
    case 'ne': return or(range({ loMax: lo - 1 }), range({ hiMin: hi + 1 }));
    case 'gt': return range({ hiMin: hi + 1 });
    case 'lt': return range({ loMax: lo - 1 });
    case 'ge': return or(range({ hiMin: hi + 1 }), eq);
    case 'le': return or(range({ loMax: lo - 1 }), eq);
    case 'sa': return range({ loMin: hi + 1 });
    case 'eb': return range({ hiMax: lo - 1 });
    case 'ap': {
      const slack = Math.abs(now - lo) / 10;
      return range({ loMax: Math.ceil(hi + slack), hiMin: Math.floor(lo - slack) });
    }
  }
}

/** `_lastUpdated` is a point kept as a scalar. */
function updatedPlan(value: string, now: number): Plan {
  const { prefix, lo, hi } = datePrefix(value);
  const at = (op: 'ge' | 'le' | 'gt' | 'lt', v: number): Plan => scalar('updated', op, v);
  switch (prefix) {
    case 'eq': return and(at('ge', lo), at('le', hi));
    case 'ne': return or(at('lt', lo), at('gt', hi));
    case 'gt': case 'sa': return at('gt', hi);
    case 'lt': case 'eb': return at('lt', lo);
    case 'ge': return at('ge', lo);
    case 'le': return at('le', hi);
    case 'ap': {
      const slack = Math.abs(now - lo) / 10;
      return and(at('ge', Math.max(FOREVER.lo, lo - slack)), at('le', hi + slack));
    }
  }
}

function tokenPlan(p: string, value: string): Plan {
  const parts = split(value, '|').map(unescaped);
  if (parts.length === 1) return term(keys.codeKey(p, parts[0]));
  const [system, code] = parts;
  if (code === '') return { kind: 'prefix', key: keys.systemPrefix(p, system) };
  return term(keys.tokenKey(p, system, code));
}

function tokenModified(p: string, value: string, modifier: string, r: Resolver): Plan {
  const text = unescaped(value);
  const parts = split(value, '|').map(unescaped);
  switch (modifier) {
    case 'text': return { kind: 'contains', key: keys.textPrefix(p), text: keys.fold(text) };
    // A `code` element carries no system: its binding's codes are met without.
    case 'in': case 'not-in': return { kind: 'terms', keys: r.valueSet(text).flatMap((c) => [keys.tokenKey(p, c.system, c.code), keys.tokenKey(p, '', c.code)]) };
    case 'of-type':
      if (parts.length !== 3) throw invalidParameter('`:of-type` takes system|code|value.');
      return term(keys.ofTypeKey(p, parts[0], parts[1], parts[2]));
    case 'above': case 'below':
      if (parts.length !== 2) throw invalidParameter(`\`:${modifier}\` takes system|code.`);
      return or(...r.closure(modifier, parts[0], parts[1]).map((c) => term(keys.tokenKey(p, parts[0], c))));
    default: return tokenPlan(p, value);
  }
}

function stringPlan(p: string, code: string, value: string, modifier: string | undefined): Plan {
  const text = unescaped(value);
  if (modifier === 'exact') return term(keys.exactKey(p, text));
  const folded = code === 'phonetic' ? keys.fold(keys.phonetic(text)) : keys.fold(text);
  if (!folded) return NONE;
  if (modifier === 'contains' || modifier === 'text') return { kind: 'contains', key: keys.stringPrefix(p), text: folded };
  return { kind: 'prefix', key: keys.stringPrefix(p) + folded };
}

function referencePlan(p: string, param: Param, value: string, modifier: string | undefined, r: Resolver): Plan {
  if (modifier === 'identifier') return tokenPlan(keys.identifierParam(p), value);
  if (modifier === 'text') return { kind: 'contains', key: keys.textPrefix(p), text: keys.fold(unescaped(value)) };
  const text = unescaped(value);
  const local = relativeReference(text, r.base);
  if (local && (modifier === undefined || local.startsWith(`${modifier}/`))) return term(keys.referenceKey(p, local.replace(/\/_history\/.*$/, '')));
  if (ID.test(text)) {
    const types = modifier ? [modifier] : param.targets;
    return or(...types.map((t) => term(keys.referenceKey(p, `${t}/${text}`))));
  }
  if (/^[a-z][a-z0-9+.-]*:/i.test(text)) return term(keys.referenceKey(p, text));
  throw invalidParameter(`\`${text.slice(0, 64)}\` is not a reference.`);
}

/** `http://a/b/c` → itself and what stands above it. */
const above = (uri: string): string[] => uri.split('/').map((_, i, all) => all.slice(0, i + 1).join('/')).filter((u) => u.length > 0);

function uriPlan(p: string, value: string, modifier: string | undefined): Plan {
  const text = unescaped(value);
  if (modifier === 'below') return or(term(keys.uriKey(p, text)), { kind: 'prefix', key: keys.uriKey(p, text.endsWith('/') ? text : `${text}/`) });
  if (modifier === 'above') return or(...above(text).map((u) => term(keys.uriKey(p, u))));
  return term(keys.uriKey(p, text));
}

function compositePlan(p: string, param: Param, value: string, r: Resolver): Plan {
  const parts = split(value, '$');
  if (parts.length !== param.components.length) throw invalidParameter(`\`${param.code}\` takes ${param.components.length} values joined by $.`);
  const options = param.components.map((c, i) => (c.param.type === 'reference' ? referenceKeys(c.param, unescaped(parts[i]), r) : tokenKeys(parts[i])));
  let plans: string[][] = [[]];
  for (const o of options) plans = plans.flatMap((head) => o.map((k) => [...head, k]));
  return or(...plans.map((k) => term(keys.compositeKey(p, k))));
}

function referenceKeys(param: Param, text: string, r: Resolver): string[] {
  const refs = ID.test(text) ? param.targets.map((t) => `${t}/${text}`) : [relativeReference(text, r.base) ?? text];
  return refs.flatMap((ref) => componentKeys(param, { reference: ref }, { resourceType: 'Basic' }, r.base));
}

function tokenKeys(value: string): string[] {
  const parts = split(value, '|').map(unescaped);
  return parts.length === 1 ? [keys.codeKey('', parts[0])] : [keys.tokenKey('', parts[0], parts[1])];
}

function missing(type: string, param: Param, value: string): Plan {
  if (value !== 'true' && value !== 'false') throw invalidParameter('`:missing` is true or false.');
  const has = scalar('present', 'has', param.code);
  return type === 'AuditEvent' ? NONE : value === 'true' ? not(has) : has;
}

function paramPlan(type: string, f: Extract<Filter, { kind: 'param' }>, r: Resolver, p = keys.paramKey(type, f.param.code)): Plan {
  const { param, modifier } = f;
  if (modifier === 'missing') return missing(type, param, f.values[0]);
  const plan = or(...f.values.map((v) => valuePlan(p, param, v, modifier, r)));
  return modifier === 'not' || modifier === 'not-in' ? not(plan) : plan;
}

function valuePlan(p: string, param: Param, v: string, modifier: string | undefined, r: Resolver): Plan {
  switch (param.type) {
    case 'token': return modifier && modifier !== 'not' ? tokenModified(p, v, modifier, r) : tokenPlan(p, v);
    case 'string': return stringPlan(p, param.code, v, modifier);
    case 'date': return datePlan(p, v, r.now);
    case 'reference': return referencePlan(p, param, v, modifier, r);
    case 'uri': return uriPlan(p, v, modifier);
    case 'composite': return compositePlan(p, param, v, r);
  }
}

/** A chain: the ids on the other side, or the same value in a contained resource. */
async function chainPlan(type: string, f: Extract<Filter, { kind: 'chain' }>, r: Resolver): Promise<Plan> {
  const p = keys.paramKey(type, f.param.code);
  const plans: Plan[] = [];
  let known = false;
  for (const target of f.target ? [f.target] : f.param.targets) {
    let sub: Filter;
    try {
      sub = filterOn(target, f.rest, f.values);
    } catch (e) {
      if (f.target) throw e;
      continue;
    }
    known = true;
    const ids = await r.ids(target, await filterPlan(target, sub, r));
    plans.push(...ids.map((id) => term(keys.referenceKey(p, `${target}/${id}`))));
    if (sub.kind === 'param' && sub.param.type !== 'reference') plans.push(paramPlan(target, sub, r, keys.containedParam(p, target, sub.param.code)));
  }
  if (!known) throw unsupportedParameter(`\`${f.name}\` leads to no parameter that is known.`);
  return or(...plans);
}

async function filterPlan(type: string, f: Filter, r: Resolver): Promise<Plan> {
  switch (f.kind) {
    case 'id': return { kind: 'ids', ids: f.values.map((v) => (relativeReference(v, r.base)?.startsWith(`${type}/`) ? (relativeReference(v, r.base) as string).slice(type.length + 1) : v)) };
    case 'updated': return or(...f.values.map((v) => updatedPlan(v, r.now)));
    case 'param': return paramPlan(type, f, r);
    case 'chain': return chainPlan(type, f, r);
    case 'has': {
      const inner = await filterPlan(f.type, filterOn(f.type, f.rest, f.values), r);
      return { kind: 'ids', ids: await r.referenced(f.type, inner, f.param, type) };
    }
  }
}

/** All filters of a query, ANDed. */
export async function compileFilters(type: string, filters: Filter[], r: Resolver): Promise<Plan> {
  const plans: Plan[] = [];
  for (const f of filters) plans.push(await filterPlan(type, f, r));
  return and(...plans);
}

/** The store's sort of a code: dates that stand beside the resource come from there. */
export function sortField(type: string, code: string): string {
  if (code === '_id') return 'id';
  if (code === '_lastUpdated') return 'updated';
  const own = parametersOf(type).get(code);
  return code === 'date' && own && isGated(type) ? 'date' : code;
}
