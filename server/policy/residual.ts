// The decision as a plan: selects, for every document of a record, exactly what `decide` permits (held together by a property test).
import { ALL, and, NONE, or, scalar } from '../store/plan.ts';
import type { Plan } from '../store/port.ts';
import type { Caller } from './caller.ts';
import { planOf } from './condition.ts';
import { type Facts, isTreating, opposition, recordRefusal, type Rulebook } from './decide.ts';
import { consentRules, permitted } from './rules.ts';

function depositorPlan(caller: Caller): Plan {
  const bySystem = caller.organization === undefined ? NONE : and(scalar('bySystem', 'eq', 1), scalar('depositorOrg', 'eq', caller.organization));
  if (caller.kind === 'system') return bySystem;
  return or(scalar('depositor', 'eq', caller.ref), and(bySystem, scalar('authors', 'has', caller.ref)));
}

function consultationPlan(caller: Caller, facts: Facts, book: Rulebook, now: number): Plan {
  if (caller.kind === 'system' || opposition(caller, facts, now)) return NONE;
  const column = book.matrix.column(caller.profession);
  if (column === undefined) return NONE;
  const consent = planOf(permitted(consentRules(facts.consents, caller, now), caller.mode !== 'normal'));
  return and(scalar('maskPs', 'eq', 0), scalar('matrix', 'eq', book.matrix.version), scalar('opens', 'has', column), consent);
}

/** The DocumentReferences of this patient's record that the caller may read now. */
export function residual(caller: Caller, facts: Facts, book: Rulebook, now: number): Plan {
  if (recordRefusal(caller, facts, book, now)) return NONE;
  if (caller.kind === 'patient') return scalar('hiddenUntil', 'le', now);
  if (caller.kind === 'representative') return and(scalar('hiddenUntil', 'le', now), scalar('invRep', 'eq', 0));
  if (isTreating(caller, facts)) return ALL;
  return or(depositorPlan(caller), consultationPlan(caller, facts, book, now));
}
