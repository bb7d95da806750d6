// Patient/$erase-record: explicit erasure, by the patient or the representative of one who cannot ask (R1111-36: within three months; here at once).
import { eraseRecord } from '../access/lifecycle.ts';
import * as errors from '../fhir/errors.ts';
import { isHolder, represents } from '../policy/decide.ts';
import type { Context, Request, Response } from './context.ts';
import { parametersIn } from './parameters.ts';

export async function eraseRecordOperation(ctx: Context, { id, req }: { id?: string; req: Request }): Promise<Response> {
  ctx.records.requireScope('DocumentReference', 'd');
  const patient = (await ctx.records.read('Patient', id as string)).id;
  const facts = await ctx.records.gate.facts(patient);
  const { caller, now } = ctx.ask;
  const minor = facts.majority !== undefined && now < facts.majority;
  if (!(isHolder(caller, facts) && !minor) && !represents(caller, facts, now)) throw errors.forbidden('A record is erased at the request of the patient or the representative.', 'not-entitled');
  if (parametersIn(req)('confirm') !== 'erase') throw errors.invalidParameter('`confirm` is `erase`: nothing of the documents can be brought back.');
  const n = await eraseRecord(ctx.records.deps, patient, caller, ctx.ask.requestId);
  return { status: 200, headers: {}, resource: { resourceType: 'Parameters', parameter: [{ name: 'erased', valueInteger: n }] } };
}
