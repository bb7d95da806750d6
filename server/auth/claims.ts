// Claims → Caller, one mapping per issuer (C1, facts 5.4–5.6). What an issuer may assert is its configuration.
import { asArray, type Json } from '../fhir/types.ts';
import { ID } from '../fhir/types.ts';
import type { AccessMode, Caller, CallerKind, Role } from '../policy/caller.ts';
import type { IssuerConfig } from './issuers.ts';

/** Finds directory resources by identifiers that the registry wrote. */
export type Directory = {
  byIdentifier(type: 'Practitioner' | 'Organization' | 'Patient', system: string, value: string): Promise<string[]>;
  patientByIdentity(identity: { family: string; given: string; birthdate: string; gender?: string }): Promise<string[]>;
};

export class ClaimError extends Error {}

const fail = (text: string): never => {
  throw new ClaimError(text);
};

const KIND_OF: Record<string, CallerKind> = { Patient: 'patient', RelatedPerson: 'representative', Practitioner: 'professional', Device: 'system' };
const REFERENCE = /(?:^|\/)(Patient|RelatedPerson|Practitioner|Device)\/([A-Za-z0-9\-.]{1,64})$/;

function reference(x: unknown): { kind: CallerKind; ref: string } | undefined {
  const m = typeof x === 'string' ? REFERENCE.exec(x) : null;
  return m ? { kind: KIND_OF[m[1]], ref: `${m[1]}/${m[2]}` } : undefined;
}

const text = (x: unknown): string | undefined => (typeof x === 'string' && x.length > 0 && x.length <= 500 ? x : undefined);
const scopes = (c: Json): string[] => (typeof c.scope === 'string' ? c.scope.split(/\s+/) : asArray<string>(c.scp)).filter((s) => typeof s === 'string' && s.length > 0);

type Partial0 = Omit<Caller, 'issuer' | 'scopes' | 'client' | 'tokenId'>;

/** This server's own claims (development issuer, or an issuer that speaks them). */
function fromDmp(c: Json): Partial0 {
  const d = c.dmp as Json | undefined;
  const user = reference(c.fhirUser);
  if (!d || typeof d !== 'object') return fail('no dmp claim');
  const kind = d.kind as CallerKind;
  if (!['patient', 'representative', 'professional', 'system'].includes(kind)) return fail('no kind');
  if (user && user.kind !== kind) return fail('two kinds');
  if (!user && kind !== 'system') return fail('no fhirUser');
  return {
    kind, ref: user?.ref ?? `system:${text(d.system) ?? fail('no system')}`,
    organization: text(d.organization), sector: text(d.sector), profession: text(d.profession), specialty: text(d.specialty),
    mode: (text(d.mode) ?? 'normal') as AccessMode, reason: text(d.reason), roles: asArray<Role>(d.roles), secret: d.secret === true, name: text(c.name), launchPatient: text(c.patient),
  };
}

/** SMART: fhirUser and launch context. A professional's profession is the directory's affair, so it must be in the token all the same. */
function fromSmart(c: Json): Partial0 {
  const user = reference(c.fhirUser) ?? fail('no fhirUser');
  return { ...user, organization: text(c.organization), sector: text(c.sector), profession: text(c.profession), specialty: text(c.specialty), mode: 'normal', roles: [], launchPatient: text(c.patient), name: text(c.name) };
}

const before = (x: unknown): string | undefined => text(x)?.split('^')[0];

