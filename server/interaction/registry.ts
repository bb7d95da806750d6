// The registry's operations: DocumentReference/$move, Patient/$merge (C2), each traced in both records.
import { mergePatients, moveDocument } from '../access/move.ts';
import * as errors from '../fhir/errors.ts';
import { relativeReference } from '../fhir/reference.ts';
import type { Context, Request, Response } from './context.ts';
import { parametersIn } from './parameters.ts';

function registryOnly(ctx: Context): void {
  if (!ctx.ask.caller.roles.includes('registry')) throw errors.forbidden('Records are corrected by the registry.', 'registry-only');
}

function target(ctx: Context, req: Request, name: string): string {
  const ref = relativeReference(parametersIn(req)(name), ctx.settings.base);
  if (!ref?.startsWith('Patient/')) throw errors.invalidParameter(`\`${name}\` is a reference to a Patient.`);
  return ref.slice('Patient/'.length);
}

const moved = (n: number): Response => ({ status: 200, headers: {}, resource: { resourceType: 'Parameters', parameter: [{ name: 'moved', valueInteger: n }] } });

export async function move(ctx: Context, { id, req }: { id?: string; req: Request }): Promise<Response> {
  registryOnly(ctx);
  ctx.records.requireScope('DocumentReference', 'u');
  return moved((await moveDocument(ctx.records, id as string, target(ctx, req, 'patient'))).moved);
}

export async function merge(ctx: Context, { id, req }: { id?: string; req: Request }): Promise<Response> {
  registryOnly(ctx);
  ctx.records.requireScope('Patient', 'u');
  return moved((await mergePatients(ctx.records, id as string, target(ctx, req, 'target'))).moved);
}
