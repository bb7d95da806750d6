// What a provision asks of a document, as data with two readings: `holds` (for decide) and `planOf` (for residual).
import type { Json } from '../fhir/types.ts';
import * as keys from '../search/keys.ts';
import { ALL, and, NONE, not, or, scalar, term } from '../store/plan.ts';
import type { Plan, Scalars } from '../store/port.ts';
import { type Coding, codings } from './vocabulary.ts';

export type Condition =
  | { is: 'true' }
  | { is: 'false' }
  | { is: 'and'; of: Condition[] }
  | { is: 'or'; of: Condition[] }
  | { is: 'not'; of: Condition }
  | { is: 'class' | 'type' | 'tag'; codes: Coding[] }
  | { is: 'confidentiality'; atMost: number }
  | { is: 'period'; lo: number; hi: number }
  | { is: 'document'; ids: string[] }
  | { is: 'author'; refs: string[] };

/** A document as decisions see it: its id, what the server keeps beside it, and its content when a provision asks. */
export type Document = { id: string; scalars: Scalars; resource: () => Json };

export const TRUE: Condition = { is: 'true' };
export const FALSE: Condition = { is: 'false' };

export function all(...of: Condition[]): Condition {
  const rest = of.filter((c) => c.is !== 'true');
  if (rest.some((c) => c.is === 'false')) return FALSE;
  return rest.length === 0 ? TRUE : rest.length === 1 ? rest[0] : { is: 'and', of: rest };
}

export function any(...of: Condition[]): Condition {
  const rest = of.filter((c) => c.is !== 'false');
  if (rest.some((c) => c.is === 'true')) return TRUE;
  return rest.length === 0 ? FALSE : rest.length === 1 ? rest[0] : { is: 'or', of: rest };
}

export const except = (c: Condition): Condition => (c.is === 'true' ? FALSE : c.is === 'false' ? TRUE : { is: 'not', of: c });

const ELEMENT = { class: 'category', type: 'type', tag: 'securityLabel' } as const;

function codeHolds(c: Extract<Condition, { codes: Coding[] }>, d: Document): boolean {
  const own = codings(d.resource()[ELEMENT[c.is]]);
  return c.codes.some((x) => own.some((o) => o.system === x.system && o.code === x.code));
}

/** Whether the condition holds of a document. */
export function holds(c: Condition, d: Document): boolean {
  switch (c.is) {
    case 'true': return true;
    case 'false': return false;
    case 'and': return c.of.every((x) => holds(x, d));
    case 'or': return c.of.some((x) => holds(x, d));
    case 'not': return !holds(c.of, d);
    case 'confidentiality': return d.scalars.conf <= c.atMost;
    case 'period': return d.scalars.date >= c.lo && d.scalars.date <= c.hi;
    case 'document': return c.ids.includes(d.id);
    case 'author': return c.refs.some((r) => d.scalars.depositor === r || d.scalars.depositorOrg === r || d.scalars.authors.includes(`,${r},`));
    default: return codeHolds(c, d);
  }
}

const PARAM = { class: 'category', type: 'type', tag: 'security-label' } as const;

function codePlan(c: Extract<Condition, { codes: Coding[] }>): Plan {
  const p = keys.paramKey('DocumentReference', PARAM[c.is]);
  return or(...c.codes.map((x) => term(keys.tokenKey(p, x.system, x.code))));
}

/** The documents of which the condition holds, as a plan. */
export function planOf(c: Condition): Plan {
  switch (c.is) {
    case 'true': return ALL;
    case 'false': return NONE;
    case 'and': return and(...c.of.map(planOf));
    case 'or': return or(...c.of.map(planOf));
    case 'not': return not(planOf(c.of));
    case 'confidentiality': return scalar('conf', 'le', c.atMost);
    case 'period': return and(scalar('date', 'ge', c.lo), scalar('date', 'le', c.hi));
    case 'document': return { kind: 'ids', ids: c.ids };
    case 'author': return or(...c.refs.flatMap((r) => [scalar('depositor', 'eq', r), scalar('depositorOrg', 'eq', r), scalar('authors', 'has', r)]));
    default: return codePlan(c);
  }
}
