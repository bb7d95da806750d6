// The in-parameters of an operation, from the query or from a Parameters resource. https://hl7.org/fhir/R4/operations.html#request
import { asArray, type Json } from '../fhir/types.ts';
import type { Request } from './context.ts';

const VALUE = /^value[A-Z]/;

function text(v: unknown): string | undefined {
  if (v === null || v === undefined) return undefined;
  if (typeof v !== 'object') return String(v);
  const o = v as Json;
  return o.reference ?? (o.code !== undefined ? `${o.system ? `${o.system}|` : ''}${o.code}` : undefined);
}

/** All values of a parameter by name, as texts. */
export function valuesIn(req: Request): (name: string) => string[] {
  const body = req.body?.resourceType === 'Parameters' ? asArray<Json>(req.body.parameter) : [];
  return (name) => [
    ...req.query.filter(([k]) => k === name).map(([, v]) => v),
    ...body.filter((p) => p?.name === name).map((p) => text(p[Object.keys(p).find((k) => VALUE.test(k)) ?? ''])).filter((v): v is string => v !== undefined),
  ];
}

/** The first value of a parameter by name. */
export function parametersIn(req: Request): (name: string) => string | undefined {
  const values = valuesIn(req);
  return (name) => values(name)[0];
}

/** A resource given as a parameter of a Parameters body. */
export const resourceIn = (req: Request, name: string): Json | undefined => (req.body?.resourceType === 'Parameters' ? asArray<Json>(req.body.parameter).find((p) => p?.name === name)?.resource : undefined);
