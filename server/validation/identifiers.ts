// French identifiers: the INS with its key, RPPS, FINESS, ADELI (facts 2.4, 2.5).
import type { Issue } from '../fhir/errors.ts';
import { asArray, type Json, type Resource } from '../fhir/types.ts';
import { FINESS, INS, RPPS } from '../policy/vocabulary.ts';

/** Key of a 13-character NIR or NIA: 97 − (N mod 97), Corsica's 2A and 2B read as 19 and 18. */
export function ninKey(body: string): string {
  const digits = body.slice(0, 5) + body.slice(5, 7).replace('2A', '19').replace('2B', '18') + body.slice(7);
  return String(97n - (BigInt(digits) % 97n)).padStart(2, '0');
}

const FORM = /^[1-478]\d{4}(\d{2}|2[AB])\d{6}\d{2}$/;

/** A matricule with its key, valid. */
const validNin = (value: string): boolean => FORM.test(value) && ninKey(value.slice(0, 13)) === value.slice(13);

/** Luhn's check, which RPPS numbers and FINESS numbers pass. */
function luhn(value: string): boolean {
  let sum = 0;
  for (let i = 0; i < value.length; i++) {
    let d = Number(value[value.length - 1 - i]);
    if (i % 2 === 1) d = d * 2 > 9 ? d * 2 - 9 : d * 2;
    sum += d;
  }
  return /^\d+$/.test(value) && sum % 10 === 0;
}

/** Adds the digit that makes Luhn's check hold. */
export function withLuhn(body: string): string {
  for (let d = 0; d < 10; d++) if (luhn(body + d)) return body + d;
  return body;
}

type Rule = { types: string[]; systems: Set<string>; reason: string; text: string; ok: (value: string) => boolean };

const RULES: Rule[] = [
  { types: ['Patient'], systems: INS, reason: 'ins-key', text: 'The key of this INS matricule is wrong.', ok: (v) => v.length !== 15 || validNin(v) },
  { types: ['Practitioner'], systems: new Set([RPPS]), reason: 'rpps', text: 'An RPPS number has 11 digits.', ok: (v) => /^\d{11}$/.test(v) },
  { types: ['Organization'], systems: new Set([FINESS]), reason: 'finess', text: 'A FINESS number has 9 characters, Corsica with a letter.', ok: (v) => /^\d[\dAB]\d{7}$/.test(v) },
];

/** What is wrong with the identifiers of a resource. Test and demonstration identities are for outside production. */
export function identifierIssues(resource: Resource, production: boolean): Issue[] {
  const out: Issue[] = [];
  for (const [i, id] of asArray<Json>(resource.identifier).entries()) {
    const system = String(id?.system);
    const value = String(id?.value ?? '');
    const expression = [`${resource.resourceType}.identifier[${i}].value`];
    for (const r of RULES) if (value && r.types.includes(resource.resourceType) && r.systems.has(system) && !r.ok(value)) out.push({ severity: 'error', code: 'value', reason: r.reason, text: r.text, expression });
    if (production && resource.resourceType === 'Patient' && /\.(10|11)$/.test(system) && INS.has(system)) out.push({ severity: 'error', code: 'business-rule', reason: 'ins-test', text: 'A test or demonstration identity is not taken in production.', expression });
  }
  return out;
}
