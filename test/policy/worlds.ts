// Generated consents, documents and callers for the properties of the gate.
import fc from 'fast-check';
import { compileConsent, consentProfile } from '../../server/policy/consent.ts';
import type { Caller } from '../../server/policy/caller.ts';
import type { Facts, Rulebook } from '../../server/policy/decide.ts';
import { matrixFrom, typeCodings } from '../../server/policy/matrix.ts';
import { A03, ACT_CODE, ACT_REASON, CONFIDENTIALITY, CONSENT_SCOPE, G15 } from '../../server/policy/vocabulary.ts';
import type { Json, Resource } from '../../server/fhir/types.ts';
import { NO_SCALARS, type Row } from '../../server/store/port.ts';
import { readFileSync } from 'node:fs';

const data = (name: string): Json => JSON.parse(readFileSync(`terminology/${name}`, 'utf8'));
export const book: Rulebook = { matrix: matrixFrom(data('matrix-read.json')), admission: data('admission.json') as never, occupationalMedicine: 'never' };
export const NOW = Date.parse('2026-06-15T12:00:00Z');
const DAY = 86_400_000;
const iso = (ms: number): string => new Date(ms).toISOString();

const actors = [{ reference: 'Practitioner/a' }, { reference: 'Organization/x' }, { identifier: { system: G15, value: '10' } }, { reference: 'Practitioner/b' }, { reference: 'Organization/x' }, { reference: 'Organization/y' }, { reference: 'Group/g' }, { identifier: { system: G15, value: '10' } }, { identifier: { system: G15, value: '60' } }, { reference: 'Patient/p' }, { reference: 'PractitionerRole/ax' }, { reference: 'PractitionerRole/broken' }];
const maybe = <T>(a: fc.Arbitrary<T>, p = 3): fc.Arbitrary<T | undefined> => fc.option(a, { nil: undefined, freq: p });

const provision = (depth: number): fc.Arbitrary<Json> =>
  fc.record({
    type: depth ? fc.constantFrom('permit', 'deny') : fc.constantFrom('permit', 'deny', undefined),
    actor: maybe(fc.subarray(actors, { minLength: 1, maxLength: 2 }).map((l) => l.map((reference) => ({ reference })))),
    purpose: maybe(fc.subarray(['TREAT', 'BTG', 'ETREAT', 'HRESCH'], { minLength: 1 }).map((l) => l.map((code) => ({ system: ACT_REASON, code }))), 1),
    class: maybe(fc.subarray(['10', '11'], { minLength: 1 }).map((l) => l.map((code) => ({ system: A03, code }))), 1),
    code: maybe(fc.constantFrom('34112-3', '51969-4').map((code) => [{ coding: [{ system: 'http://loinc.org', code }] }]), 1),
    securityLabel: maybe(fc.constantFrom('N', 'R', 'PSY', 'ODD').map((code) => [{ system: code === 'PSY' ? ACT_CODE : code === 'ODD' ? 'urn:odd' : CONFIDENTIALITY, code }]), 1),
    dataPeriod: maybe(fc.constantFrom({ start: '2026-01-01' }, { end: '2025-12-31' }), 1),
    data: maybe(fc.constantFrom([{ meaning: 'instance', reference: { reference: 'DocumentReference/d1' } }], [{ meaning: 'authoredby', reference: { reference: 'Practitioner/a' } }], [{ meaning: 'related', reference: { reference: 'DocumentReference/d1' } }]), 1),
    period: maybe(fc.constantFrom({ end: '2026-06-01' }, { end: '2026-07-01' }), 1),
    provision: depth >= 2 ? fc.constant(undefined) : maybe(fc.array(provision(depth + 1), { minLength: 1, maxLength: 2 }), 2),
  }).map((p) => JSON.parse(JSON.stringify(p)));

const consentArb = (id: string): fc.Arbitrary<{ id: string; resource: Json; received: number; selfRecorded: boolean }> =>
  fc.record({
    kind: fc.constantFrom(undefined, undefined, 'authorisation', 'authorisation', 'block', 'emergency-opposition', 'regulation-opposition'),
    provision: maybe(provision(0), 6), base: fc.constantFrom(undefined, 'OPTIN', 'OPTOUT'), age: fc.integer({ min: 0, max: 800 }), status: fc.constantFrom('active', 'active', 'active', 'inactive'), self: fc.boolean(),
  }).map((c) => ({
    id, received: NOW - c.age * DAY, selfRecorded: c.self && c.kind === 'authorisation',
    resource: JSON.parse(JSON.stringify({ resourceType: 'Consent', meta: c.kind ? { profile: [consentProfile(c.kind as never)] } : undefined, status: c.status, scope: { coding: [{ system: CONSENT_SCOPE, code: 'patient-privacy' }] }, dateTime: iso(NOW - c.age * DAY), policyRule: c.base ? { coding: [{ system: ACT_CODE, code: c.base }] } : undefined, provision: c.kind === 'block' ? { type: 'deny', actor: [{ reference: { reference: 'Practitioner/b' } }] } : c.provision })),
  }));

