// Writing a List: submission sets and folders (S3, W1). What the caller does not see is carried over.
import * as errors from '../../fhir/errors.ts';
import { interval } from '../../fhir/dates.ts';
import { asArray, type Json, type Resource, cloned } from '../../fhir/types.ts';
import { relativeReference } from '../../fhir/reference.ts';
import { isHolder, isTreating, represents } from '../../policy/decide.ts';
import { refuseDeposit } from '../../policy/write.ts';
import type { Records } from '../records.ts';
import { listDocuments, visibleAmong } from '../views.ts';
import { type Change, type Effect, putOf, type Siblings, tombstone } from './change.ts';
import { refused } from './document.ts';
import { checkGatedReferences } from './references.ts';
import { patientOfSubject } from './subject.ts';

const NO_LABELS = { maskPs: false, hiddenFromPatient: false, invRep: false, conf: 0 };

/** Feeding the record at all: open, admitted, not blocked; types are the documents' own affair. */
async function checkFeeding(records: Records, patient: string): Promise<void> {
  const { deps, ask, gate } = records;
  if (deps.open) return;
  const no = refuseDeposit(ask.caller, [], { ...NO_LABELS, invRep: ask.caller.secret ?? false }, await gate.facts(patient), deps.book, deps.table, ask.now);
  if (no && no.rule !== 'write-table' && no.rule !== 'labels') throw refused(no);
}

/** Entries name documents of the same record, each visible or brought by the same commit. */
async function checkEntries(records: Records, resource: Resource, patient: string, siblings: Siblings): Promise<void> {
  const entries = asArray<Json>(resource.entry);
  if (!entries.length) throw errors.businessRule('A List names at least one document.', ['List.entry'], 'empty-list');
  await checkGatedReferences(records, resource, siblings);
  for (const [i, id] of listDocuments(resource, records.deps.base).entries()) {
    const row = siblings.has(`DocumentReference/${id}`) ? undefined : await records.deps.store.read('DocumentReference', id);
    if (row && row.scalars.patient !== patient) throw errors.businessRule("A List names documents of its subject's record.", [`List.entry[${i}].item`], 'subject-differs');
  }
}

export async function createList(records: Records, change: Extract<Change, { kind: 'create' }>, siblings: Siblings): Promise<Effect> {
  const { deps, ask } = records;
  const resource = cloned(change.resource);
  const patient = await patientOfSubject(records, 'List.subject', resource.subject);
  await checkFeeding(records, patient);
  await checkEntries(records, resource, patient, siblings);
  const put = putOf(deps, ask.now, resource, change.id, undefined, 'POST', {
    patient, date: interval(resource.date)?.lo ?? ask.now, since: ask.now, depositor: ask.caller.ref, depositorOrg: ask.caller.organization ?? null, bySystem: ask.caller.kind === 'system' ? 1 : 0,
  });
  return { ops: [put], claim: [], release: [], epochs: new Map([[patient, false]]), row: put.row, erase: [] };
}

async function checkKeeper(records: Records, change: Extract<Change, { kind: 'update' | 'delete' }>): Promise<string> {
  const { deps, ask } = records;
  const s = change.before.scalars;
  const patient = s.patient as string;
  const facts = await records.gate.facts(patient);
  const may = deps.open || s.depositor === ask.caller.ref || (s.depositorOrg !== null && s.depositorOrg === ask.caller.organization) || isHolder(ask.caller, facts) || represents(ask.caller, facts, ask.now) || isTreating(ask.caller, facts);
  if (!may) throw errors.forbidden('A List is changed by its depositor, the same organisation, the patient, the representative or the médecin traitant.', 'list-keeper');
  return patient;
}

export async function updateList(records: Records, change: Extract<Change, { kind: 'update' }>, siblings: Siblings): Promise<Effect> {
  const { deps, ask } = records;
  const patient = await checkKeeper(records, change);
  const resource = cloned(change.resource);
  const stored = JSON.parse(change.before.text) as Resource;
  if ((await patientOfSubject(records, 'List.subject', resource.subject)) !== patient) throw errors.businessRule('The subject of a List does not change.', ['List.subject']);
  await checkFeeding(records, patient);
  await checkEntries(records, resource, patient, siblings);
  const seen = await visibleAmong(records.gate, patient, listDocuments(stored, deps.base));
  const carried = asArray<Json>(stored.entry).filter((e) => {
    const ref = relativeReference(e.item?.reference, deps.base);
    return ref?.startsWith('DocumentReference/') && !seen.has(ref.slice('DocumentReference/'.length));
  });
  if (carried.length) {
    resource.entry = [...asArray<Json>(resource.entry), ...carried];
    for (const k of ['title', 'text', 'date', 'note']) if (resource[k] === undefined && stored[k] !== undefined) resource[k] = stored[k];
  }
  const put = putOf(deps, ask.now, resource, change.id, change.before, change.method, { date: interval(resource.date)?.lo ?? ask.now });
  return { ops: [put], claim: [], release: [], epochs: new Map([[patient, false]]), row: put.row, erase: [] };
}

export async function deleteList(records: Records, change: Extract<Change, { kind: 'delete' }>): Promise<Effect> {
  const patient = await checkKeeper(records, change);
  const stored = JSON.parse(change.before.text) as Resource;
  const ids = listDocuments(stored, records.deps.base);
  const seen = await visibleAmong(records.gate, patient, ids);
  const living = await records.deps.store.ids('DocumentReference', { kind: 'ids', ids });
  // Entries that the caller does not see stay: the List goes only as far as the caller's view (S1).
  const carried = asArray<Json>(stored.entry).filter((e) => {
    const ref = relativeReference(e.item?.reference, records.deps.base)?.slice('DocumentReference/'.length);
    return ref !== undefined && living.includes(ref) && !seen.has(ref);
  });
  const put = carried.length ? putOf(records.deps, records.ask.now, { ...stored, entry: carried }, change.id, change.before, 'PUT', {}) : tombstone(records.ask.now, change.before);
  return { ops: [put], claim: [], release: [], epochs: new Map([[patient, false]]), row: put.row, erase: [] };
}
