// The order of an import: what refers comes after what is referred to.
import { eachReference } from '../fhir/reference.ts';
import type { Json } from '../fhir/types.ts';
import { kindOf } from '../policy/consent.ts';

export type Rank = {
  types: string[];
  /** Of a type that stands in two ranks: those that must follow documents, or those that need not. */
  following?: boolean;
  /** They may name each other: read again while a reading brings something new. */
  again?: true;
};

/** Consents stand before the documents that they gate; one that names single documents, and the closing of a record, can only follow. */
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

/** Ranks of each type, told once: every resource of a source is asked for its rank. */
const ranksOfType = new Map(RANKS.flatMap((rank) => rank.types).map((type) => [type, RANKS.flatMap((rank, i) => (rank.types.includes(type) ? [i] : []))]));

const NAMED = /^(DocumentReference|List)\//;

function follows(resource: Json): boolean {
  let found = resource.resourceType === 'Consent' && kindOf(resource) === 'closing';
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
