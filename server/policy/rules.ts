// The Consents in force → an ordered list of what they say of one caller's reading (R row 10, R2–R5).
import type { Caller } from './caller.ts';
import { all, any, type Condition, except, FALSE, TRUE } from './condition.ts';
import { type Actor, type CompiledConsent, coversPurpose, inForce, type Provision, yearEnd } from './consent.ts';

export type ConsentRule = {
  consent: string;
  effect: 'permit' | 'deny';
  when: Condition;
  /** 4 a deny not understood, 3 practitioner, 2 organisation, 1 profession, 0 anyone (R4). */
  rank: number;
  since: number;
  /** False for a base policy, which emergency modes pass (R row 10). */
  explicit: boolean;
  selfRecorded: boolean;
};

const LIFECYCLE = new Set(['opening', 'opposition', 'closing', 'block', 'emergency-opposition', 'regulation-opposition']);

/** How specifically an actor names the caller; undefined where it does not. */
function rankOf(a: Actor, caller: Caller): number | undefined {
  switch (a.is) {
    case 'practitioner': return caller.kind === 'professional' && a.ref === caller.ref ? 3 : undefined;
    case 'role': return caller.kind === 'professional' && a.practitioner === caller.ref && a.organization === caller.organization ? 3 : undefined;
    case 'organization': return a.ref === caller.organization ? 2 : undefined;
    case 'profession': return a.ref === caller.profession ? 1 : undefined;
    case 'nobody-here': return undefined;
  }
}

/** The highest rank among the actors, 0 for anyone; undefined where none is the caller. */
function rank(p: Provision, caller: Caller): number | undefined {
  if (!p.actors) return 0;
  const ranks = p.actors.map((a) => rankOf(a, caller)).filter((r) => r !== undefined);
  return ranks.length ? Math.max(...ranks) : undefined;
}

type Match = { when: Condition; rank: number };

/** Whether a provision reaches this caller now, and for which documents. R3: what is unclear never widens. */
function match(p: Provision, caller: Caller, now: number): Match | undefined {
  if (p.unclear.length) return p.type === 'deny' ? { when: TRUE, rank: 4 } : undefined;
  const r = rank(p, caller);
  if (r === undefined || !p.reads || !coversPurpose(p.purposes, caller.mode) || now < p.window.lo || now > p.window.hi) return undefined;
  return { when: p.document, rank: r };
}

type Effect = { effect: 'permit' | 'deny'; when: Condition; rank: number };

/** A provision with its exceptions, as disjoint effects. A nested provision is reached where its parent matches. */
function effects(p: Provision, caller: Caller, now: number, outer: number): Effect[] {
  const m = match(p, caller, now);
  if (!m) return [];
  const own = Math.max(outer, m.rank);
  const nested = p.nested.flatMap((n) => effects(n, caller, now, own)).map((e) => ({ ...e, when: all(m.when, e.when) }));
  if (p.type === undefined) return nested;
  const opposite = nested.filter((e) => e.effect !== p.type);
  let when = all(m.when, except(any(...opposite.map((e) => e.when))));
  const narrowing = nested.filter((e) => e.effect === p.type);
  // A permit inside a permit narrows it for the callers whom it names.
  if (p.type === 'permit' && narrowing.length) when = all(when, any(...narrowing.map((e) => e.when)));
  return [...opposite, { effect: p.type, when, rank: Math.max(own, ...narrowing.map((e) => e.rank)) }];
}

/** A base policy says the rest: OPTIN denies unless a provision permits, OPTOUT permits unless one denies (R2). */
function withBase(c: CompiledConsent, own: Effect[]): (Effect & { explicit: boolean })[] {
  const explicit = own.map((e) => ({ ...e, explicit: true }));
  if (c.root.type !== undefined || c.base === undefined) return explicit;
  const rest = except(any(...own.map((e) => e.when)));
  return [...explicit, { effect: c.base, when: rest, rank: 0, explicit: false }];
}

function rulesOf(c: CompiledConsent, caller: Caller, now: number): ConsentRule[] {
  const unclearBase = c.base === 'permit' && c.root.type === undefined && c.root.unclear.length > 0;
  const own = unclearBase ? [] : withBase(c, effects(c.root, caller, now, 0));
  const expired = now >= yearEnd(c);
  return own
    .filter((e) => e.when.is !== 'false')
    .filter((e) => !(e.effect === 'permit' && e.rank >= 2 && expired))
    .map((e) => ({ consent: c.id, effect: e.effect, when: e.when, rank: e.rank, since: c.since, explicit: e.explicit, selfRecorded: c.selfRecorded }));
}

/** R4: most specific actor first, then newest; a tie denies; self-recorded permits last of all. */
function order(a: ConsentRule, b: ConsentRule): number {
  const last = (r: ConsentRule): number => (r.selfRecorded && r.effect === 'permit' ? 1 : 0);
  return last(a) - last(b) || b.rank - a.rank || b.since - a.since || (a.effect === b.effect ? 0 : a.effect === 'deny' ? -1 : 1);
}

/** The rules that bear on this caller now, in the order in which the first that applies decides. */
export function consentRules(consents: CompiledConsent[], caller: Caller, now: number): ConsentRule[] {
  const rules = consents.filter((c) => inForce(c, now) && !(c.kind && LIFECYCLE.has(c.kind))).flatMap((c) => rulesOf(c, caller, now));
  return (caller.mode === 'normal' ? rules : rules.filter((r) => r.explicit)).sort(order);
}

/** Documents that the ordered rules permit: the first that applies decides, `otherwise` where none does. */
export function permitted(rules: ConsentRule[], otherwise: boolean): Condition {
  let rest: Condition = otherwise ? TRUE : FALSE;
  for (let i = rules.length - 1; i >= 0; i--) {
    const r = rules[i];
    rest = r.effect === 'permit' ? any(r.when, rest) : all(except(r.when), rest);
  }
  return rest;
}
