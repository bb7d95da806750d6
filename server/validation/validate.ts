// Validation: the base type and its invariants; every issue in one go.
import type { Issue } from '../fhir/errors.ts';
import type { Resource } from '../fhir/types.ts';
import { type Terminology, terminologyOf } from '../terminology/terms.ts';
import { type Checker, checkResource } from './structure.ts';

export type ValidatorOptions = { strictProfiles: boolean; production: boolean; terms?: Terminology };

const MAX_ISSUES = 100;

/** A validator; what it compiles, it compiles when a type is first met. */
export function validatorOf(options: ValidatorOptions): (resource: Resource, options?: { profile?: string; mode?: string }) => Issue[] {
  const terms = options.terms ?? terminologyOf(undefined);
  return (resource) => {
    const checker: Checker = { issues: [], terms, contained: new Map(), max: MAX_ISSUES };
    checkResource(checker, resource, String(resource.resourceType));
    return checker.issues;
  };
}
