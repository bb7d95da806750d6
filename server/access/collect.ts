// Several searches in one answer, each gated like all else: the summary sheet, the export of a record.
import type { Json } from '../fhir/types.ts';
import { relativeReference } from '../fhir/reference.ts';
import { asArray } from '../fhir/types.ts';
import { parseQuery } from '../search/query.ts';
import type { Records, View } from './records.ts';
import { search } from './search.ts';

/** Views of a search's matches, at most `limit`. */
export async function found(records: Records, type: string, params: [string, string][], limit: number): Promise<View[]> {
  const page = await search(records, parseQuery(type, [...params, ['_count', String(limit)], ['_total', 'none']], true));
  return page.matches;
}

/** All matches of a search, page after page. */
async function all(records: Records, type: string, params: [string, string][]): Promise<View[]> {
  const out: View[] = [];
  const asked: [string, string][] = [...params, ['_count', '200'], ['_total', 'none']];
  for (let cursor: string | undefined; ; ) {
    const page = await search(records, parseQuery(type, cursor === undefined ? asked : [...asked, ['_cursor', cursor]], true));
    out.push(...page.matches);
    if (page.next === undefined) return out;
    cursor = page.next;
  }
}

export type File = { binary: View; document: Json; title: string; contentType: string };

/** Everything of a record that the caller sees, and the contents of its documents. */
export async function wholeRecord(records: Records, patient: View): Promise<{ views: View[]; files: File[] }> {
  const named: [string, string][] = [['patient', patient.id]];
  const documents = await all(records, 'DocumentReference', named);
  const views = [patient, ...(await all(records, 'RelatedPerson', named)), ...(await all(records, 'Consent', named)), ...documents, ...(await all(records, 'List', named))];
  const files: File[] = [];
  for (const d of documents) {
    const document = JSON.parse(d.text) as Json;
    for (const c of asArray<Json>(document.content)) {
      const ref = relativeReference(c.attachment?.url, records.deps.base);
      if (!ref?.startsWith('Binary/')) continue;
      const binary = await records.read('Binary', ref.slice('Binary/'.length));
      files.push({ binary, document, title: c.attachment.title ?? document.description ?? document.type?.coding?.[0]?.display ?? 'document', contentType: String(c.attachment.contentType ?? 'application/octet-stream') });
    }
  }
  return { views, files };
}
