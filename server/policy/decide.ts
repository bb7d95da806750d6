// The decision (PDP): rows in order, the first that applies decides, nothing applying denies. Rulings, table R.
import type { Caller } from './caller.ts';
import { practitionerOf } from './caller.ts';
import { type Document, holds } from './condition.ts';
import { type CompiledConsent, inForce } from './consent.ts';
import type { Matrix } from './matrix.ts';
import { consentRules } from './rules.ts';

export type Rule =
  | 'record-closed' | 'never-admitted' | 'holder' | 'representative' | 'treating-physician' | 'blocked' | 'depositor' | 'system-consults'
  | 'emergency-opposed' | 'regulation-opposed' | 'consent-denies' | 'no-consent' | 'profession' | 'masked' | 'permitted' | 'open-access';

export type Decision = { permit: boolean; rule: Rule; consents: string[] };

export type Representative = { ref: string; from: number; until: number };

/** What decisions about one patient rest on, read at one epoch. */
export type Facts = {
  patient: string;
  epoch: number;
  consents: CompiledConsent[];
  /** `Practitioner/x` of the médecin traitant (C3). */
  treating: string[];
  representatives: Representative[];
  /** Instant of the patient's majority (ms); undefined where the birth date is not known. */
  majority: number | undefined;
  /** An import is bringing this record, and what closes it or hides in it may be still to come: closed meanwhile. */
  held: boolean;
};

/** What decisions rest on beside the patient: data of this server. */
export type Rulebook = {
  matrix: Matrix;
  admission: { careSectors: string[]; expertSpecialties: string[]; occupational: { sectors: string[]; specialties: string[] } };
  /** `never` or, by configuration, `express-consent`. */
  occupationalMedicine: 'never' | 'express-consent';
};

export type RecordState = 'none' | 'open' | 'opposed' | 'closed';

const newestFirst = (a: CompiledConsent, b: CompiledConsent): number => b.since - a.since;

/** Row 1: the newest lifecycle Consent in force tells; at the same instant the one that closes. A record that is held is closed. */
export function recordState(facts: Facts, now: number): { state: RecordState; consent?: string } {
  if (facts.held) return { state: 'closed' };
  const life = facts.consents.filter((c) => inForce(c, now) && (c.kind === 'opening' || c.kind === 'opposition' || c.kind === 'closing')).sort((a, b) => newestFirst(a, b) || (a.kind === 'opening' ? 1 : -1));
  const c = life[0];
  if (!c) return { state: 'none' };
  return { state: c.kind === 'opening' ? 'open' : c.kind === 'opposition' ? 'opposed' : 'closed', consent: c.id };
}

/** Row 2. */
export function neverAdmitted(caller: Caller, book: Rulebook): boolean {
  if (caller.kind !== 'professional' && caller.kind !== 'system') return false;
  const { admission } = book;
  if (admission.expertSpecialties.includes(caller.specialty ?? '')) return true;
  const occupational = admission.occupational.sectors.includes(caller.sector ?? '') || admission.occupational.specialties.includes(caller.specialty ?? '');
  if (occupational) return book.occupationalMedicine === 'never';
  return !admission.careSectors.includes(caller.sector ?? '');
}

export const isTreating = (caller: Caller, facts: Facts): boolean => caller.kind === 'professional' && facts.treating.includes(caller.ref);

/** C4. */
export const represents = (caller: Caller, facts: Facts, now: number): boolean => caller.kind === 'representative' && facts.representatives.some((r) => r.ref === caller.ref && now >= r.from && now <= r.until);

export const isHolder = (caller: Caller, facts: Facts): boolean => caller.kind === 'patient' && caller.ref === `Patient/${facts.patient}`;

const names = (c: CompiledConsent, caller: Caller): boolean =>
  c.root.unclear.length > 0 || (c.root.actors ?? []).some((a) => (a.is === 'practitioner' && a.ref === practitionerOf(caller)) || (a.is === 'organization' && a.ref === caller.organization) || (a.is === 'role' && a.practitioner === practitionerOf(caller) && a.organization === caller.organization));

/** Row 6: a block names a practitioner or an organisation, for the whole record. */
export const blockOf = (caller: Caller, facts: Facts, now: number): CompiledConsent | undefined => facts.consents.find((c) => c.kind === 'block' && inForce(c, now) && names(c, caller));

/** Row 9. */
export function opposition(caller: Caller, facts: Facts, now: number): CompiledConsent | undefined {
  const kind = caller.mode === 'bris_de_glace' ? 'emergency-opposition' : caller.mode === 'centre_15' ? 'regulation-opposition' : undefined;
  return kind && facts.consents.find((c) => c.kind === kind && inForce(c, now));
}

/** Row 7. */
export function isDepositor(caller: Caller, d: Document): boolean {
  const s = d.scalars;
  if (caller.kind === 'system') return s.bySystem === 1 && caller.organization !== undefined && s.depositorOrg === caller.organization;
  if (caller.kind !== 'professional') return false;
  return s.depositor === caller.ref || (s.bySystem === 1 && caller.organization !== undefined && s.depositorOrg === caller.organization && s.authors.includes(`,${caller.ref},`));
}

const permit = (rule: Rule, consents: string[] = []): Decision => ({ permit: true, rule, consents });
const deny = (rule: Rule, consents: string[] = []): Decision => ({ permit: false, rule, consents });

/** Rows 1, 2, 6, 8, 9 and "no Consent at all" of row 10: what hangs on caller and record alone (S4). Undefined: it depends on the document. */
export function recordRefusal(caller: Caller, facts: Facts, book: Rulebook, now: number): Decision | undefined {
  const { state, consent } = recordState(facts, now);
  if (state !== 'open') return deny('record-closed', consent ? [consent] : []);
  if (neverAdmitted(caller, book)) return deny('never-admitted');
  if (caller.kind === 'patient') return isHolder(caller, facts) ? undefined : deny('no-consent');
  if (caller.kind === 'representative') return represents(caller, facts, now) ? undefined : deny('no-consent');
  if (isTreating(caller, facts)) return undefined;
  const block = blockOf(caller, facts, now);
  return block ? deny('blocked', [block.id]) : undefined;
}

/** Whether the caller may read this document now, by which rule, resting on which Consents. */
export function decide(caller: Caller, d: Document, facts: Facts, book: Rulebook, now: number): Decision {
  const refusal = recordRefusal(caller, facts, book, now);
  if (refusal) return refusal;
  const hidden = d.scalars.hiddenUntil > now;
  if (caller.kind === 'patient') return hidden ? deny('holder') : permit('holder');
  if (caller.kind === 'representative') return hidden || d.scalars.invRep === 1 ? deny('representative') : permit('representative');
  if (isTreating(caller, facts)) return permit('treating-physician');
  if (isDepositor(caller, d)) return permit('depositor');
  if (caller.kind === 'system') return deny('system-consults');
  const opposed = opposition(caller, facts, now);
  if (opposed) return deny(caller.mode === 'bris_de_glace' ? 'emergency-opposed' : 'regulation-opposed', [opposed.id]);
  const first = consentRules(facts.consents, caller, now).find((r) => holds(r.when, d));
  if (first?.effect === 'deny') return deny('consent-denies', [first.consent]);
  if (!first && caller.mode === 'normal') return deny('no-consent');
  const rested = first ? [first.consent] : [];
  const column = book.matrix.column(caller.profession);
  if (column === undefined || d.scalars.matrix !== book.matrix.version || !d.scalars.opens.includes(`,${column},`)) return deny('profession', rested);
  return d.scalars.maskPs === 1 ? deny('masked', rested) : permit('permitted', rested);
}
