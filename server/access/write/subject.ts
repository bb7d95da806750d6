// The patient whose record a write concerns: held before, by reference or by INS alone (T4; hospitals do not know our ids).
import * as errors from '../../fhir/errors.ts';
import type { Json } from '../../fhir/types.ts';
import { relativeReference } from '../../fhir/reference.ts';
import * as keys from '../../search/keys.ts';
import { term } from '../../store/plan.ts';
import type { Records } from '../records.ts';

const noPatient = (expression: string) => new errors.FhirError(422, [{ severity: 'error', code: 'not-found', reason: 'no-patient', text: 'The subject names no Patient that is held here.', expression: [expression] }]);

/** Logical id of the Patient; `holder` is rewritten to a literal reference where an identifier named it. */
export async function patientOfSubject(records: Records, expression: string, holder: Json | undefined): Promise<string> {
  const { deps, gate } = records;
  if (!holder) throw errors.businessRule('A subject is needed: the record that the resource belongs to.', [expression], 'required');
  const ref = relativeReference(holder.reference, deps.base);
  if (ref?.startsWith('Patient/')) {
    const id = ref.slice('Patient/'.length);
    const row = await gate.before(ref, () => deps.store.read('Patient', id));
    if (!row || row.deleted || !(await gate.patientVisible(id))) throw noPatient(expression);
    holder.reference = ref;
    return id;
  }
  const i = holder.identifier;
  if (holder.reference === undefined && i?.system && i.value) {
    const ids = await deps.store.ids('Patient', term(keys.tokenKey(keys.paramKey('Patient', 'identifier'), i.system, i.value)));
    const seen: string[] = [];
    for (const id of ids) if (await gate.patientVisible(id)) seen.push(id);
    if (seen.length === 1) {
      holder.reference = `Patient/${seen[0]}`;
      return seen[0];
    }
  }
  throw noPatient(expression);
}
