// DocumentReference/$docref (International Patient Access): the documents of a patient, by dates and type.
// https://hl7.org/fhir/uv/ipa/OperationDefinition-docref.html
import * as errors from '../fhir/errors.ts';
import type { Context, Request, Response } from './context.ts';
import { parametersIn, valuesIn } from './parameters.ts';
import { searchType } from './search.ts';

const DATE = /^\d{4}(-\d{2}(-\d{2}(T.+)?)?)?$/;

export async function docref(ctx: Context, { req }: { req: Request }): Promise<Response> {
  const p = parametersIn(req);
  const patient = p('patient');
  if (patient === undefined) throw errors.invalidParameter('`patient` is needed.');
  if (p('on-demand') === 'true') throw new errors.FhirError(400, [{ severity: 'error', code: 'not-supported', reason: 'on-demand', text: 'Documents made on demand are not offered here.' }]);
  const query: [string, string][] = [['patient', patient.replace(/^Patient\//, '')]];
  for (const [name, prefix] of [['start', 'ge'], ['end', 'le']] as const) {
    const v = p(name);
    if (v === undefined) continue;
    if (!DATE.test(v)) throw errors.invalidParameter(`\`${name}\` is a date.`);
    query.push(['date', prefix + v]);
  }
  const types = valuesIn(req)('type');
  if (types.length) query.push(['type', types.join(',')]);
  for (const name of ['_count', '_cursor']) {
    const v = p(name);
    if (v !== undefined) query.push([name, v]);
  }
  return searchType(ctx, 'DocumentReference', query);
}
