// Who may write what: rulings W1–W6, pure. A refusal names its rule.
import type { Json } from '../fhir/types.ts';
import { asArray } from '../fhir/types.ts';
import { relativeReference } from '../fhir/reference.ts';
import type { Scalars } from '../store/port.ts';
import type { Caller } from './caller.ts';
import { type ConsentKind, kindOf } from './consent.ts';
import { blockOf, type Facts, isDepositor, isHolder, isTreating, neverAdmitted, recordState, type Rulebook, represents } from './decide.ts';
import type { Document } from './condition.ts';
import { type Coding, type Labels, labelsOf } from './vocabulary.ts';

export type WriteRefusal = { rule: string; text: string; /** True where the answer hangs on caller and record alone. */ plain: boolean };

export type WriteTable = {
  version: string;
  feed: { sectors: string[]; types: string[] };
  patientOnly: string[];
  restricted: { types: string[]; callers: { professions?: string[]; specialties?: string[]; systemSectors?: string[] | '*' }[] }[];
  professions: string[];
};

const refuse = (rule: string, text: string, plain = true): WriteRefusal => ({ rule, text, plain });

function tableOpens(caller: Caller, codes: string[], table: WriteTable): boolean {
  const patientOnly = codes.some((c) => table.patientOnly.includes(c));
  if (caller.kind === 'patient' || caller.kind === 'representative') return codes.length > 0 && codes.every((c) => table.patientOnly.includes(c));
  if (patientOnly || codes.some((c) => table.feed.types.includes(c))) return false;
  if (caller.kind === 'professional' && !table.professions.includes(caller.profession ?? '')) return false;
  return table.restricted.filter((r) => r.types.some((t) => codes.includes(t))).every((r) => r.callers.some((c) => callerFits(caller, c)));
}

function callerFits(caller: Caller, c: WriteTable['restricted'][number]['callers'][number]): boolean {
  if (caller.kind === 'system') return c.systemSectors === '*' || (c.systemSectors?.includes(caller.sector ?? '') ?? false);
  return (c.professions?.includes(caller.profession ?? '') ?? false) && (c.specialties === undefined || c.specialties.includes(caller.specialty ?? ''));
}

