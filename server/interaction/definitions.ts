// Definitions: read-only, by id or canonical URL (T2).
import * as errors from '../fhir/errors.ts';
import type { Json } from '../fhir/types.ts';
import type { Context, Request, Response } from './context.ts';
import { shaped, shapeOf } from './respond.ts';

export async function definitionRead(ctx: Context, type: string, id: string, req: Request): Promise<Response> {
  const d = ctx.services.definition(type, id);
  if (!d) throw errors.notFound(type, id);
  return { status: 200, headers: {}, text: shaped(JSON.stringify(d), shapeOf(req.query)) };
}

const MATCHED = ['url', '_id', 'name', 'version', 'status', 'type', 'base', 'code', 'kind'];

/** Search by the parameters that definitions are looked for by; the rest is refused. */
export async function definitionSearch(ctx: Context, type: string, params: [string, string][]): Promise<Response> {
  let found = ctx.services.definitions(type);
  let count = 50;
  let offset = 0;
  for (const [name, value] of params) {
    if (name === '_count') count = Math.min(Number(value) || 0, ctx.settings.limits.count);
    else if (name === '_offset') offset = Number(value) || 0;
    else if (MATCHED.includes(name)) found = found.filter((d) => value.split(',').some((v) => [d[name === '_id' ? 'id' : name]].flat().some((x) => (name === 'name' ? String(x).toLowerCase().startsWith(v.toLowerCase()) : x === v))));
    else if (!name.startsWith('_')) throw errors.unsupportedParameter(`The search parameter \`${name.slice(0, 64)}\` is not known for ${type}.`);
  }
  const page = found.slice(offset, offset + count);
  const rest = new URLSearchParams(params.filter(([n]) => n !== '_offset'));
  const link: Json[] = [{ relation: 'self', url: `${ctx.settings.base}/${type}?${new URLSearchParams(params)}` }];
  if (offset + count < found.length && count > 0) link.push({ relation: 'next', url: `${ctx.settings.base}/${type}?${rest}&_offset=${offset + count}` });
  return { status: 200, headers: {}, resource: { resourceType: 'Bundle', type: 'searchset', total: found.length, link, ...(page.length ? { entry: page.map((d) => ({ fullUrl: `${ctx.settings.base}/${type}/${d.id}`, resource: d, search: { mode: 'match' } })) } : {}) } };
}