const lifecycle = fc.constantFrom('opening', 'opening', 'opening', 'opening', 'opening', 'opening', 'opening', 'opening', 'closing', 'opposition', 'none').map((kind) => (kind === 'none' ? [] : [{ id: 'life', received: NOW - 900 * DAY, selfRecorded: false, resource: { meta: { profile: [consentProfile(kind as never)] }, status: 'active', scope: { coding: [{ system: CONSENT_SCOPE, code: 'patient-privacy' }] }, dateTime: iso(NOW - 900 * DAY), provision: { type: 'permit' } } }]));

const roles = { 'PractitionerRole/ax': { practitioner: 'Practitioner/a', organization: 'Organization/x' } };

export const factsArb: fc.Arbitrary<Facts> = fc.record({
  life: lifecycle, consents: fc.tuple(consentArb('c1'), consentArb('c2'), consentArb('c3'), consentArb('c4')), n: fc.integer({ min: 1, max: 4 }), treating: fc.constantFrom<string[]>([], ['Practitioner/mt'], ['Practitioner/a']), held: fc.constantFrom(false, false, false, false, false, false, false, false, false, true),
}).map(({ life, consents, n, treating, held }) => ({
  patient: 'p', epoch: 1, treating, majority: undefined, held, representatives: [{ ref: 'RelatedPerson/r', from: 0, until: NOW + DAY }, { ref: 'RelatedPerson/old', from: 0, until: NOW - DAY }],
  consents: [...life, ...consents.slice(0, n)].map((c) => compileConsent({ ...c, roles })),
}));

const base = { issuer: 'test', roles: [], scopes: [] };
export const callerArb: fc.Arbitrary<Caller> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ ref: fc.constantFrom('Practitioner/a', 'Practitioner/b', 'Practitioner/mt'), organization: fc.constantFrom('Organization/x', 'Organization/y'), sector: fc.constantFrom('SA01', 'SA07', 'SA07', 'SA07', 'SA23', 'SA13'), profession: fc.constantFrom('10', '10', '60', '80', '99'), specialty: fc.constantFrom(undefined, 'SM26', 'SM60', 'SM25'), mode: fc.constantFrom('normal', 'normal', 'bris_de_glace', 'centre_15') }).map((c) => ({ ...base, kind: 'professional', ...c }) as unknown as Caller) },
  { weight: 2, arbitrary: fc.constantFrom<Caller>({ ...base, kind: 'system', ref: 'system:x', organization: 'Organization/x', sector: 'SA01', mode: 'normal' }, { ...base, kind: 'patient', ref: 'Patient/p', mode: 'normal' }, { ...base, kind: 'patient', ref: 'Patient/q', mode: 'normal' }, { ...base, kind: 'representative', ref: 'RelatedPerson/r', mode: 'normal' }, { ...base, kind: 'representative', ref: 'RelatedPerson/old', mode: 'normal' }) },
);

export type Doc = { row: Row; resource: Resource };
export const documentArb: fc.Arbitrary<Doc> = fc.record({
  id: fc.constantFrom('d1', 'd2'), types: fc.constantFrom(['34112-3'], ['34112-3'], ['34112-3'], ['51969-4'], ['15508-5'], ['34112-3', '51969-4'], ['unknown'], []), class: fc.constantFrom('10', '11', '31'), labels: fc.subarray(['N', 'R', 'V', 'PSY']),
  maskPs: fc.constantFrom(0, 0, 0, 1), invRep: fc.constantFrom(0, 0, 1), hiddenUntil: fc.constantFrom(0, NOW - 1, NOW, NOW + 1), date: fc.constantFrom(NOW - 400 * DAY, NOW - 10 * DAY), depositor: fc.constantFrom('Practitioner/a', 'system:x', 'Patient/p', null),
  depositorOrg: fc.constantFrom('Organization/x', 'Organization/y', null), bySystem: fc.constantFrom(0, 1), authors: fc.constantFrom('', ',Practitioner/a,', ',Practitioner/b,Practitioner/a,'), stale: fc.constantFrom(false, false, false, false, false, true),
}).map((d) => {
  const resource: Resource = {
    resourceType: 'DocumentReference', id: d.id, status: 'current', type: { coding: d.types.map((code) => ({ system: 'http://loinc.org', code })) }, category: [{ coding: [{ system: A03, code: d.class }] }],
    securityLabel: d.labels.map((code) => ({ coding: [{ system: code === 'PSY' ? ACT_CODE : CONFIDENTIALITY, code }] })),
  };
  const conf = Math.max(0, ...d.labels.map((l) => ({ N: 0, R: 1, V: 2 })[l] ?? 0));
  const scalars = { ...NO_SCALARS, patient: 'p', date: d.date, depositor: d.depositor, depositorOrg: d.depositorOrg, bySystem: d.bySystem, maskPs: d.maskPs, invRep: d.invRep, hiddenUntil: d.hiddenUntil, conf, opens: book.matrix.opens(typeCodings(resource)), matrix: d.stale ? 'old' : book.matrix.version, authors: d.authors };
  return { resource, row: { type: 'DocumentReference', id: d.id, version: 1, updated: NOW, deleted: false, method: 'POST', text: JSON.stringify(resource), scalars } };
});
