// Facts of a patient (PIP): compiled once per epoch, never used beyond it; periods are judged at decision time, so no clock ages them.
import { addMonths, FOREVER, interval, periodInterval } from '../fhir/dates.ts';
import { asArray, type Json } from '../fhir/types.ts';
import { relativeReference } from '../fhir/reference.ts';
import { compileConsent, type StoredConsent } from '../policy/consent.ts';
import type { Facts, Representative } from '../policy/decide.ts';
import { codings } from '../policy/vocabulary.ts';
import { scalar } from '../store/plan.ts';
import type { Deps } from './deps.ts';
import { isHeld } from './holds.ts';
import { allRows } from './rows.ts';

const ROLE_CODE = 'http://terminology.hl7.org/CodeSystem/v3-RoleCode';
/** Legal representatives (C4): parents and holders of guardianship. */
const LEGAL = new Set(['PRN', 'MTH', 'FTH', 'NPRN', 'NMTH', 'NFTH', 'ADOPTP', 'ADOPTM', 'ADOPTF', 'GUARD']);

function eachActor(p: Json | undefined, visit: (a: Json) => void): void {
  for (const a of asArray<Json>(p?.actor)) visit(a);
  for (const n of asArray<Json>(p?.provision)) eachActor(n, visit);
}

async function rolesOf(deps: Deps, resource: Json): Promise<StoredConsent['roles']> {
  const roles: StoredConsent['roles'] = {};
  const refs: string[] = [];
  eachActor(resource.provision, (a) => {
    const ref = relativeReference(a.reference?.reference);
    if (ref?.startsWith('PractitionerRole/')) refs.push(ref);
  });
  for (const ref of refs) {
    const row = await deps.store.read('PractitionerRole', ref.slice('PractitionerRole/'.length));
    const role = row && !row.deleted ? JSON.parse(row.text) : undefined;
    roles[ref] = role && { practitioner: relativeReference(role.practitioner?.reference, deps.base), organization: relativeReference(role.organization?.reference, deps.base) };
  }
  return roles;
}

function representative(r: Json, majority: number | undefined): Representative | undefined {
  if (r.active === false) return undefined;
  const codes = codings(r.relationship).filter((c) => c.system === ROLE_CODE && LEGAL.has(c.code)).map((c) => c.code);
  if (!codes.length) return undefined;
  const window = r.period ? periodInterval(r.period) : FOREVER;
  if (!window) return undefined;
  const guardian = codes.includes('GUARD');
  const until = guardian ? window.hi : Math.min(window.hi, majority === undefined ? FOREVER.lo : majority - 1);
  return { ref: `RelatedPerson/${r.id}`, from: window.lo, until };
}

const EIGHTEEN_YEARS = 18 * 12;

async function load(deps: Deps, patient: string, epoch: number): Promise<Facts> {
  const row = await deps.store.read('Patient', patient);
  const resource: Json = row && !row.deleted ? JSON.parse(row.text) : {};
  const birth = interval(resource.birthDate)?.lo;
  const majority = birth === undefined ? undefined : addMonths(birth, EIGHTEEN_YEARS);
  const consents = await allRows(deps.store, 'Consent', scalar('patient', 'eq', patient));
  const compiled = [];
  for (const c of consents) {
    const text = JSON.parse(c.text);
    if (text.status !== 'active') continue;
    compiled.push(compileConsent({ id: c.id, resource: text, received: c.scalars.since, selfRecorded: c.scalars.bySystem === 1, roles: await rolesOf(deps, text) }));
  }
  const related = await allRows(deps.store, 'RelatedPerson', scalar('patient', 'eq', patient));
  return {
    patient,
    epoch,
    consents: compiled,
    treating: asArray<Json>(resource.generalPractitioner).map((g) => relativeReference(g?.reference, deps.base)).filter((g): g is string => g?.startsWith('Practitioner/') ?? false),
    representatives: related.map((r) => representative({ ...JSON.parse(r.text), id: r.id }, majority)).filter((r) => r !== undefined),
    majority,
    held: await isHeld(deps, patient),
  };
}

const MAX_CACHED = 5_000;

/** Facts at the patient's present epoch: read from the store each time, compiled when it moved. A write that raises the epoch while facts load makes them load again. */
export async function factsOf(deps: Deps, patient: string): Promise<Facts> {
  for (;;) {
    const epoch = await deps.store.epoch(patient);
    const known = deps.facts.get(patient);
    if (known?.epoch === epoch) return known;
    const facts = await load(deps, patient, epoch);
    if ((await deps.store.epoch(patient)) !== epoch) continue;
    if (deps.facts.size >= MAX_CACHED) deps.facts.delete(deps.facts.keys().next().value as string);
    deps.facts.set(patient, facts);
    return facts;
  }
}
