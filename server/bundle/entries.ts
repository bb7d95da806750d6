// A Bundle's entries → requests, checked before anything is done. https://hl7.org/fhir/R4/http.html#transaction
import * as errors from '../fhir/errors.ts';
import { asArray, isStored, type Json, type Resource } from '../fhir/types.ts';
import { ID } from '../fhir/types.ts';

export type Entry = {
  index: number;
  method: string;
  type: string;
  id?: string;
  /** `_history/1`, `$operation`, … for GET. */
  path: string;
  query: [string, string][];
  fullUrl?: string;
  resource?: Resource;
  headers: Record<string, string | undefined>;
};

const METHODS = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE']);

function parseEntry(e: Json, index: number, base: string): Entry | errors.Issue {
  const at = `Bundle.entry[${index}]`;
  const bad = (text: string, expression: string, code = 'invalid', reason = 'invalid'): errors.Issue => ({ severity: 'error', code, reason, text, expression: [expression] });
  const request = e.request;
  if (!request || !METHODS.has(request.method)) return bad('An entry has a `request` with a known `method`.', `${at}.request.method`, 'required', 'required');
  if (typeof request.url !== 'string' || !request.url) return bad('An entry has `request.url`.', `${at}.request.url`, 'required', 'required');
  const relative = request.url.startsWith(`${base}/`) ? request.url.slice(base.length + 1) : request.url.replace(/^\//, '');
  const [path, search] = relative.split(/\?(.*)/s);
  const [type, id] = path.split('/');
  if (!isStored(type) && !(request.method === 'GET' && (type === 'metadata' || /^[A-Z]/.test(type)))) return bad(`Resource type \`${String(type).slice(0, 64)}\` is not served here.`, `${at}.request.url`, 'not-supported', 'type-not-supported');
  if (id !== undefined && !ID.test(id) && !id.startsWith('$') && id !== '_search') return bad(`\`${id.slice(0, 64)}\` is no id.`, `${at}.request.url`);
  if (['POST', 'PUT', 'PATCH'].includes(request.method) && (e.resource === null || typeof e.resource !== 'object')) return bad('The entry has no `resource`.', `${at}.resource`, 'required', 'required');
  return {
    index, method: request.method, type, ...(id !== undefined ? { id } : {}), path, query: search ? [...new URLSearchParams(search)] : [],
    ...(typeof e.fullUrl === 'string' ? { fullUrl: e.fullUrl } : {}), ...(e.resource ? { resource: e.resource } : {}),
    headers: { 'if-match': request.ifMatch, 'if-none-match': request.ifNoneMatch, 'if-modified-since': request.ifModifiedSince, 'if-none-exist': request.ifNoneExist },
  };
}

export const isIssue = (x: Entry | errors.Issue): x is errors.Issue => 'severity' in x;

/** Every entry, or every entry's fault. */
export function parseEntries(bundle: Json, base: string, limit: number): (Entry | errors.Issue)[] {
  if (bundle.entry !== undefined && !Array.isArray(bundle.entry)) throw errors.malformed('`entry` is an array.', ['Bundle.entry']);
  const list = asArray<Json>(bundle.entry);
  if (list.length > limit) throw errors.tooLarge(`A Bundle holds at most ${limit} entries.`);
  return list.map((e, i) => parseEntry(e ?? {}, i, base));
}

/** Two entries for one resource, or one fullUrl twice: the order would decide, so neither is done. */
export function checkIdentities(entries: Entry[]): void {
  const seen = new Map<string, number>();
  const urls = new Set<string>();
  const issues: errors.Issue[] = [];
  for (const e of entries) {
    if (e.fullUrl !== undefined && e.method !== 'GET') {
      if (urls.has(e.fullUrl)) issues.push({ severity: 'error', code: 'duplicate', reason: 'duplicate-entry', text: `The fullUrl \`${e.fullUrl.slice(0, 100)}\` stands twice.`, expression: [`Bundle.entry[${e.index}].fullUrl`] });
      urls.add(e.fullUrl);
    }
    if (e.id === undefined || !['PUT', 'PATCH', 'DELETE'].includes(e.method)) continue;
    const ref = `${e.type}/${e.id}`;
    if (seen.has(ref)) issues.push({ severity: 'error', code: 'duplicate', reason: 'duplicate-entry', text: `Two entries are for \`${ref}\`.`, expression: [`Bundle.entry[${e.index}].request.url`] });
    seen.set(ref, e.index);
  }
  if (issues.length) throw new errors.FhirError(400, issues);
}
