// Writing a Consent: W6, C3, C4, R4. Every change raises the patient's epoch.
import * as errors from '../../fhir/errors.ts';
import { interval } from '../../fhir/dates.ts';
import { asArray, type Json, type Resource, cloned } from '../../fhir/types.ts';
import { relativeReference } from '../../fhir/reference.ts';
import { isHolder, isTreating, type Facts, represents } from '../../policy/decide.ts';
import { kindOf } from '../../policy/consent.ts';
import { refuseConsentChange, refuseConsentCreate } from '../../policy/write.ts';
import { documentsNamed } from '../gate.ts';
import type { Records } from '../records.ts';
import { type Change, type Effect, putOf, type Siblings, tombstone } from './change.ts';
import { refused } from './document.ts';
import { checkGatedReferences, referenceNotFound } from './references.ts';
import { patientOfSubject } from './subject.ts';

/** Five minutes of another clock's advance are no future. */
const SKEW = 5 * 60_000;

async function patientOf(records: Records, resource: Resource, siblings: Siblings): Promise<{ id: string; fresh: boolean }> {
  const ref = relativeReference(resource.patient?.reference, records.deps.base);
  if (ref !== undefined && siblings.get(ref)?.kind === 'create') return { id: ref.slice('Patient/'.length), fresh: true };
  return { id: await patientOfSubject(records, 'Consent.patient', resource.patient), fresh: false };
}

function checkShape(resource: Resource, now: number): void {
  const at = interval(resource.dateTime);
  if (resource.dateTime !== undefined && at && at.lo > now + SKEW) throw errors.businessRule('`dateTime` lies in the future.', ['Consent.dateTime'], 'future-date');
  const kind = kindOf(resource);
  const p = resource.provision ?? {};
  if (kind === 'block') {
    const actors = asArray<Json>(p.actor).map((a) => relativeReference(a.reference?.reference) ?? '');
    if (p.type !== 'deny' || !actors.length || !actors.every((a) => /^(Practitioner|Organization|PractitionerRole)\//.test(a))) throw errors.businessRule('A block denies the whole record to practitioners or organisations named in `provision.actor`.', ['Consent.provision'], 'profile');
    const allowed = new Set(['type', 'actor', 'period', 'id']);
    const extra = Object.keys(p).find((k) => !allowed.has(k));
    if (extra) throw errors.businessRule('A block covers the whole record: `provision` holds type, actor and period only.', [`Consent.provision.${extra}`], 'profile');
  }
}

/** The documents that a Consent names exist for its writer. */
async function checkNamed(records: Records, resource: Resource): Promise<void> {
  for (const id of documentsNamed(resource)) {
    const row = await records.deps.store.read('DocumentReference', id);
    if (!row || row.deleted || !(await records.visible(row))) throw referenceNotFound(`DocumentReference/${id}`, 'Consent.provision.data');
  }
}

/** What the server keeps beside a Consent; `bySystem` 1: self-recorded (W6). */
function scalarsOf(resource: Resource, patient: string, now: number): { patient: string; date: number; bound: string | null } {
  return { patient, date: interval(resource.dateTime)?.lo ?? now, bound: documentsNamed(resource).length ? 'd' : null };
}

const emptyFacts = (patient: string): Facts => ({ patient, epoch: 0, consents: [], treating: [], representatives: [], majority: undefined, held: false });

/** The patient's own word, as against one recorded by those whom it serves. */
const ownWord = (records: Records, facts: Facts): boolean => {
  const { caller, now } = records.ask;
  return isHolder(caller, facts) || represents(caller, facts, now) || isTreating(caller, facts);
};

export async function createConsent(records: Records, change: Extract<Change, { kind: 'create' }>, siblings: Siblings): Promise<Effect> {
  const { deps, ask } = records;
  const resource = cloned(change.resource);
  checkShape(resource, ask.now);
  const { id: patient, fresh } = await patientOf(records, resource, siblings);
  const facts = fresh ? emptyFacts(patient) : await records.gate.facts(patient);
  const no = deps.open ? undefined : refuseConsentCreate(ask.caller, resource, facts, deps.book, ask.now);
  if (no) throw refused(no);
  await checkGatedReferences(records, { ...resource, provision: undefined }, siblings);
  await checkNamed(records, resource);
  const self = kindOf(resource) !== 'opening' && !deps.open && !ownWord(records, facts);
  const put = putOf(deps, ask.now, resource, change.id, undefined, 'POST', {
    ...scalarsOf(resource, patient, ask.now), since: ask.now, depositor: ask.caller.ref, depositorOrg: ask.caller.organization ?? null, bySystem: self ? 1 : 0,
  });
  return { ops: [put], claim: [], release: [], epochs: new Map([[patient, true]]), row: put.row, erase: [] };
}

export async function updateConsent(records: Records, change: Extract<Change, { kind: 'update' }>, siblings: Siblings): Promise<Effect> {
  const { deps, ask } = records;
  const { before } = change;
  const resource = cloned(change.resource);
  checkShape(resource, ask.now);
  const patient = before.scalars.patient as string;
  if ((await patientOf(records, resource, siblings)).id !== patient) throw errors.businessRule('The patient of a Consent does not change.', ['Consent.patient']);
  const facts = await records.gate.facts(patient);
  const stored = JSON.parse(before.text);
  if (!deps.open) {
    const no = refuseConsentChange(ask.caller, stored, facts, ask.now) ?? (kindOf(stored) === kindOf(resource) && resource.status !== 'active' ? undefined : refuseConsentCreate(ask.caller, resource, facts, deps.book, ask.now));
    if (no) throw refused(no);
  }
  await checkGatedReferences(records, { ...resource, provision: undefined }, siblings);
  await checkNamed(records, resource);
  const put = putOf(deps, ask.now, resource, change.id, before, change.method, scalarsOf(resource, patient, ask.now));
  return { ops: [put], claim: [], release: [], epochs: new Map([[patient, true]]), row: put.row, erase: [] };
}

export async function deleteConsent(records: Records, change: Extract<Change, { kind: 'delete' }>): Promise<Effect> {
  const { deps, ask } = records;
  const patient = change.before.scalars.patient as string;
  const no = deps.open ? undefined : refuseConsentChange(ask.caller, JSON.parse(change.before.text), await records.gate.facts(patient), ask.now);
  if (no) throw refused(no);
  const put = tombstone(ask.now, change.before);
  return { ops: [put], claim: [], release: [], epochs: new Map([[patient, true]]), row: put.row, erase: [] };
}
