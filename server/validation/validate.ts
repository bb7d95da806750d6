// Validation: the base type and its invariants; every issue in one go.
import type { Issue } from '../fhir/errors.ts';
import { asArray, type Json, type Resource } from '../fhir/types.ts';
import { validNin } from './identifiers.ts';
import { type Terminology, terminologyOf } from '../terminology/terms.ts';
import { type Checker, checkResource } from './structure.ts';

export type ValidatorOptions = { strictProfiles: boolean; production: boolean; terms?: Terminology };

const MAX_ISSUES = 100;
const INS = /^urn:oid:1\.2\.250\.1\.213\.1\.4\.(8|9|10|11)$/;

/** An INS identity that carries its key carries a right one (facts 2.4). */
function insIssues(resource: Resource): Issue[] {
  if (resource.resourceType !== 'Patient') return [];
  return asArray<Json>(resource.identifier).flatMap((id, i): Issue[] =>
    INS.test(String(id?.system)) && String(id.value).length === 15 && !validNin(String(id.value)) ? [{ severity: 'error', code: 'value', reason: 'ins-key', text: 'The key of this INS matricule is wrong.', expression: [`Patient.identifier[${i}].value`] }] : [],
  );
}

/** A validator; what it compiles, it compiles when a type is first met. */
export function validatorOf(options: ValidatorOptions): (resource: Resource, options?: { profile?: string; mode?: string }) => Issue[] {
  const terms = options.terms ?? terminologyOf(undefined);
  return (resource) => {
    const checker: Checker = { issues: [], terms, contained: new Map(), max: MAX_ISSUES };
    checkResource(checker, resource, String(resource.resourceType));
    checker.issues.push(...insIssues(resource));
    return checker.issues;
  };
}