/** W1: whether the caller may add a document of these types to the record now. */
export function refuseDeposit(caller: Caller, types: Coding[], labels: Labels, facts: Facts, book: Rulebook, table: WriteTable, now: number): WriteRefusal | undefined {
  const state = recordState(facts, now).state;
  if (state !== 'open') return refuse('record-closed', 'No open record: documents can neither be read nor deposited.');
  const codes = types.map((t) => t.code);
  const feed = caller.kind === 'system' && table.feed.sectors.includes(caller.sector ?? '') && codes.length > 0 && codes.every((c) => table.feed.types.includes(c));
  if (!feed && neverAdmitted(caller, book)) return refuse('never-admitted', 'This caller is never admitted to the record.');
  if (caller.kind === 'patient' && !isHolder(caller, facts)) return refuse('no-consent', 'This is not the record of the caller.');
  if (caller.kind === 'representative' && !represents(caller, facts, now)) return refuse('no-consent', 'The caller does not represent this patient.');
  if (!isTreating(caller, facts) && blockOf(caller, facts, now)) return refuse('no-consent', 'The record is not open to this caller.');
  if (!feed && !tableOpens(caller, codes, table)) return refuse('write-table', `A document of type ${codes.map((c) => `\`${c}\``).join(', ') || 'unknown'} cannot be deposited by this caller.`);
  return refuseLabels(caller, labels);
}

/** W3 at deposit: the depositor is the author. */
function refuseLabels(caller: Caller, l: Labels): WriteRefusal | undefined {
  if (l.maskPs && l.hiddenFromPatient) return refuse('labels', 'MASQUE_PS and INVISIBLE_PATIENT do not go together.');
  if (l.hiddenFromPatient && (caller.kind === 'patient' || caller.kind === 'representative')) return refuse('labels', 'INVISIBLE_PATIENT is set by the author or the médecin traitant.');
  if (l.invRep && caller.kind === 'representative') return refuse('labels', 'INVISIBLE_REPRESENTANTS_LEGAUX is not set by a representative.');
  if (caller.secret && !l.invRep) return refuse('labels', 'In a secret connexion only documents invisible to the representatives are deposited.');
  return undefined;
}

/** W3: whether the caller may change the labels of a document that they see. */
export function refuseRelabel(caller: Caller, d: Document, before: Labels, after: Labels, facts: Facts, now: number): WriteRefusal | undefined {
  const holder = isHolder(caller, facts);
  const representative = represents(caller, facts, now);
  const treating = isTreating(caller, facts);
  const author = isDepositor(caller, d) || (holder && d.scalars.depositor === caller.ref);
  if (after.maskPs && after.hiddenFromPatient) return refuse('labels', 'MASQUE_PS and INVISIBLE_PATIENT do not go together.');
  if (after.maskPs !== before.maskPs) {
    const may = holder || representative || treating || (author && (after.maskPs || d.scalars.maskedBy === 'author'));
    if (!may) return refuse('labels', 'MASQUE_PS is changed by the patient, the representative, the médecin traitant or the author who set it.');
  }
  if (after.hiddenFromPatient !== before.hiddenFromPatient) {
    if (!(author || treating) || holder) return refuse('labels', 'INVISIBLE_PATIENT is changed by the author or the médecin traitant.');
    if (after.hiddenFromPatient && d.scalars.hiddenUntil <= now) return refuse('labels', 'INVISIBLE_PATIENT cannot be put on what the patient could already see.');
  }
  if (after.invRep !== before.invRep) {
    const may = after.invRep ? author || treating || holder : holder || treating;
    if (!may) return refuse('labels', 'INVISIBLE_REPRESENTANTS_LEGAUX is set by the author, the médecin traitant or the patient, and taken off by the last two.');
  }
  return holder || representative || treating || author ? undefined : refuse('labels', 'Labels are changed by the patient, the representative, the médecin traitant or the author.');
}

/** Archived flag and status: those who answer for the document. */
export function refuseUpkeep(caller: Caller, d: Document, facts: Facts, now: number): WriteRefusal | undefined {
  const may = isHolder(caller, facts) || represents(caller, facts, now) || isTreating(caller, facts) || isDepositor(caller, d) || sameOrganisation(caller, d.scalars);
  return may ? undefined : refuse('upkeep', 'Only the depositor, the patient, the representative or the médecin traitant changes this document.');
}

const sameOrganisation = (caller: Caller, s: Scalars): boolean => caller.organization !== undefined && s.depositorOrg === caller.organization;

/** W2: depositor or same organisation; the patient for own documents. */
export function refuseReplace(caller: Caller, d: Document): WriteRefusal | undefined {
  return d.scalars.depositor === caller.ref || sameOrganisation(caller, d.scalars) ? undefined : refuse('replace', 'A document is replaced by its depositor or the same organisation.');
}

/** W4. `request`: the patient's request that a professional records. */
export function refuseDelete(caller: Caller, d: Document, facts: Facts, now: number, request: string | undefined): WriteRefusal | undefined {
  if (isHolder(caller, facts) || represents(caller, facts, now) || isTreating(caller, facts) || isDepositor(caller, d)) return undefined;
  if (caller.kind === 'professional' && request) return undefined;
  return refuse('delete', 'A document is deleted by the patient, the representative, the médecin traitant, its depositor, or a professional who records the patient\'s request.');
}

const LIFECYCLE = new Set<ConsentKind | undefined>(['opening', 'opposition', 'closing']);

function verification(r: Json): boolean {
  const v = asArray<Json>(r.verification)[0];
  return v?.verified === true && typeof v.verifiedWith?.reference === 'string' && typeof v.verificationDate === 'string';
}

/** W6: only themselves or their own organisation, nothing wider. */
function ownAuthorisation(caller: Caller, r: Json): boolean {
  const p = r.provision ?? {};
  if (p.type !== 'permit' || asArray(p.provision).length || asArray(r.policyRule).length) return false;
  const actors = asArray<Json>(p.actor).map((a) => relativeReference(a.reference?.reference));
  return actors.length > 0 && actors.every((a) => a !== undefined && (a === caller.ref || a === caller.organization) && !a.startsWith('Device/'));
}

/** Who may create this Consent on this record (C3, C4, W6). */
export function refuseConsentCreate(caller: Caller, r: Json, facts: Facts, book: Rulebook, now: number): WriteRefusal | undefined {
  const kind = kindOf(r);
  const minor = facts.majority !== undefined && now < facts.majority;
  if (isHolder(caller, facts)) return LIFECYCLE.has(kind) && minor ? refuse('minor', 'A minor opens and closes nothing alone.') : refuseBlock(r, kind, facts);
  if (represents(caller, facts, now)) return refuseBlock(r, kind, facts);
  const { state } = recordState(facts, now);
  if (isTreating(caller, facts)) return kind === 'opening' && state !== 'none' && state !== 'open' ? refuse('reopening', 'A record that the patient closed or opposed is reopened by the patient.') : refuseBlock(r, kind, facts);
  const desk = caller.roles.includes('registry');
  if (caller.kind !== 'professional' && caller.kind !== 'system') return refuse('consent-author', 'This caller writes no Consent on this record.');
  if (kind === 'opening' && r.status === 'proposed') return desk && state === 'none' ? undefined : refuse('opening', 'An automatic opening is proposed by the registry, where nothing was opened, opposed or closed.');
  if (!verification(r)) return refuse('consent-verification', "A Consent recorded for the patient says in `verification` whose word it is, by whom and when.");
  if (kind === 'opening') return state === 'none' && (desk || !neverAdmitted(caller, book)) ? undefined : refuse('opening', 'A record is opened for the patient only where none was opened, opposed or closed.');
  if (desk || neverAdmitted(caller, book)) return refuse('consent-author', 'This caller records openings only.');
  if (kind !== 'authorisation' || !ownAuthorisation(caller, r)) return refuse('self-recorded', 'A professional or a system records an authorisation of themselves or of their own organisation, nothing wider.');
  return undefined;
}

function refuseBlock(r: Json, kind: ConsentKind | undefined, facts: Facts): WriteRefusal | undefined {
  if (kind !== 'block') return undefined;
  const actors = asArray<Json>(r.provision?.actor).map((a) => relativeReference(a.reference?.reference) ?? '');
  return actors.some((a) => facts.treating.includes(a)) ? refuse('block', 'The médecin traitant cannot be blocked.') : undefined;
}

/** Who may change or delete a Consent: the patient and the representative; the MT but for the patient's blocks and oppositions (C3). */
export function refuseConsentChange(caller: Caller, before: Json, facts: Facts, now: number): WriteRefusal | undefined {
  const kind = kindOf(before);
  const minor = facts.majority !== undefined && now < facts.majority;
  if (isHolder(caller, facts)) return LIFECYCLE.has(kind) && minor ? refuse('minor', 'A minor opens and closes nothing alone.') : undefined;
  if (represents(caller, facts, now)) return undefined;
  if (isTreating(caller, facts) && (kind === 'opening' || kind === 'authorisation')) return undefined;
  return refuse('consent-author', "A patient's Consent is altered by the patient or the representative.");
}

export const labelsDiffer = (a: Json, b: Json): boolean => JSON.stringify(labelsOf(a)) !== JSON.stringify(labelsOf(b)) || JSON.stringify(a.securityLabel ?? []) !== JSON.stringify(b.securityLabel ?? []);
