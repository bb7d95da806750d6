// The order of an import: what refers comes after what is referred to.
import { eachReference } from '../fhir/reference.ts';
import { isStored, type Json } from '../fhir/types.ts';

export type Rank = {
  types: string[];
  /** Resources of this rank that name documents or Lists; where false, those that name none. */
  naming?: boolean;
  /** They may name each other: read again while a reading brings something new. */
  again?: true;
};

/** Consents stand before the documents that they gate; one that names single documents can only follow them. */
export const RANKS: Rank[] = [
  { types: [] },
  { types: ['Organization'] },
  { types: ['Practitioner'] },
  { types: ['PractitionerRole', 'Device'] },
  { types: ['Patient'] },
  { types: ['RelatedPerson'] },
  { types: ['Consent'], naming: false },
  { types: ['DocumentReference'], naming: false },
  { types: ['DocumentReference'], naming: true, again: true },
  { types: ['List'], again: true },
  { types: ['Consent'], naming: true },
];

/** The rank of what cannot be imported. */
export const FAULTY = 0;

const NAMED = /^(DocumentReference|List)\//;

function names(resource: Json): boolean {
  let found = false;
  eachReference(resource, (holder) => {
    found ||= NAMED.test(holder.reference);
  });
  return found;
}

/** Index into RANKS. */
export function rankOf(resource: Json | undefined): number {
  if (!resource || !isStored(resource.resourceType)) return FAULTY;
  const own = RANKS.map((rank, i) => ({ rank, i })).filter(({ rank }) => rank.types.includes(resource.resourceType));
  if (own.length < 2) return own[0]?.i ?? FAULTY;
  const naming = names(resource);
  return own.find(({ rank }) => rank.naming === naming)?.i ?? FAULTY;
}
