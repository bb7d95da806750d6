// Any failure → an error that may be answered.
import { FhirError, internal, tooCostly, unavailable } from '../fhir/errors.ts';
import { Conflict, TooSlow, Unavailable } from '../store/port.ts';

/** What is not ours by design becomes 503 (store) or 500 (a fault), never more than that outside. */
export function failure(e: unknown): FhirError {
  if (e instanceof FhirError) return e;
  if (e instanceof Unavailable || e instanceof Conflict) return unavailable(e.message, e);
  if (e instanceof TooSlow) return tooCostly('The search took longer than this server allows; narrow it.');
  return internal(e);
}
