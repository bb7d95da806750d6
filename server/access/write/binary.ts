// Writing a Binary: uploaded first, bound to one document at commit (W5).
import * as errors from '../../fhir/errors.ts';
import type { Row } from '../../store/port.ts';
import type { Records } from '../records.ts';
import { type Change, type Effect, noEffect, putOf, tombstone } from './change.ts';
import { binaryResource, contentOf } from './content.ts';

export async function createBinary(records: Records, change: Extract<Change, { kind: 'create' }>): Promise<Effect> {
  const { deps, ask } = records;
  const { content } = change;
  if (!content) throw errors.internal(new Error('a Binary without content'));
  if (ask.caller.roles.length && !deps.open) throw errors.forbidden('This caller deposits nothing.', 'deposit');
  const { contentType, resourceType: _t, id: _id, data: _d, ...extra } = change.resource;
  const put = putOf(deps, ask.now, binaryResource(change.id, String(contentType ?? 'application/octet-stream'), extra), change.id, undefined, 'POST', {
    depositor: ask.caller.ref, depositorOrg: ask.caller.organization ?? null, bySystem: ask.caller.kind === 'system' ? 1 : 0, since: ask.now,
    content: `${content.key}:${content.size}:${content.sha1}`, bound: change.boundTo ?? null, patient: change.boundPatient ?? null,
  });
  if (change.replayed) return { ...noEffect(put.row), erase: [content.key] };
  return { ops: [put], claim: [], release: [], epochs: new Map(), row: put.row, erase: [] };
}

/** Bound content is fixed; an unbound upload may be given up by its depositor. */
export async function deleteBinary(records: Records, before: Row): Promise<Effect> {
  if (before.scalars.bound !== null) throw errors.methodNotAllowed('GET, HEAD', 'The content of a document is deleted with the document.');
  const put = tombstone(records.ask.now, before);
  return { ops: [put], claim: [], release: [], epochs: new Map(), row: put.row, erase: [contentOf(before).key] };
}

export const refuseBinaryUpdate = () => errors.methodNotAllowed('GET, HEAD, DELETE', 'The content of a Binary does not change; upload another.');
