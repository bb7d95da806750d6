// JSON Patch (RFC 6902) and FHIRPath Patch (https://hl7.org/fhir/R4/fhirpatch.html), on a copy.
import { applyPatch as jsonPatch } from 'rfc6902';
import * as errors from '../fhir/errors.ts';
import type { Resource } from '../fhir/types.ts';
import { applyFhirPathPatch } from './fhirpath-patch.ts';

const OPERATIONS = new Set(['add', 'remove', 'replace', 'move', 'copy', 'test']);

function checkPointer(pointer: unknown, what: string): void {
  if (typeof pointer !== 'string' || !/^(\/([^/~]|~[01])*)*$/.test(pointer)) throw errors.invalid(`${what} is not a JSON Pointer.`);
  if (/(^|\/)(__proto__|constructor|prototype)(\/|$)/.test(pointer)) throw errors.invalid(`${what} names a property that no resource has.`);
}

/** RFC 6902; every operation must apply. A failed `test` or a missing target is a 422. */
export function applyJsonPatch<T>(document: T, operations: unknown[]): T {
  const copy = { root: JSON.parse(JSON.stringify(document)) };
  for (const [i, raw] of operations.entries()) {
    const op = raw as Record<string, unknown>;
    if (op === null || typeof op !== 'object' || !OPERATIONS.has(String(op.op))) throw errors.invalid(`Operation ${i} has no known \`op\`.`);
    checkPointer(op.path, `\`path\` of operation ${i}`);
    if (op.op === 'move' || op.op === 'copy') checkPointer(op.from, `\`from\` of operation ${i}`);
    if (['add', 'replace', 'test'].includes(String(op.op)) && !('value' in op)) throw errors.invalid(`Operation ${i} has no \`value\`.`);
    if (op.op === 'move' && String(op.path).startsWith(`${op.from}/`)) throw errors.businessRule(`Operation ${i} moves a value into itself.`, undefined, 'patch-failed');
    const failed = jsonPatch(copy, [{ ...op, path: `/root${op.path}`, ...(op.from !== undefined ? { from: `/root${op.from}` } : {}) } as never])[0];
    if (failed) throw errors.businessRule(`Operation ${i} (${String(op.op)} ${String(op.path).slice(0, 100)}) does not apply: ${failed.name === 'TestError' ? 'the value differs' : 'no such place'}.`, undefined, 'patch-failed');
  }
  return copy.root;
}

/** Whichever kind of patch a request carries. */
export function applyPatch(resource: Resource, req: { body?: Resource; patch?: unknown[] }): Resource {
  if (req.patch) {
    const out = applyJsonPatch(resource, req.patch);
    if (out === null || typeof out !== 'object' || Array.isArray(out)) throw errors.businessRule('The patch leaves no resource.', undefined, 'patch-failed');
    return out;
  }
  if (req.body?.resourceType === 'Parameters') return applyFhirPathPatch(resource, req.body);
  if (req.body?.resourceType === 'Binary' && String(req.body.contentType).startsWith('application/json-patch+json')) {
    let operations: unknown;
    try {
      operations = JSON.parse(Buffer.from(String(req.body.data), 'base64').toString('utf8'));
    } catch {
      throw errors.malformed('The Binary holds no JSON Patch.', ['Binary.data']);
    }
    if (!Array.isArray(operations)) throw errors.malformed('A JSON Patch is an array.', ['Binary.data']);
    return applyJsonPatch(resource, operations);
  }
  throw errors.malformed('A patch is a JSON Patch array or a FHIRPath Patch (Parameters).');
}
