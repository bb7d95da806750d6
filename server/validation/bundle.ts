// What a Bundle's entries say of each other, beyond its invariants. https://hl7.org/fhir/R4/bundle.html
import type { Issue } from '../fhir/errors.ts';
import { eachReference } from '../fhir/reference.ts';
import { asArray, type Json, type Resource } from '../fhir/types.ts';

const fault = (path: string, code: string, reason: string, text: string): Issue => ({ severity: 'error', code, reason, text, expression: [path] });

function linkIssues(bundle: Json): Issue[] {
  const seen = new Set<string>();
  return asArray<Json>(bundle.link).flatMap((l, i) => {
    const again = seen.has(l?.relation);
    seen.add(l?.relation);
    return again ? [fault(`Bundle.link[${i}]`, 'invalid', 'link-twice', `The link \`${String(l.relation).slice(0, 64)}\` stands twice.`)] : [];
  });
}

const RESTFUL = /^https?:\/\/.+\/([A-Z][A-Za-z]+)\/([A-Za-z0-9\-.]{1,64})$/;

function entryIssues(bundle: Json): Issue[] {
  return asArray<Json>(bundle.entry).flatMap((e, i) => {
    const at = `Bundle.entry[${i}]`;
    const r = e?.resource as Json | undefined;
    if (!r) return [];
    const out: Issue[] = [];
    if (bundle.type === 'searchset' && e.search?.mode !== 'outcome' && r.id === undefined && r.resourceType !== 'OperationOutcome') out.push(fault(`${at}.resource`, 'invalid', 'match-without-id', 'A resource found by a search has an id.'));
    const m = RESTFUL.exec(String(e.fullUrl ?? ''));
    if (m && r.id !== undefined && m[1] === r.resourceType && m[2] !== r.id) out.push(fault(`${at}.fullUrl`, 'invalid', 'full-url', 'The fullUrl and the id of the resource differ.'));
    return out;
  });
}

/** In a document, a reference leads to exactly one entry: a version that is there, or the only one. */
function documentIssues(bundle: Json): Issue[] {
  if (bundle.type !== 'document') return [];
  const versions = new Map<string, (string | undefined)[]>();
  for (const e of asArray<Json>(bundle.entry)) if (e?.resource?.id) {
    const key = `${e.resource.resourceType}/${e.resource.id}`;
    versions.set(key, [...(versions.get(key) ?? []), e.resource.meta?.versionId]);
  }
  const out: Issue[] = [];
  for (const [i, e] of asArray<Json>(bundle.entry).entries()) {
    eachReference(e?.resource, (holder, path) => {
      const m = /^([A-Z][A-Za-z]+\/[A-Za-z0-9\-.]{1,64})(?:\/_history\/([A-Za-z0-9\-.]{1,64}))?$/.exec(String(holder.reference));
      const known = m && versions.get(m[1]);
      if (!m || !known) return;
      const at = `Bundle.entry[${i}].resource.${path}`;
      if (m[2] !== undefined && !known.includes(m[2])) out.push(fault(at, 'invalid', 'version-not-there', 'The version that the reference names is not in the document.'));
      if (m[2] === undefined && known.length > 1) out.push(fault(at, 'invalid', 'ambiguous-reference', 'The reference names several versions in the document.'));
    });
  }
  return out;
}

export const bundleIssues = (resource: Resource): Issue[] => (resource.resourceType === 'Bundle' ? [...linkIssues(resource), ...entryIssues(resource), ...documentIssues(resource)] : []);
