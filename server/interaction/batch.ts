// https://hl7.org/fhir/R4/http.html#batch: each entry stands alone, in order, with its own decision and its own events.
import { isIssue, parseEntries } from '../bundle/entries.ts';
import { FhirError, outcome } from '../fhir/errors.ts';
import type { Json, Resource } from '../fhir/types.ts';
import { failure } from './failure.ts';
import type { Context, Response } from './context.ts';
import { dispatch } from './dispatch.ts';

async function one(ctx: Context, e: ReturnType<typeof parseEntries>[number]): Promise<string> {
  const { services, ask } = ctx;
  try {
    if (isIssue(e)) throw new FhirError(e.reason === 'type-not-supported' ? 404 : 400, [e]);
    const headers = { ...e.headers, ...(ctx.strict ? { prefer: 'handling=strict' } : {}) };
    const r = await dispatch(services, { ...ask }, { method: e.method, path: e.path, query: e.query, headers, body: e.resource });
    const response: Json = { status: String(r.status), ...(r.headers.Location ? { location: r.headers.Location } : {}), ...(r.headers.ETag ? { etag: r.headers.ETag } : {}), ...(r.headers['Last-Modified'] ? { lastModified: new Date(r.headers['Last-Modified']).toISOString() } : {}) };
    const text = r.stream ? undefined : (r.text ?? (r.resource ? JSON.stringify(r.resource) : undefined));
    const shown = e.method === 'GET' || ctx.representation ? text : undefined;
    return `{${shown === undefined ? '' : `"resource":${shown},`}"response":${JSON.stringify(response)}}`;
  } catch (err) {
    const f = failure(err);
    return JSON.stringify({ response: { status: String(f.status), outcome: outcome(f.issues) } });
  }
}

export async function batch(ctx: Context, bundle: Resource): Promise<Response> {
  const out: string[] = [];
  for (const e of parseEntries(bundle, ctx.settings.base, ctx.settings.limits.entries)) out.push(await one(ctx, e));
  return { status: 200, headers: {}, text: `{"resourceType":"Bundle","type":"batch-response","entry":[${out.join(',')}]}` };
}
