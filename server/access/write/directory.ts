// Writing the directory: the registry's, but for what C2 leaves to others. INS, RPPS and FINESS are unique (T5).
import * as errors from '../../fhir/errors.ts';
import { asArray, type Json, type Resource } from '../../fhir/types.ts';
import { relativeReference } from '../../fhir/reference.ts';
import { isHolder, isTreating, represents } from '../../policy/decide.ts';
import { FINESS, IDNPS, INS, RPPS } from '../../policy/vocabulary.ts';
import * as keys from '../../search/keys.ts';
import { or, scalar, term } from '../../store/plan.ts';
import type { Records } from '../records.ts';
import { type Change, type Effect, putOf, tombstone } from './change.ts';

/** Identifiers that name one resource only. */
function uniqueKeys(resource: Resource): string[] {
  const out: string[] = [];
  for (const i of asArray<Json>(resource.identifier)) {
    const value = String(i?.value ?? '');
    if (!value || i.use === 'old') continue;
    if (resource.resourceType === 'Patient' && INS.has(i.system)) out.push(`INS|${i.system.endsWith('.10') || i.system.endsWith('.11') ? i.system : ''}|${value.slice(0, 13)}`);
    if (resource.resourceType === 'Practitioner' && i.system === RPPS) out.push(`RPPS|${value}`);
    if (resource.resourceType === 'Practitioner' && i.system === IDNPS && value.startsWith('8')) out.push(`RPPS|${value.slice(1)}`);
    if (resource.resourceType === 'Organization' && i.system === FINESS) out.push(`FINESS|${value}`);
  }
  return [...new Set(out)];
}

const registryOnly = () => errors.forbidden('The directory is written by the registry.', 'registry-only');

/** What a patient or a representative may change in Patient (C2). */
const OWN_ELEMENTS = new Set(['telecom', 'address', 'contact', 'communication', 'generalPractitioner', 'photo', 'text', 'meta', 'id', 'resourceType']);

function ownChange(before: Json, after: Json): string | undefined {
  for (const k of new Set([...Object.keys(before), ...Object.keys(after)])) {
    if (!OWN_ELEMENTS.has(k) && JSON.stringify(before[k]) !== JSON.stringify(after[k])) return k;
  }
  return undefined;
}

function checkCreate(records: Records, resource: Resource): void {
  const { caller } = records.ask;
  if (records.deps.open || caller.roles.includes('registry')) return;
  if (resource.resourceType === 'Device' && (caller.kind === 'system' || caller.kind === 'professional')) return;
  if (resource.resourceType !== 'Patient' || (caller.kind !== 'professional' && caller.kind !== 'system') || caller.roles.length) throw registryOnly();
  if (asArray(resource.generalPractitioner).length) throw errors.businessRule('The médecin traitant is declared by the patient or the registry.', ['Patient.generalPractitioner'], 'registry-only');
  if (asArray(resource.link).length) throw errors.businessRule('Links between Patients are the registry\'s.', ['Patient.link'], 'registry-only');
}

async function checkUpdate(records: Records, before: Json, resource: Resource, depositor: string | null): Promise<void> {
  const { caller, now } = records.ask;
  if (records.deps.open || caller.roles.includes('registry')) return;
  if (resource.resourceType === 'Device' && depositor === caller.ref) return;
  if (resource.resourceType !== 'Patient') throw registryOnly();
  const facts = await records.gate.facts(before.id);
  if (!isHolder(caller, facts) && !represents(caller, facts, now) && !isTreating(caller, facts)) throw errors.forbidden('A Patient is changed by the registry, the patient or the representative.', 'registry-only');
  const element = ownChange(before, resource);
  if (element || isTreating(caller, facts)) throw errors.businessRule('Identifiers, traits and links of a Patient are the registry\'s; contact details and generalPractitioner the patient\'s.', [`Patient.${element ?? 'generalPractitioner'}`], 'registry-only');
}

