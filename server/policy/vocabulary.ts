// Codes that decisions read. facts 1.9, 2, 3, 5, 6.
import { asArray, type Json } from '../fhir/types.ts';

const NOS = 'https://mos.esante.gouv.fr/NOS';
export const A03 = `${NOS}/TRE_A03-ClasseDocument/FHIR/TRE-A03-ClasseDocument`;
export const A05 = `${NOS}/TRE_A05-TypeDocComplementaire/FHIR/TRE-A05-TypeDocComplementaire`;
export const A07 = `${NOS}/TRE_A07-StatutVisibiliteDocument/FHIR/TRE-A07-StatutVisibiliteDocument`;
export const A08 = `${NOS}/TRE_A08-HL7Confidentiality/FHIR/TRE-A08-HL7Confidentiality`;
export const G15 = `${NOS}/TRE_G15-ProfessionSante/FHIR/TRE-G15-ProfessionSante`;
export const R02 = `${NOS}/TRE_R02-SecteurActivite/FHIR/TRE-R02-SecteurActivite`;
export const R38 = `${NOS}/TRE_R38-SpecialiteOrdinale/FHIR/TRE-R38-SpecialiteOrdinale`;
export const R248 = `${NOS}/TRE_R248_ModeAcces/FHIR/TRE-R248-ModeAcces`;
export const LOINC = 'http://loinc.org';
export const CONFIDENTIALITY = 'http://terminology.hl7.org/CodeSystem/v3-Confidentiality';
export const ACT_CODE = 'http://terminology.hl7.org/CodeSystem/v3-ActCode';
export const ACT_REASON = 'http://terminology.hl7.org/CodeSystem/v3-ActReason';
export const CONSENT_ACTION = 'http://terminology.hl7.org/CodeSystem/consentaction';
export const RESOURCE_TYPES = 'http://hl7.org/fhir/resource-types';
export const CONSENT_SCOPE = 'http://terminology.hl7.org/CodeSystem/consentscope';
export const RPPS = 'https://rpps.esante.gouv.fr';
/** The INS: NIR and NIA, then those of tests and demonstrations. */
export const INS = new Set(['8', '9', '10', '11'].map((n) => `urn:oid:1.2.250.1.213.1.4.${n}`));
export const IDNPS = 'urn:oid:1.2.250.1.71.4.2.1';
export const FINESS = 'https://finess.esante.gouv.fr';
export const IS_ARCHIVED = 'https://interop.esante.gouv.fr/ig/fhir/pdsm/StructureDefinition/pdsm-ext-is-archived';
/** Root of this server's own canonicals. */
export const OWN = 'https://fhir.dmp.example';

const OIDS: Record<string, string> = {
  'urn:oid:1.2.250.1.213.1.1.4.13': A07,
  'urn:oid:2.16.840.1.113883.5.25': CONFIDENTIALITY,
  'urn:oid:1.2.250.1.213.1.1.4.12': A05,
  'urn:oid:1.2.250.1.213.1.1.4.1': A03,
  'urn:oid:2.16.840.1.113883.6.1': LOINC,
};

/** The one URL of a code system that is also known by its OID. */
const systemOf = (system: unknown): string => (typeof system === 'string' ? (OIDS[system] ?? system) : '');

export type Coding = { system: string; code: string };

/** All codings of CodeableConcepts or Codings, systems canonical. */
export const codings = (x: unknown): Coding[] =>
  asArray<Json>(x as Json).flatMap((c) => (c?.coding ? asArray<Json>(c.coding) : c ? [c] : [])).filter((c) => typeof c?.code === 'string').map((c) => ({ system: systemOf(c.system), code: c.code }));

export type Labels = { maskPs: boolean; hiddenFromPatient: boolean; invRep: boolean; /** 0 N, 1 R, 2 V. */ conf: number };

/** securityLabel in either vocabulary (R6). An unknown confidentiality code is very restricted. */
export function labelsOf(resource: Json): Labels {
  const l: Labels = { maskPs: false, hiddenFromPatient: false, invRep: false, conf: 0 };
  for (const { system, code } of codings(resource.securityLabel)) {
    if (system === A07 && code === 'MASQUE_PS') l.maskPs = true;
    if (system === A07 && code === 'INVISIBLE_PATIENT') l.hiddenFromPatient = true;
    if (system === ACT_CODE && code === 'NOPAT') l.hiddenFromPatient = true;
    if (system === A07 && code === 'INVISIBLE_REPRESENTANTS_LEGAUX') l.invRep = true;
    if (system === A08 || system === CONFIDENTIALITY) l.conf = Math.max(l.conf, confidentiality(code));
  }
  return l;
}

/** High-water mark: U, L, M, N are no more than normal; R; V and unknown codes are the highest. */
export const confidentiality = (code: string): number => (['U', 'L', 'M', 'N'].includes(code) ? 0 : code === 'R' ? 1 : 2);

/** Purposes under a purpose, itself included: v3-ActReason as far as reading a document needs it. */
const PURPOSE_TREE: Record<string, string[]> = {
  TREAT: ['TREAT', 'CLINTRCH', 'COC', 'CAREMGT', 'ETREAT', 'BTG', 'ERTREAT', 'POPHLTH'],
  ETREAT: ['ETREAT', 'BTG', 'ERTREAT'],
};
export const purposeCovers = (code: string, asked: string): boolean => (PURPOSE_TREE[code] ?? [code]).includes(asked);
