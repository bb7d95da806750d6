// References inside a Bundle: urn:uuid and fullUrl to the ids that the server gave. https://hl7.org/fhir/R4/http.html#transaction
import type { Json } from '../fhir/types.ts';

const CARRIERS = new Set(['reference', 'url', 'uri', 'valueUri', 'valueUrl', 'valueCanonical']);

/** Rewrites, in place, each reference that `target` knows. */
export function rewriteReferences(node: unknown, target: (text: string) => string | undefined): void {
  if (Array.isArray(node)) {
    for (const n of node) rewriteReferences(n, target);
    return;
  }
  if (node === null || typeof node !== 'object') return;
  const o = node as Json;
  for (const k of Object.keys(o)) {
    const v = o[k];
    if (typeof v === 'string') {
      if (!CARRIERS.has(k)) continue;
      const to = target(v);
      if (to !== undefined) o[k] = to;
    } else if (v !== null && typeof v === 'object') rewriteReferences(v, target);
  }
}

/** Conditional references (`Type?criteria`) in `reference`, each once. */
export function conditionalReferences(node: unknown, out = new Set<string>()): Set<string> {
  if (Array.isArray(node)) for (const n of node) conditionalReferences(n, out);
  else if (node !== null && typeof node === 'object') {
    const o = node as Json;
    if (typeof o.reference === 'string' && /^[A-Z][A-Za-z]+\?./.test(o.reference)) out.add(o.reference);
    for (const k of Object.keys(o)) if (o[k] !== null && typeof o[k] === 'object') conditionalReferences(o[k], out);
  }
  return out;
}
