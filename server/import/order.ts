// The order of an import: what refers comes after what is referred to.
import { eachReference } from '../fhir/reference.ts';
import type { Json } from '../fhir/types.ts';
import { type ConsentKind, kindOf } from '../policy/consent.ts';
import { labelsOf } from '../policy/vocabulary.ts';

export type Rank = {
  types: string[];
  /** Of a type that stands in two ranks: those that must follow documents, or those that need not. */
  following?: boolean;
  /** They may name each other: read again while a reading brings something new. */
  again?: true;
  /** What comes here may close a record, or hide a document in it, that came before: the record is held from before its first document (`holds`). */
  late?: true;
};

/** Consents stand before the documents that they gate; those that name single documents, or end deposits, can only follow. */
export const RANKS: Rank[] = [
  { types: [] },
  { types: ['Organization'] },
  { types: ['Practitioner'] },
  { types: ['PractitionerRole', 'Device'] },
  { types: ['Patient'] },
  { types: ['RelatedPerson'] },
  { types: ['Consent'], following: false },
  { types: ['DocumentReference'], following: false },
  { types: ['DocumentReference'], following: true, again: true, late: true },
  { types: ['List'], again: true },
  { types: ['Consent'], following: true, late: true },
];

/** The rank of what cannot be imported. */
export const FAULTY = 0;
export const FIRST_CONSENTS = RANKS.findIndex((r) => r.types.includes('Consent'));

/** Kinds of Consents after which documents that came before them could not be deposited. */
const ENDS_DEPOSITS = new Set<ConsentKind | undefined>(['closing', 'opposition', 'block']);

/** Ranks of each type, told once: every resource of a source is asked for its rank. */
const ranksOfType = new Map(RANKS.flatMap((rank) => rank.types).map((type) => [type, RANKS.flatMap((rank, i) => (rank.types.includes(type) ? [i] : []))]));

const NAMED = /^(DocumentReference|List)\//;

function follows(resource: Json): boolean {
  let found = resource.resourceType === 'Consent' && ENDS_DEPOSITS.has(kindOf(resource));
  eachReference(resource, (holder) => {
    found ||= NAMED.test(holder.reference);
  });
  return found;
}

/** Index into RANKS. */
export function rankOf(resource: Json | undefined): number {
  const own = ranksOfType.get(String(resource?.resourceType)) ?? [];
  if (!resource || own.length < 2) return own[0] ?? FAULTY;
  const following = follows(resource);
  return own.find((i) => RANKS[i].following === following) ?? FAULTY;
}

/** Whether what came before it shows more than it will once this stands: every late Consent, and a document whose labels cover those that it replaces (R6). */
export function holds(resource: Json): boolean {
  if (resource.resourceType === 'Consent') return true;
  const l = labelsOf(resource);
  return l.maskPs || l.hiddenFromPatient || l.invRep || l.conf > 0;
}
