// How values become index keys: one place for both writing and asking.
import { createHash } from 'node:crypto';

const LONG = 200;

/** Two letters for each type keep keys short. */
const PREFIX: Record<string, string> = {
  Patient: 'PT', Practitioner: 'PR', PractitionerRole: 'RO', Organization: 'OR', RelatedPerson: 'RP', Device: 'DV',
  DocumentReference: 'DR', Binary: 'BI', List: 'LI', Consent: 'CO', AuditEvent: 'AE',
};

/** Cuts a long key and adds a hash, so that equality still tells. */
const cut = (key: string): string => (key.length <= LONG ? key : `${key.slice(0, LONG - 45)}#${createHash('sha256').update(key).digest('base64')}`);

export const paramKey = (type: string, code: string): string => `${PREFIX[type] ?? type}.${code}`;

/** Case and accents folded, punctuation as space: what a string search compares. https://hl7.org/fhir/R4/search.html#string */
export function fold(text: string): string {
  return text
    .normalize('NFKD')
    .replace(/\p{M}/gu, '')
    .replace(/[œŒ]/g, 'oe')
    .replace(/[æÆ]/g, 'ae')
    .toLowerCase()
    .replace(/[\s\p{P}]+/gu, ' ')
    .trim();
}

/** A coarse phonetic form for French names: silent endings and doubled letters dropped, like sounds joined. */
export function phonetic(text: string): string {
  return fold(text)
    .replace(/ph/g, 'f').replace(/(qu|ck|c(?=[aouklrt]|$)|k)/g, 'k').replace(/c(?=[eiy])/g, 's').replace(/(eau|au)/g, 'o')
    .replace(/[yj]/g, 'i').replace(/z/g, 's').replace(/h/g, '').replace(/(ai|ei|e)/g, 'e').replace(/an|en|am|em/g, 'an')
    .replace(/(.)\1+/g, '$1').replace(/[stdxpe]+( |$)/g, '$1');
}

// Shapes of keys. `p` is paramKey.
export const stringPrefix = (p: string): string => `${p}^`;
export const stringKey = (p: string, text: string): string => cut(`${p}^${fold(text)}`);
export const exactKey = (p: string, text: string): string => cut(`${p}!${text}`);
export const codeKey = (p: string, code: string): string => cut(`${p}#${code}`);
export const tokenKey = (p: string, system: string, code: string): string => cut(`${p}|${system}|${code}`);
export const systemPrefix = (p: string, system: string): string => `${p}|${system}|`;
export const textPrefix = (p: string): string => `${p}~`;
export const textKey = (p: string, text: string): string => cut(`${p}~${fold(text)}`);
export const ofTypeKey = (p: string, system: string, code: string, value: string): string => cut(`${p}%${system}|${code}|${value}`);
export const referenceKey = (p: string, target: string): string => cut(`${p}>${target}`);
export const identifierParam = (p: string): string => `${p}:id`;
export const uriKey = (p: string, uri: string): string => cut(`${p}=${uri}`);
export const compositeKey = (p: string, parts: string[]): string => cut(`${p}$${parts.join('$')}`);
/** Parameters of a contained resource that a reference names. */
export const containedParam = (p: string, type: string, code: string): string => `${p}.${type}.${code}`;