/** Patients whose decisions rest on this directory resource. */
async function concerned(records: Records, resource: Json, before: Json | undefined): Promise<string[]> {
  const out = new Set<string>();
  const patientOf = (r: Json | undefined) => relativeReference(r?.patient?.reference, records.deps.base);
  if (resource.resourceType === 'Patient' && JSON.stringify([resource.generalPractitioner, resource.birthDate]) !== JSON.stringify([before?.generalPractitioner, before?.birthDate])) out.add(String(resource.id));
  if (resource.resourceType === 'RelatedPerson') for (const r of [resource, before]) {
    const ref = patientOf(r);
    if (ref?.startsWith('Patient/')) out.add(ref.slice('Patient/'.length));
  }
  if (resource.resourceType === 'PractitionerRole' && resource.id) {
    const naming = await records.deps.store.search({ type: 'Consent', plan: or(term(keys.referenceKey(keys.paramKey('Consent', 'actor'), `PractitionerRole/${resource.id}`))), sort: [{ by: 'id', desc: false }], limit: 10_000 });
    for (const f of naming) if (f.row.scalars.patient) out.add(f.row.scalars.patient);
  }
  return [...out];
}

const duplicateOf = (key: string, type: string) => errors.duplicate(`A ${type} with this ${key.split('|')[0]} identifier exists.`, [`${type}.identifier`]);

async function claims(records: Records, resource: Resource, owner: string, before: Json | undefined): Promise<Pick<Effect, 'claim' | 'release'>> {
  const own = uniqueKeys(resource);
  for (const key of own) {
    const held = await records.deps.store.owner(key);
    if (held !== undefined && held !== owner) throw duplicateOf(key, resource.resourceType);
  }
  const old = before ? uniqueKeys(before as Resource).filter((k) => !own.includes(k)) : [];
  return { claim: own.map((key) => ({ key, owner })), release: old.map((key) => ({ key, owner })) };
}

function scalarsFor(records: Records, resource: Resource): { patient: string | null } {
  const ref = resource.resourceType === 'RelatedPerson' ? relativeReference(resource.patient?.reference, records.deps.base) : undefined;
  return { patient: ref?.startsWith('Patient/') ? ref.slice('Patient/'.length) : null };
}

export async function createDirectory(records: Records, change: Extract<Change, { kind: 'create' }>): Promise<Effect> {
  const { deps, ask } = records;
  const resource = { ...change.resource, id: change.id };
  checkCreate(records, resource);
  const owner = `${change.type}/${change.id}`;
  const put = putOf(deps, ask.now, resource, change.id, undefined, change.put ? 'PUT' : 'POST', { ...scalarsFor(records, resource), since: ask.now, depositor: ask.caller.ref });
  const patients = await concerned(records, resource, undefined);
  return { ops: [put], ...(await claims(records, resource, owner, undefined)), epochs: new Map(patients.map((p) => [p, true])), row: put.row, erase: [] };
}

export async function updateDirectory(records: Records, change: Extract<Change, { kind: 'update' }>): Promise<Effect> {
  const { deps, ask } = records;
  const before = JSON.parse(change.before.text || '{}') as Json;
  const resource = { ...change.resource, id: change.id };
  if (change.before.deleted) checkCreate(records, resource);
  else await checkUpdate(records, before, resource, change.before.scalars.depositor);
  const put = putOf(deps, ask.now, resource, change.id, change.before, change.method, { ...scalarsFor(records, resource), date: ask.now });
  const patients = await concerned(records, resource, before);
  return { ops: [put], ...(await claims(records, resource, `${change.type}/${change.id}`, before)), epochs: new Map(patients.map((p) => [p, true])), row: put.row, erase: [] };
}

export async function deleteDirectory(records: Records, change: Extract<Change, { kind: 'delete' }>): Promise<Effect> {
  const { deps, ask } = records;
  const mine = change.type === 'Device' && change.before.scalars.depositor === ask.caller.ref;
  if (!deps.open && !ask.caller.roles.includes('registry') && !mine) throw registryOnly();
  if (change.type === 'Patient') {
    for (const type of ['DocumentReference', 'Consent']) {
      const held = await deps.store.search({ type, plan: scalar('patient', 'eq', change.id), sort: [{ by: 'id', desc: false }], limit: 1 });
      if (held.length) throw errors.conflict('A Patient with a record is not deleted; duplicates are merged.');
    }
  }
  const before = JSON.parse(change.before.text);
  const owner = `${change.type}/${change.id}`;
  const put = tombstone(ask.now, change.before);
  const patients = await concerned(records, { ...before, id: change.id }, before);
  if (change.type === 'RelatedPerson' && change.before.scalars.patient) patients.push(change.before.scalars.patient);
  return { ops: [put], claim: [], release: uniqueKeys(before).map((key) => ({ key, owner })), epochs: new Map(patients.map((p) => [p, true])), row: put.row, erase: [] };
}
