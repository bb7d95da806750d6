// Reference texts. https://hl7.org/fhir/R4/references.html
import { ID } from './types.ts';

export type LocalReference = { type: string; id: string; version?: string };

const RELATIVE = /^([A-Z][A-Za-z]+)\/([A-Za-z0-9\-.]{1,64})(?:\/_history\/([A-Za-z0-9\-.]{1,64}))?$/;

/** The resource here that a reference text names; undefined when it names none of ours. */
function localReference(text: unknown, base: string): LocalReference | undefined {
  if (typeof text !== 'string') return undefined;
  const relative = text.startsWith(`${base}/`) ? text.slice(base.length + 1) : text;
  const m = RELATIVE.exec(relative);
  return m ? { type: m[1], id: m[2], ...(m[3] ? { version: m[3] } : {}) } : undefined;
}

/** `Type/id`, or undefined where the text has not that form. */
export function relativeReference(text: unknown, base = ''): string | undefined {
  const r = localReference(text, base);
  return r && `${r.type}/${r.id}`;
}

export const isId = (x: unknown): x is string => typeof x === 'string' && ID.test(x);

/** Calls `visit` for each Reference object (and each canonical-free `reference` string) below `node`. */
export function eachReference(node: unknown, visit: (holder: Record<string, any>, path: string) => void, path = ''): void {
  if (Array.isArray(node)) {
    for (let i = 0; i < node.length; i++) eachReference(node[i], visit, `${path}[${i}]`);
    return;
  }
  if (node === null || typeof node !== 'object') return;
  const o = node as Record<string, any>;
  if (typeof o.reference === 'string') visit(o, path);
  for (const k of Object.keys(o)) if (typeof o[k] === 'object') eachReference(o[k], visit, path ? `${path}.${k}` : k);
}
