// https://hl7.org/fhir/R4/resource-operation-validate.html
import * as errors from '../fhir/errors.ts';
import { asArray, type Json, type Resource } from '../fhir/types.ts';
import type { Context, Request, Response } from './context.ts';

const MODES = new Set(['create', 'update', 'delete', 'profile']);

/** Validates what is given, or the instance as stored; answers 200 with every issue. */
export async function validateOperation(ctx: Context, { type, id, req }: { type?: string; id?: string; req: Request }): Promise<Response> {
  const body = req.body;
  const parameter = (name: string): Json | undefined => asArray<Json>(body?.parameter).find((p) => p.name === name);
  const inParameters = body?.resourceType === 'Parameters';
  const get = (n: string): string | undefined => req.query.find(([k]) => k === n)?.[1];
  const profile = get('profile') ?? (inParameters ? (parameter('profile')?.valueUri ?? parameter('profile')?.valueCanonical) : undefined);
  const mode = get('mode') ?? (inParameters ? parameter('mode')?.valueCode : undefined);
  if (mode !== undefined && !MODES.has(mode)) throw errors.invalidParameter('`mode` is one of create, update, delete, profile.');
  let resource = (inParameters ? parameter('resource')?.resource : body) as Resource | undefined;
  if (!resource && id !== undefined && type !== undefined) resource = JSON.parse((await ctx.records.read(type, id)).text);
  if (mode === 'delete' && !resource) return { status: 200, headers: {}, resource: errors.outcome([{ severity: 'information', code: 'informational', reason: 'valid', text: 'Nothing stands against it in form.' }]) };
  if (!resource) throw errors.malformed('A resource to validate is expected, in the body or as the parameter `resource`.');
  if (type !== undefined && resource.resourceType !== type) throw errors.invalid(`The resource is a \`${String(resource.resourceType).slice(0, 64)}\`; the address says \`${type}\`.`, ['resourceType']);
  const issues = ctx.services.validate(resource, { profile, mode: mode === 'profile' ? undefined : (mode as 'create' | undefined) });
  return { status: 200, headers: {}, resource: errors.outcome(issues.length ? issues : [{ severity: 'information', code: 'informational', reason: 'valid', text: 'The resource is valid.' }]) };
}
