// References of what is written: to gated types only what the writer sees, or what the same commit brings (S1).
import * as errors from '../../fhir/errors.ts';
import { eachReference, relativeReference } from '../../fhir/reference.ts';
import type { Resource } from '../../fhir/types.ts';
import type { Records } from '../records.ts';
import type { Siblings } from './change.ts';

const GATED = /^(DocumentReference|List|Binary)\//;

/** Refuses a reference to a DocumentReference, List or Binary that does not exist for the caller. */
export async function checkGatedReferences(records: Records, resource: Resource, siblings: Siblings, known: Set<string> = new Set()): Promise<void> {
  const asked: { ref: string; path: string }[] = [];
  eachReference(resource, (holder, path) => {
    const ref = relativeReference(holder.reference, records.deps.base);
    if (ref && GATED.test(ref) && !siblings.has(ref) && !known.has(ref)) asked.push({ ref, path });
  });
  for (const { ref, path } of asked) {
    const [type, id] = ref.split('/');
    const row = await records.deps.store.read(type, id);
    if (!row || row.deleted || !(await records.visible(row))) throw referenceNotFound(ref, `${resource.resourceType}.${path}`);
  }
}

export const referenceNotFound = (ref: string, expression: string): errors.FhirError =>
  new errors.FhirError(422, [{ severity: 'error', code: 'not-found', reason: 'reference-not-found', text: `The reference \`${ref}\` names nothing here.`, expression: [expression] }]);