/** IHE IUA: extensions.ihe_iua. */
async function fromIua(c: Json, directory: Directory): Promise<Partial0> {
  const e = (c.extensions as Json | undefined)?.ihe_iua as Json | undefined;
  if (!e) return fail('no ihe_iua');
  const person = text(e.national_provider_identifier) ?? text(e.person_id) ?? text(c.sub);
  const ref = await one(directory.byIdentifier('Practitioner', 'urn:oid:1.2.250.1.71.4.2.1', person ?? ''), directory.byIdentifier('Practitioner', 'https://rpps.esante.gouv.fr', person ?? ''));
  const organization = text(e.subject_organization_id)?.replace(/^urn:oid:[\d.]+:?/, '');
  const roles = asArray<Json>(e.subject_role);
  const purposes = asArray<Json>(e.purpose_of_use).map((p) => p.code as string);
  const mode: AccessMode = purposes.includes('bris_de_glace') || purposes.includes('BTG') ? 'bris_de_glace' : purposes.includes('centre_15') ? 'centre_15' : 'normal';
  return {
    kind: 'professional', ref: `Practitioner/${ref ?? fail('no such Practitioner')}`,
    organization: await organizationOf(directory, organization), sector: roles.find((r) => /^SA\d+$/.test(String(r.code)))?.code, profession: roles.find((r) => /^\d\d$|^R9\d#/.test(String(r.code)))?.code, specialty: roles.find((r) => /^(SM|SI|CAPA|C)\d+/.test(String(r.code)))?.code,
    mode, reason: text(e.reason) ?? text(c.reason), roles: [], name: text(e.subject_name),
  };
}

async function one(...lookups: Promise<string[]>[]): Promise<string | undefined> {
  for (const l of lookups) {
    const ids = await l;
    if (ids.length === 1) return ids[0];
  }
  return undefined;
}

async function organizationOf(directory: Directory, value: string | undefined): Promise<string | undefined> {
  if (!value) return undefined;
  const plain = value.length > 9 && value.startsWith('1') ? value.slice(1) : value;
  const id = await one(directory.byIdentifier('Organization', 'https://finess.esante.gouv.fr', plain), directory.byIdentifier('Organization', 'urn:oid:1.2.250.1.71.4.2.2', value));
  return id && `Organization/${id}`;
}

/** Pro Santé Connect userinfo claims. */
async function fromPsc(c: Json, directory: Directory): Promise<Partial0> {
  const national = text(c.SubjectNameID) ?? text(c.preferred_username) ?? fail('no SubjectNameID');
  const id = await one(directory.byIdentifier('Practitioner', 'urn:oid:1.2.250.1.71.4.2.1', national), directory.byIdentifier('Practitioner', 'https://rpps.esante.gouv.fr', national.replace(/^8/, '')));
  const exercise = asArray<Json>((c.SubjectRefPro as Json | undefined)?.exercices)[0];
  const activity = asArray<Json>(exercise?.activities)[0];
  const regulation = c.Acces_Regulation_Medicale === 'VRAI';
  return {
    kind: 'professional', ref: `Practitioner/${id ?? fail('no such Practitioner')}`,
    organization: await organizationOf(directory, text(c.SubjectOrganizationID) ?? text(activity?.numeroFinessSite)),
    sector: before(c.Secteur_Activite) ?? text(activity?.codeSecteurDactivite), profession: before(asArray(c.SubjectRole)[0]) ?? text(exercise?.codeProfession), specialty: text(exercise?.codeSavoirFaire),
    mode: regulation ? 'centre_15' : text(c.Mode_Acces_Raison) ? 'bris_de_glace' : 'normal', reason: text(c.Mode_Acces_Raison), roles: [], name: [text(c.given_name), text(c.family_name)].filter(Boolean).join(' ') || undefined,
  };
}

/** FranceConnect: to a Patient by the identity that the registry wrote, only on one exact match. */
async function fromFranceConnect(c: Json, directory: Directory): Promise<Partial0> {
  const identity = { family: text(c.family_name) ?? fail('no family_name'), given: text(c.given_name) ?? fail('no given_name'), birthdate: text(c.birthdate) ?? fail('no birthdate'), gender: text(c.gender) };
  const ids = await directory.patientByIdentity(identity);
  if (ids.length !== 1) fail('not one Patient');
  return { kind: 'patient', ref: `Patient/${ids[0]}`, mode: 'normal', roles: [] };
}

/** A professional without profession, organisation and sector is refused; so is what the issuer may not assert (C1, C6). */
function check(p: Partial0, issuer: IssuerConfig): void {
  if (!issuer.kinds.includes(p.kind)) fail('kind not for this issuer');
  for (const r of p.roles) if (!issuer.roles?.includes(r)) fail('role not for this issuer');
  if (p.kind === 'professional' && (!p.profession || !p.organization || !p.sector)) fail('professional without profession, organisation and sector');
  if (p.kind === 'system' && (!p.organization || !p.sector)) fail('system without organisation and sector');
  if (p.organization && !/^Organization\/[A-Za-z0-9\-.]{1,64}$/.test(p.organization)) fail('organisation');
  if (!['normal', 'bris_de_glace', 'centre_15'].includes(p.mode)) fail('mode');
  if (p.mode !== 'normal') {
    if (p.kind !== 'professional' || !issuer.modes?.includes(p.mode)) fail('mode not for this issuer');
    if (p.mode === 'bris_de_glace' && !p.reason) fail('break-glass without a reason');
  }
  if (p.launchPatient !== undefined && !ID.test(p.launchPatient)) fail('patient');
}

/** The Caller that verified claims state; throws ClaimError where they state none, or what the issuer may not. */
export async function callerFrom(claims: Json, issuer: IssuerConfig, directory: Directory): Promise<Caller> {
  const p = issuer.mapping === 'dmp' ? fromDmp(claims) : issuer.mapping === 'smart' ? fromSmart(claims) : issuer.mapping === 'iua' ? await fromIua(claims, directory) : issuer.mapping === 'psc' ? await fromPsc(claims, directory) : await fromFranceConnect(claims, directory);
  check(p, issuer);
  return { ...p, scopes: scopes(claims), issuer: issuer.issuer, client: text(claims.client_id) ?? text(claims.azp), tokenId: text(claims.jti) };
}
