// The order of an import: what refers comes after what is referred to.
import { eachReference } from '../fhir/reference.ts';
import type { Json } from '../fhir/types.ts';
import { type ConsentKind, kindOf } from '../policy/consent.ts';

export type Rank = {
  types: string[];
  /** Of a type that stands in two ranks: those that must follow documents, or those that need not. */
  following?: boolean;
  /** They may name each other: read again while a reading brings something new. */
  again?: true;
};

/** Consents stand before the documents that they gate; those that name single documents, or end deposits, can only follow: the records that they are about are held from before the first Consent. */
export const RANKS: Rank[] = [
  { types: [] },
  { types: ['Organization'] },
  { types: ['Practitioner'] },
  { types: ['PractitionerRole', 'Device'] },
  { types: ['Patient'] },
  { types: ['RelatedPerson'] },
  { types: ['Consent'], following: false },
  { types: ['DocumentReference'], following: false },
  { types: ['DocumentReference'], following: true, again: true },
  { types: ['List'], again: true },
  { types: ['Consent'], following: true },
];

/** The rank of what cannot be imported. */
export const FAULTY = 0;
export const FIRST_CONSENTS = RANKS.findIndex((r) => r.types.includes('Consent'));
export const LAST_CONSENTS = RANKS.findLastIndex((r) => r.types.includes('Consent'));

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
