// One fictitious record after another, reproducible from a number: steps, each a caller and a Bundle.
import type { Json, Resource } from '../server/fhir/types.ts';
import type { Caller } from '../server/policy/caller.ts';
import * as callers from './callers.ts';
import { consent } from './consents.ts';
import { documentResource, KINDS, type Kind } from './documents.ts';
import { type Identity, identity, patientResource } from './identities.ts';
import { random, type Random } from './random.ts';

export type Step = { caller: Caller; bundle: Resource };
export type PatientRecord = { id: string; who: Identity; steps: Step[] };

const transaction = (entries: Json[]): Resource => ({ resourceType: 'Bundle', type: 'transaction', entry: entries });
const post = (resource: Resource): Json => ({ resource, request: { method: 'POST', url: resource.resourceType } });
const put = (resource: Json): Json => ({ resource, request: { method: 'PUT', url: `${resource.resourceType}/${resource.id}` } });

/** Origins of opening, in the founding figures' proportions. */
const ORIGINS = [['desk', 39], ['pharmacy', 28], ['online', 20], ['professional', 11], ['other', 2]] as const;

/** Dates spread over five years before `now`. */
const dateIn = (r: Random, now: number): string => new Date(now - r.whole(1, 5 * 365) * 86_400_000 - r.whole(0, 86_399) * 1000).toISOString();

function openingStep(r: Random, id: string, now: number): Step {
  const origin = r.weighted(ORIGINS);
  const dateTime = new Date(now - 6 * 365 * 86_400_000).toISOString();
  const by = { desk: callers.registry, pharmacy: callers.professional('pharmacien-durand'), online: callers.patient(id), professional: callers.professional('dr-martin'), other: callers.system('chu-demo') }[origin];
  return { caller: by, bundle: transaction([post(consent('opening', id, { dateTime, origin, ...(origin === 'online' ? {} : { recordedBy: by.organization as string }) }))]) };
}

function depositor(kind: Kind, id: string): { caller: Caller; author: Json; custodian?: string } {
  if (kind.by === 'patient') return { caller: callers.patient(id), author: { reference: `Patient/${id}` } };
  if (kind.by.startsWith('system:')) {
    const caller = callers.system(kind.by.slice('system:'.length));
    return { caller, author: { reference: caller.organization as string }, custodian: caller.organization };
  }
  const caller = callers.professional(kind.by);
  return { caller, author: { reference: caller.ref }, custodian: caller.organization };
}

function labelsFor(r: Random, kind: Kind, minor: boolean): string[] {
  if (kind.by === 'patient') return ['N'];
  if (minor && r.chance(0.1)) return ['N', 'INVISIBLE_REPRESENTANTS_LEGAUX'];
  return r.weighted([[['N'], 80], [['R'], 8], [['N', 'MASQUE_PS'], 8], [['N', 'INVISIBLE_PATIENT'], 4]] as const).slice();
}

function documentSteps(r: Random, id: string, who: Identity, now: number, n: number): Step[] {
  const minor = now - who.birth.getTime() < 18 * 365.25 * 86_400_000;
  const by = new Map<string, Step>();
  for (let i = 0; i < n; i++) {
    const kind = r.pick(minor ? KINDS.filter((k) => k.by !== 'patient') : KINDS);
    const d = depositor(kind, id);
    const resource = documentResource({ kind, who, patient: id, uid: r.uuid(), date: dateIn(r, now), author: d.author, custodian: d.custodian, labels: labelsFor(r, kind, minor) });
    const step = by.get(kind.by) ?? { caller: d.caller, bundle: transaction([]) };
    step.bundle.entry.push(post(resource));
    by.set(kind.by, step);
  }
  return [...by.values()];
}

/** What a patient decided: authorisations, blocks, oppositions, a closed record. */
function choiceSteps(r: Random, id: string, now: number, minor: boolean): Step[] {
  const at = (days: number): string => new Date(now - days * 86_400_000).toISOString();
  const own = minor ? undefined : callers.patient(id);
  const steps: Step[] = [];
  const add = (c: Resource): void => void (own && steps.push({ caller: own, bundle: transaction([post(c)]) }));
  if (r.chance(0.6)) add(consent('authorisation', id, { dateTime: at(r.whole(1, 300)), actors: ['Practitioner/dr-leroy'] }));
  if (r.chance(0.4)) add(consent('authorisation', id, { dateTime: at(r.whole(1, 300)), actors: ['Organization/cabinet-demo'] }));
  if (r.chance(0.1)) add(consent('block', id, { dateTime: at(r.whole(1, 300)), actors: ['Practitioner/dentiste-petit'] }));
  if (r.chance(0.05)) add(consent('emergency-opposition', id, { dateTime: at(r.whole(1, 300)) }));
  if (r.chance(0.04)) add(consent('regulation-opposition', id, { dateTime: at(r.whole(1, 300)) }));
  if (r.chance(0.03)) add(consent('closing', id, { dateTime: at(0) }));
  return steps;
}

function representativeStep(r: Random, id: string, who: Identity): Step {
  const parent = identity(r, r.whole(0, 999), [30, 50]);
  return {
    caller: callers.registry,
    bundle: transaction([put({
      resourceType: 'RelatedPerson', id: `parent-${id}`, active: true, patient: { reference: `Patient/${id}` },
      relationship: [{ coding: [{ system: 'http://terminology.hl7.org/CodeSystem/v3-RoleCode', code: parent.gender === 'male' ? 'FTH' : 'MTH' }] }], name: [{ family: who.family, given: [parent.given] }],
    })]),
  };
}

/** The n-th record of a seed. */
export function record(seed: number, n: number, now: number, options: { id?: string; documents?: number; demo?: boolean } = {}): PatientRecord {
  const r = random(seed * 1_000_003 + n);
  const id = options.id ?? `seed-${seed}-${n}`;
  const who = identity(r, n, options.demo && n === 0 ? [52, 52] : undefined);
  const minor = now - who.birth.getTime() < 18 * 365.25 * 86_400_000;
  const treating = options.demo && n === 0 ? true : r.chance(0.7);
  const steps: Step[] = [{ caller: callers.registry, bundle: transaction([put(patientResource(who, id, treating ? { generalPractitioner: [{ reference: 'Practitioner/dr-martin' }] } : {}))]) }];
  if (minor) steps.push(representativeStep(r, id, who));
  const opened = options.demo && n === 0 ? true : !r.chance(0.03);
  if (opened) {
    steps.push(openingStepFor(r, id, now, minor));
    steps.push(...documentSteps(r, id, who, now, options.documents ?? r.whole(2, 12)));
  }
  if (!(options.demo && n === 0)) steps.push(...choiceSteps(r, id, now, minor));
  return { id, who, steps };
}

/** A minor's record is opened at the desk. */
function openingStepFor(r: Random, id: string, now: number, minor: boolean): Step {
  const step = openingStep(r, id, now);
  if (!minor || step.caller.kind !== 'patient') return step;
  return { caller: callers.registry, bundle: transaction([post(consent('opening', id, { dateTime: new Date(now - 6 * 365 * 86_400_000).toISOString(), origin: 'desk', recordedBy: callers.registry.organization as string }))]) };
}
