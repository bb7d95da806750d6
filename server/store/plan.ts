// Plans: small constructors that keep trees flat, and their meaning, written plainly (the oracle of both stores).
import type { Entries, Plan, Row, ScalarTest } from './port.ts';

export const ALL: Plan = { kind: 'all' };
export const NONE: Plan = { kind: 'none' };

export function and(...plans: Plan[]): Plan {
  const of = plans.flatMap((p) => (p.kind === 'and' ? p.of : p.kind === 'all' ? [] : [p]));
  if (of.some((p) => p.kind === 'none')) return NONE;
  return of.length === 0 ? ALL : of.length === 1 ? of[0] : { kind: 'and', of };
}

export function or(...plans: Plan[]): Plan {
  const of = plans.flatMap((p) => (p.kind === 'or' ? p.of : p.kind === 'none' ? [] : [p]));
  if (of.some((p) => p.kind === 'all')) return ALL;
  return of.length === 0 ? NONE : of.length === 1 ? of[0] : { kind: 'or', of };
}

export function not(plan: Plan): Plan {
  if (plan.kind === 'all') return NONE;
  if (plan.kind === 'none') return ALL;
  return plan.kind === 'not' ? plan.of : { kind: 'not', of: plan };
}

export const term = (key: string): Plan => ({ kind: 'term', key });
export const scalar = (field: ScalarTest['field'], op: ScalarTest['op'], value: ScalarTest['value']): Plan => ({ kind: 'scalar', field, op, value });

/** Equality that must hold of every match: used to pick the index to drive a query from. */
export function pinned(plan: Plan, field: ScalarTest['field']): string | number | null | undefined {
  if (plan.kind === 'scalar' && plan.field === field && plan.op === 'eq') return plan.value;
  if (plan.kind === 'and') for (const p of plan.of) {
    const v = pinned(p, field);
    if (v !== undefined) return v;
  }
  return undefined;
}

function test(t: ScalarTest, row: Row): boolean {
  const v = t.field === 'updated' ? row.updated : row.scalars[t.field];
  if (t.op === 'eq') return v === t.value;
  if (v === null || t.value === null) return false;
  switch (t.op) {
    case 'has': return String(v).includes(`,${t.value},`);
    case 'le': return v <= t.value;
    case 'ge': return v >= t.value;
    case 'lt': return v < t.value;
    case 'gt': return v > t.value;
  }
}

/** Whether a row with its entries is selected by a plan: the definition that the stores must meet. */
export function matches(plan: Plan, row: Row, entries: Entries): boolean {
  switch (plan.kind) {
    case 'all': return true;
    case 'none': return false;
    case 'and': return plan.of.every((p) => matches(p, row, entries));
    case 'or': return plan.of.some((p) => matches(p, row, entries));
    case 'not': return !matches(plan.of, row, entries);
    case 'term': return entries.terms.includes(plan.key);
    case 'terms': return plan.keys.some((k) => entries.terms.includes(k));
    case 'prefix': return entries.terms.some((t) => t.startsWith(plan.key));
    case 'contains': return entries.terms.some((t) => t.startsWith(plan.key) && t.slice(plan.key.length).includes(plan.text));
    case 'range': return entries.ranges.some((r) => r.p === plan.p && (plan.loMin === undefined || r.lo >= plan.loMin) && (plan.loMax === undefined || r.lo <= plan.loMax) && (plan.hiMin === undefined || r.hi >= plan.hiMin) && (plan.hiMax === undefined || r.hi <= plan.hiMax));
    case 'ids': return plan.ids.includes(row.id);
    case 'scalar': return test(plan, row);
  }
}
