// A Consent → what it says, read once. R1–R5; https://hl7.org/fhir/R4/consent.html; IHE PCF.
import { addMonths, FOREVER, interval, periodInterval } from '../fhir/dates.ts';
import { relativeReference } from '../fhir/reference.ts';
import { asArray, type Json } from '../fhir/types.ts';
import { all, type Condition, TRUE } from './condition.ts';
import { A03, A05, ACT_CODE, ACT_REASON, A07, A08, codings, confidentiality, CONFIDENTIALITY, CONSENT_ACTION, CONSENT_SCOPE, G15, LOINC, OWN, purposeCovers, RESOURCE_TYPES } from './vocabulary.ts';

const CONSENT_KINDS = ['opening', 'opposition', 'closing', 'authorisation', 'block', 'emergency-opposition', 'regulation-opposition'] as const;
export type ConsentKind = (typeof CONSENT_KINDS)[number];
export const consentProfile = (kind: ConsentKind): string => `${OWN}/StructureDefinition/dmp-consent-${kind}`;
const KIND_BY_PROFILE = new Map<string, ConsentKind>(CONSENT_KINDS.map((k) => [consentProfile(k), k]));

export type Actor = { is: 'practitioner' | 'organization' | 'profession'; ref: string } | { is: 'role'; practitioner: string; organization: string } | { is: 'nobody-here' };

export type Provision = {
  type: 'permit' | 'deny' | undefined;
  /** Undefined: anyone. */
  actors: Actor[] | undefined;
  /** v3-ActReason codes; undefined: any. */
  purposes: string[] | undefined;
  /** False where `action` leaves reading out. */
  reads: boolean;
  window: { lo: number; hi: number };
  document: Condition;
  /** R3: why a restricting element could not be understood. */
  unclear: string[];
  nested: Provision[];
};

export type CompiledConsent = {
  id: string;
  kind: ConsentKind | undefined;
  active: boolean;
  /** The earlier of `dateTime` and first reception (R4), ms. */
  since: number;
  base: 'permit' | 'deny' | undefined;
  root: Provision;
  /** W6: written by a professional or system for themselves. */
  selfRecorded: boolean;
  /** Ids of single documents that it names (S8). */
  names: string[];
  /** Whether this Consent is about privacy at all. */
  privacy: boolean;
};

/** What the server knows of a stored Consent beside its text. */
export type StoredConsent = { id: string; resource: Json; received: number; selfRecorded: boolean; /** PractitionerRole/x → its two references; undefined where broken. */ roles: Record<string, { practitioner?: string; organization?: string } | undefined> };

const READING = new Set(['access', 'use', 'disclose']);
const KNOWN_ACTIONS = new Set(['collect', 'access', 'use', 'disclose', 'correct']);

function actor(a: Json, roles: StoredConsent['roles'], unclear: string[]): Actor {
  const text = a.reference?.reference;
  const identifier = a.reference?.identifier;
  const ref = relativeReference(text);
  const type = ref?.split('/')[0];
  if (type === 'Practitioner') return { is: 'practitioner', ref: ref as string };
  if (type === 'Organization') return { is: 'organization', ref: ref as string };
  if (type === 'PractitionerRole') {
    const role = roles[ref as string];
    if (role?.practitioner && role.organization) return { is: 'role', practitioner: role.practitioner, organization: role.organization };
  }
  if (type === 'Patient' || type === 'RelatedPerson' || type === 'Device') return { is: 'nobody-here' };
  if (identifier?.system === G15 && typeof identifier.value === 'string') return { is: 'profession', ref: identifier.value };
  unclear.push(`actor ${text ?? identifier?.system ?? 'without reference'}`);
  return { is: 'nobody-here' };
}

function classCondition(list: unknown, unclear: string[]): Condition {
  const own = codings(list);
  const classes = own.filter((c) => c.system === A03);
  const types = own.filter((c) => c.system === LOINC || c.system === A05);
  for (const c of own) if (![A03, LOINC, A05, RESOURCE_TYPES].includes(c.system)) unclear.push(`class ${c.system}`);
  if (own.some((c) => c.system === RESOURCE_TYPES && c.code === 'DocumentReference')) return TRUE;
  const of: Condition[] = [];
  if (classes.length) of.push({ is: 'class', codes: classes });
  if (types.length) of.push({ is: 'type', codes: types });
  return of.length === 1 ? of[0] : of.length ? { is: 'or', of } : { is: 'false' };
}

function typeCondition(list: unknown, unclear: string[]): Condition {
  const own = codings(list);
  for (const c of own) if (c.system !== LOINC && c.system !== A05) unclear.push(`code ${c.system}`);
  return { is: 'type', codes: own };
}

/** High-water mark over confidentiality codes; sensitivity codes as they stand. */
function labelCondition(list: unknown, unclear: string[]): Condition {
  const own = codings(list);
  const levels = own.filter((c) => c.system === CONFIDENTIALITY || c.system === A08);
  const tags = own.filter((c) => c.system === ACT_CODE || c.system === A07);
  for (const c of own) if (!levels.includes(c) && !tags.includes(c)) unclear.push(`securityLabel ${c.system}`);
  const of: Condition[] = [];
  if (levels.length) of.push({ is: 'confidentiality', atMost: Math.max(...levels.map((c) => confidentiality(c.code))) });
  if (tags.length) of.push({ is: 'tag', codes: tags });
  return of.length === 1 ? of[0] : of.length ? { is: 'or', of } : { is: 'false' };
}

