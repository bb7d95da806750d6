// The small vocabulary that every room shares.

/** Parsed FHIR JSON: a resource or a part of one. */
export type Json = Record<string, any>;
export type Resource = Json & { resourceType: string; id?: string };

/** T2: the types that this server stores. */
export const GATED_TYPES = ['DocumentReference', 'Binary', 'List', 'Consent', 'AuditEvent'] as const;
export const DIRECTORY_TYPES = ['Patient', 'Practitioner', 'PractitionerRole', 'Organization', 'RelatedPerson', 'Device'] as const;
/** T2: definitions, read-only, from the packs and the files of this server. */
const DEFINITION_TYPES = ['CapabilityStatement', 'StructureDefinition', 'SearchParameter', 'OperationDefinition', 'ValueSet', 'CodeSystem', 'ConceptMap'] as const;

export type GatedType = (typeof GATED_TYPES)[number];
export type DirectoryType = (typeof DIRECTORY_TYPES)[number];

const gated: ReadonlySet<string> = new Set(GATED_TYPES);
const definitions: ReadonlySet<string> = new Set(DEFINITION_TYPES);

export const isGated = (type: string): boolean => gated.has(type);
export const isStored = (type: string): boolean => gated.has(type) || (DIRECTORY_TYPES as readonly string[]).includes(type);
export const isDefinition = (type: string): boolean => definitions.has(type);

/** https://hl7.org/fhir/R4/datatypes.html#id */
export const ID = /^[A-Za-z0-9\-.]{1,64}$/;

/** The world that a program may not take from the air: time, ids, randomness. */
export type World = {
  /** Milliseconds since 1970-01-01T00:00:00Z. */
  now(): number;
  /** A fresh logical id, unguessable outside tests. */
  newId(): string;
};

/** An instant in the form that this server writes: UTC, milliseconds. */
export const instant = (ms: number): string => new Date(ms).toISOString();

export const asArray = <T>(x: T | T[] | undefined | null): T[] => (x === undefined || x === null ? [] : Array.isArray(x) ? x : [x]);

/** A copy whose objects are its own; texts, which never change, are shared. */
export function cloned<T>(x: T): T {
  if (Array.isArray(x)) return x.map(cloned) as T;
  if (x === null || typeof x !== 'object') return x;
  const out: Json = {};
  for (const k of Object.keys(x)) out[k] = cloned((x as Json)[k]);
  return out as T;
}
