// https://hl7.org/fhir/R4/http.html#read, #vread, #history
import { notFound } from '../fhir/errors.ts';
import { instant, type Json } from '../fhir/types.ts';
import { etag } from '../fhir/etag.ts';
import { invalidParameter } from '../fhir/errors.ts';
import { openCursor, sealCursor } from '../access/cursor.ts';
import type { Context, Request, Response } from './context.ts';
import { shapeOf, viewed } from './respond.ts';

/** Answers one resource that the caller may see. */
export async function read(ctx: Context, type: string, id: string, req: Request): Promise<Response> {
  return viewed(await ctx.records.read(type, id), req.headers, shapeOf(req.query));
}

/** Answers one version of it. */
export async function vread(ctx: Context, type: string, id: string, version: string, req: Request): Promise<Response> {
  return viewed(await ctx.records.readVersion(type, id, version), req.headers, shapeOf(req.query));
}

const METHODS: Record<string, string> = { POST: '201', PUT: '200', PATCH: '200', DELETE: '204' };

/** Answers the versions of one resource, newest first, paged. */
export async function historyInstance(ctx: Context, type: string, id: string, req: Request): Promise<Response> {
  const get = (n: string): string | undefined => req.query.find(([k]) => k === n)?.[1];
  const count = get('_count');
  if (count !== undefined && !/^\d+$/.test(count)) throw invalidParameter('`_count` is a number.');
  const limit = Math.max(1, Math.min(Number(count ?? 20), ctx.settings.limits.count));
  const who = `${ctx.ask.caller.ref}\nhistory\n${type}/${id}`;
  const cursor = get('_cursor');
  const before = cursor === undefined ? undefined : Number(openCursor(ctx.settings.cursorKey, who, cursor)[0]);
  const page = await ctx.records.history(type, id, before, limit + 1);
  if (!page.rows.length && before === undefined) throw notFound(type, id);
  const shown = page.rows.slice(0, limit);
  const self = `${ctx.settings.base}/${type}/${id}/_history`;
  const link: Json[] = [{ relation: 'self', url: self }];
  if (page.rows.length > limit) link.push({ relation: 'next', url: `${self}?_count=${limit}&_cursor=${sealCursor(ctx.settings.cursorKey, who, [shown[shown.length - 1].row.version])}` });
  const entry = shown.map(({ view, row }) => {
    const version = String(row.version);
    return {
      fullUrl: `${ctx.settings.base}/${type}/${id}`,
      ...(view ? { resource: JSON.parse(view.text) } : {}),
      request: { method: row.method, url: row.method === 'POST' ? type : `${type}/${id}` },
      response: { status: METHODS[row.method], etag: etag(version), lastModified: instant(row.updated) },
    };
  });
  return { status: 200, headers: {}, resource: { resourceType: 'Bundle', type: 'history', ...(page.rows.length <= limit && before === undefined ? { total: entry.length } : {}), link, ...(entry.length ? { entry } : {}) } };
}