function dataCondition(list: Json[], unclear: string[]): Condition {
  const ids: string[] = [];
  const authors: string[] = [];
  for (const d of list) {
    const ref = relativeReference(d.reference?.reference);
    if (d.meaning === 'instance' && ref) {
      if (ref.startsWith('DocumentReference/')) ids.push(ref.slice('DocumentReference/'.length));
    } else if (d.meaning === 'authoredby' && ref) authors.push(ref);
    else unclear.push(`data ${d.meaning}`);
  }
  const of: Condition[] = [];
  if (ids.length) of.push({ is: 'document', ids });
  if (authors.length) of.push({ is: 'author', refs: authors });
  return of.length === 1 ? of[0] : of.length ? { is: 'or', of } : { is: 'false' };
}

function documentCondition(p: Json, unclear: string[]): Condition {
  const of: Condition[] = [];
  if (asArray(p.class).length) of.push(classCondition(p.class, unclear));
  if (asArray(p.code).length) of.push(typeCondition(p.code, unclear));
  if (asArray(p.securityLabel).length) of.push(labelCondition(p.securityLabel, unclear));
  if (p.dataPeriod) {
    const i = periodInterval(p.dataPeriod);
    if (i) of.push({ is: 'period', ...i });
    else unclear.push('dataPeriod');
  }
  if (asArray(p.data).length) of.push(dataCondition(asArray<Json>(p.data), unclear));
  return all(...of);
}

function purposes(p: Json, unclear: string[]): string[] | undefined {
  const own = codings(p.purpose);
  if (!asArray(p.purpose).length) return undefined;
  for (const c of own) if (c.system !== ACT_REASON) unclear.push(`purpose ${c.system}`);
  return own.filter((c) => c.system === ACT_REASON).map((c) => c.code);
}

function reads(p: Json, unclear: string[]): boolean {
  const own = codings(p.action);
  if (!own.length) return true;
  for (const c of own) if (c.system !== CONSENT_ACTION || !KNOWN_ACTIONS.has(c.code)) unclear.push(`action ${c.system}`);
  return own.some((c) => READING.has(c.code));
}

function provision(p: Json | undefined, roles: StoredConsent['roles'], depth = 0): Provision {
  const unclear: string[] = [];
  const window = p?.period ? periodInterval(p.period) : FOREVER;
  if (!window) unclear.push('period');
  const known = new Set(['id', 'extension', 'type', 'period', 'actor', 'action', 'securityLabel', 'purpose', 'class', 'code', 'dataPeriod', 'data', 'provision']);
  for (const k of Object.keys(p ?? {})) if (!known.has(k) && !k.startsWith('_')) unclear.push(k);
  if (depth > 8) unclear.push('depth');
  return {
    type: p?.type === 'permit' || p?.type === 'deny' ? p.type : undefined,
    actors: asArray(p?.actor).length ? asArray<Json>(p?.actor).map((a) => actor(a, roles, unclear)) : undefined,
    purposes: p ? purposes(p, unclear) : undefined,
    reads: p ? reads(p, unclear) : true,
    window: window ?? FOREVER,
    document: p ? documentCondition(p, unclear) : TRUE,
    unclear,
    nested: depth > 8 ? [] : asArray<Json>(p?.provision).map((n) => provision(n, roles, depth + 1)),
  };
}

function documentNames(p: Json | undefined): string[] {
  if (!p) return [];
  const own = asArray<Json>(p.data).map((d) => relativeReference(d.reference?.reference)).filter((r) => r?.startsWith('DocumentReference/')).map((r) => (r as string).slice('DocumentReference/'.length));
  return [...own, ...asArray<Json>(p.provision).flatMap(documentNames)];
}

const baseOf = (r: Json): CompiledConsent['base'] => {
  const codes = codings(r.policyRule).filter((c) => c.system === ACT_CODE).map((c) => c.code);
  if (codes.includes('OPTIN')) return 'deny';
  return codes.includes('OPTOUT') ? 'permit' : undefined;
};

export const kindOf = (r: Json): ConsentKind | undefined => asArray<string>(r.meta?.profile).map((p) => KIND_BY_PROFILE.get(String(p).split('|')[0])).find((k) => k !== undefined);

/** Reads a stored Consent. */
export function compileConsent(s: StoredConsent): CompiledConsent {
  const r = s.resource;
  const stated = interval(r.dateTime)?.lo ?? s.received;
  return {
    id: s.id,
    kind: kindOf(r),
    active: r.status === 'active',
    since: Math.min(stated, s.received),
    base: baseOf(r),
    root: provision(r.provision, s.roles),
    selfRecorded: s.selfRecorded,
    names: documentNames(r.provision),
    privacy: codings(r.scope).some((c) => c.system === CONSENT_SCOPE && c.code === 'patient-privacy'),
  };
}

/** In force (R2): active, privacy, now within the root's period. */
export const inForce = (c: CompiledConsent, now: number): boolean => c.active && c.privacy && now >= c.root.window.lo && now <= c.root.window.hi;

/** R5: an authorisation of a professional or organisation ends a year after it was given. */
export const yearEnd = (c: CompiledConsent): number => addMonths(c.since, 12);

export const MODE_PURPOSE = { normal: 'TREAT', bris_de_glace: 'BTG', centre_15: 'ETREAT' } as const;
export const coversPurpose = (purposes: string[] | undefined, mode: keyof typeof MODE_PURPOSE): boolean => purposes === undefined || purposes.some((p) => purposeCovers(p, MODE_PURPOSE[mode]));
