// Patient/$dmp-status: whether a record exists and is open, and of the caller alone: authorised or not, MT or not (T6).
import { statusOf } from '../access/status.ts';
import * as errors from '../fhir/errors.ts';
import type { Context, Request, Response } from './context.ts';

export async function dmpStatus(ctx: Context, { id }: { id?: string; req: Request }): Promise<Response> {
  ctx.records.requireScope('Patient', 'r');
  const view = await ctx.records.read('Patient', id as string);
  const s = await statusOf(ctx.records, view.id);
  if (ctx.ask.caller.roles.includes('auditor') || ctx.ask.caller.roles.includes('operator')) throw errors.forbidden('This role asks nothing about a record.');
  const parameter = [
    { name: 'exists', valueBoolean: s.state !== 'none' },
    { name: 'open', valueBoolean: s.state === 'open' },
    { name: 'status', valueCode: s.state },
    { name: 'authorised', valueBoolean: s.authorised },
    { name: 'treating', valueBoolean: s.treating },
  ];
  return { status: 200, headers: {}, resource: { resourceType: 'Parameters', parameter } };
}
