// This server's profiles; faults generated for each element of each served type, all caught; bad profiles bounded.
import { describe, expect, it } from '@jest/globals';
import { readdirSync, readFileSync } from 'node:fs';
import { directoryResources } from '../../seed/directory.ts';
import { record } from '../../seed/generate.ts';
import { random } from '../../seed/random.ts';
import { childElements, placeOf, type Place, rootPlace } from '../../server/fhir/schema.ts';
import type { Json, Resource } from '../../server/fhir/types.ts';
import { STORED_TYPES } from '../../server/search/registry.ts';
import { validatorOf } from '../../server/validation/validate.ts';

const validate = validatorOf({ strictProfiles: true, production: false });
const errors = (r: unknown, v = validate): string[] => v(r as Resource).filter((i) => i.severity === 'error').map((i) => `${i.reason} ${i.expression?.[0]}`);
const OWN = 'https://fhir.dmp.example/StructureDefinition';

it('each profile is itself a valid StructureDefinition that can be used', () => {
  for (const f of readdirSync('profiles/structuredefinition')) {
    const sd = JSON.parse(readFileSync(`profiles/structuredefinition/${f}`, 'utf8'));
    expect([f, errors(sd)]).toEqual([f, []]);
  }
});

it('generated records are valid, under the profiles too', () => {
  const PROFILE: Record<string, string> = { Patient: 'dmp-patient', Organization: 'dmp-organization', Practitioner: 'dmp-practitioner', PractitionerRole: 'dmp-practitioner-role', DocumentReference: 'dmp-document-reference' };
  const all = [...directoryResources(random(1)), ...Array.from({ length: 40 }, (_, n) => record(3, n, Date.now()).steps).flat().flatMap((s) => s.bundle.entry.map((e: Json) => e.resource))];
  for (const r of all) expect([r.resourceType, validate(r as Resource, PROFILE[r.resourceType] ? { profile: `${OWN}/${PROFILE[r.resourceType]}` } : {})]).toEqual([r.resourceType, []]);
  expect(all.length).toBeGreaterThan(300);
});

const profile = (name: string) => ({ meta: { profile: [`${OWN}/${name}`] } });
const consent = (kind: string, provision: Json): Json => ({ resourceType: 'Consent', ...profile(`dmp-consent-${kind}`), status: 'active', scope: { coding: [{ system: 'http://terminology.hl7.org/CodeSystem/consentscope', code: 'patient-privacy' }] }, category: [{ text: 'x' }], patient: { reference: 'Patient/x' }, dateTime: '2026-01-01', policy: [{ uri: 'urn:x' }], provision });
const actor = [{ role: { text: 'x' }, reference: { reference: 'Practitioner/x' } }];

describe('the DMP profiles refuse', () => {
  it.each<[string, Json, string | undefined]>([
    ['nothing of a block', consent('block', { type: 'deny', actor }), undefined],
    ['a block without an actor', consent('block', { type: 'deny' }), 'required Consent.provision.actor'],
    ['a block that permits', consent('block', { type: 'permit', actor }), 'fixed Consent.provision.type'],
    ['an opening with an actor', consent('opening', { type: 'permit', actor }), 'cardinality Consent.provision.actor'],
    ['an origin that is none', { ...consent('opening', { type: 'permit' }), extension: [{ url: `${OWN}/dmp-opening-origin`, valueCode: 'moon' }] }, 'code Consent.extension[0].value'],
    ['an INS key that is wrong', { resourceType: 'Patient', name: [{ family: 'X' }], identifier: [{ system: 'urn:oid:1.2.250.1.213.1.4.8', value: '279035121518988' }] }, 'ins-key Patient.identifier[0].value'],
    ['a Corsican INS that is right', { resourceType: 'Patient', name: [{ family: 'X' }], identifier: [{ system: 'urn:oid:1.2.250.1.213.1.4.8', value: '280012A00400155' }] }, 'ins-key Patient.identifier[0].value'],
    ['a patient who is nobody', { resourceType: 'Patient', ...profile('dmp-patient'), gender: 'male' }, 'dmp-pat-1 Patient'],
    ['two official names', { resourceType: 'Patient', ...profile('dmp-patient'), name: [{ use: 'official', family: 'A' }, { use: 'official', family: 'B' }] }, 'cardinality Patient.name'],
    ['a docStatus', { resourceType: 'DocumentReference', status: 'current', docStatus: 'final', type: { text: 'x' }, subject: { reference: 'Patient/x' }, content: [{ attachment: { contentType: 'text/plain', url: 'urn:x' } }] }, 'cardinality DocumentReference.docStatus'],
    ['two contents', { resourceType: 'DocumentReference', status: 'current', type: { text: 'x' }, subject: { reference: 'Patient/x' }, content: [{ attachment: { contentType: 'text/plain', url: 'urn:x' } }, { attachment: { contentType: 'text/plain', url: 'urn:y' } }] }, 'cardinality DocumentReference.content'],
  ])('%s', (_name, resource, expected) => {
    const found = errors(resource);
    if (expected === undefined) expect(found).toEqual([]);
    else expect(found).toContain(expected);
  });
  it('test identities in production', () => {
    const production = validatorOf({ strictProfiles: true, production: true });
    expect(errors({ resourceType: 'Patient', identifier: [{ system: 'urn:oid:1.2.250.1.213.1.4.10', value: '279035121518989' }] }, production)).toEqual(['ins-test Patient.identifier[0].value']);
  });
});

/** A small valid instance of each served type. */
const VALID: Record<string, Json> = {
  Patient: { resourceType: 'Patient', identifier: [{ value: 'x' }] }, Practitioner: { resourceType: 'Practitioner' }, PractitionerRole: { resourceType: 'PractitionerRole' }, Organization: { resourceType: 'Organization', name: 'x' },
  RelatedPerson: { resourceType: 'RelatedPerson', patient: { reference: 'Patient/x' } }, Device: { resourceType: 'Device' }, Binary: { resourceType: 'Binary', contentType: 'text/plain' },
  DocumentReference: { resourceType: 'DocumentReference', status: 'current', content: [{ attachment: { contentType: 'text/plain', url: 'urn:x' } }] },
  List: { resourceType: 'List', status: 'current', mode: 'working' }, Consent: consent('authorisation', { type: 'permit' }),
  AuditEvent: { resourceType: 'AuditEvent', type: { code: 'x' }, recorded: '2026-01-01T00:00:00Z', agent: [{ requestor: true }], source: { observer: { display: 'x' } } },
};
const WRONG: Record<string, unknown> = { string: 7, code: ' x', boolean: 'true', uri: 'a b', url: 'a b', canonical: 'a b', dateTime: '2026-13-01', date: '2026-02-30', instant: '2026-01-01', integer: 1.5, positiveInt: 0, unsignedInt: -1, decimal: '1', id: 'a b', markdown: 7, base64Binary: '*', time: '25:00', oid: 'x', uuid: 'x', 'http://hl7.org/fhirpath/System.String': 7 };

type Fault = { where: string; what: string; resource: Json };

/** Faults of one element: unknown beside it, twice where once, a wrong type, a wrong form, a wrong code, a wrong target, missing. */
function faultsAt(type: string, place: Place, path: string, set: (o: Json, value: unknown, key: string) => void, depth: number): Fault[] {
  const out: Fault[] = [];
  const make = (where: string, what: string, change: (o: Json) => void): void => {
    const resource = structuredClone(VALID[type]);
    change(resource);
    out.push({ where, what, resource });
  };
  for (const e of childElements(place)) {
    const t = e.types[0]?.code ?? 'BackboneElement';
    const key = e.choice ? e.name + t[0].toUpperCase() + t.slice(1) : e.name;
    if (['id', 'extension', 'modifierExtension', 'contained', 'text', 'meta', 'implicitRules', 'language'].includes(e.name)) continue;
    const one = (v: unknown): unknown => (e.max > 1 ? [v] : v);
    const where = `${path}.${key}`;
    const primitive = /^[a-z]/.test(t) || t.startsWith('http');
    make(where, 'an object for a list, a list for an object', (o) => set(o, e.max > 1 ? (primitive ? 'x' : { id: 'x' }) : [primitive ? 'x' : { id: 'x' }], key));
    if (e.max > 1) make(where, 'an empty list', (o) => set(o, [], key));
    if (primitive && WRONG[t] !== undefined) make(where, 'a wrong form', (o) => set(o, one(WRONG[t]), key));
    if (!primitive) {
      make(where, 'an unknown element', (o) => set(o, one({ notAnElement: 1 }), key));
      make(where, 'an empty object', (o) => set(o, one({}), key));
      make(where, 'a text', (o) => set(o, one('text'), key));
    }
    if (t === 'Reference' && e.types[0].targetProfile?.length && !e.types[0].targetProfile.some((p) => p.endsWith('/Resource') || p.endsWith('/Slot'))) make(where, 'a wrong target', (o) => set(o, one({ reference: 'Slot/x' }), key));
    if (t === 'code' && e.def.binding?.strength === 'required') make(where, 'a wrong code', (o) => set(o, one('no-such-code'), key));
    if (!e.choice && place.path === place.type && e.min > 0) make(where, 'missing', (o) => void delete o[key]);
    if (e.choice && e.types.length > 1) make(where, 'two choices', (o) => { set(o, WRONG[e.types[0].code] ?? {}, e.name + e.types[0].code[0].toUpperCase() + e.types[0].code.slice(1)); set(o, WRONG[e.types[1].code] ?? {}, e.name + e.types[1].code[0].toUpperCase() + e.types[1].code.slice(1)); });
    const inner = depth < 2 ? placeOf(place, e, e.types[0] ?? { code: 'BackboneElement' }) : undefined;
    if (inner && !primitive && t !== 'Reference' && t !== 'Extension' && t !== 'Resource') out.push(...faultsAt(type, inner, where, (o, v, k) => { const child: Json = {}; child[k] = v; set(o, one(child), key); }, depth + 1));
  }
  return out;
}

describe('mutations of', () => {
  it.each(STORED_TYPES)('%s: every fault is caught, at its place', (type) => {
    const base = validatorOf({ strictProfiles: false, production: false });
    expect(errors(VALID[type], base)).toEqual([]);
    const faults = faultsAt(type, rootPlace(type) as Place, type, (o, v, k) => { o[k] = v; }, 0);
    expect(faults.length).toBeGreaterThan(type === 'Binary' ? 4 : 50);
    expect(faults.filter((f) => errors(f.resource, base).length === 0).map((f) => `${f.where}: ${f.what}`)).toEqual([]);
  });
});

it.each<[string, Json]>([
  ['ppc-1', { ...VALID.Consent, policy: undefined }], ['sev-1', { ...VALID.AuditEvent, entity: [{ name: 'x', query: 'eA==' }] }], ['pat-1', { ...VALID.Patient, contact: [{ gender: 'male' }] }],
  ['org-1', { resourceType: 'Organization', active: true }], ['org-2', { ...VALID.Organization, address: [{ use: 'home', city: 'x' }] }], ['org-3', { ...VALID.Organization, telecom: [{ use: 'home', system: 'phone', value: '1' }] }],
  ['lst-1', { ...VALID.List, emptyReason: { text: 'x' }, entry: [{ item: { display: 'x' } }] }], ['lst-2', { ...VALID.List, entry: [{ deleted: true, item: { display: 'x' } }] }], ['lst-3', { ...VALID.List, mode: 'changes', entry: [{ date: '2026-01-01', item: { display: 'x' } }] }],
  ['per-1', { ...VALID.Patient, name: [{ family: 'x', period: { start: '2026-02-01', end: '2026-01-01' } }] }], ['att-1', { ...VALID.Patient, photo: [{ data: 'eA==' }] }], ['cpt-2', { ...VALID.Patient, telecom: [{ value: '1' }] }],
  ['dom-2', { ...VALID.Patient, managingOrganization: { reference: '#a' }, contained: [{ resourceType: 'Organization', id: 'a', name: 'x', contained: [{ resourceType: 'Organization', id: 'b', name: 'x' }] }] }], ['dom-3', { ...VALID.Patient, contained: [{ resourceType: 'Organization', id: 'a', name: 'x' }] }],
  ['dom-4', { ...VALID.Patient, managingOrganization: { reference: '#a' }, contained: [{ resourceType: 'Organization', id: 'a', name: 'x', meta: { versionId: '1' } }] }],
])('the broken invariant %s is caught', (key, resource) => {
  expect(errors(JSON.parse(JSON.stringify(resource)), validatorOf({ strictProfiles: false, production: false })).map((e) => e.split(' ')[0])).toContain(key);
});

describe('profiles that cannot be used', () => {
  const sd = (url: string, baseDefinition: string, element: Json[] = []): Json => ({ resourceType: 'StructureDefinition', url, type: 'Patient', kind: 'resource', derivation: 'constraint', baseDefinition, differential: { element } });
  it.each<[string, Json[], RegExp]>([
    ['a cycle', [sd('urn:a', 'urn:b'), sd('urn:b', 'urn:a')], /derives from itself/],
    ['an unknown base', [sd('urn:a', 'urn:none')], /not known here/],
    ['too many elements', [sd('urn:a', 'http://hl7.org/fhir/StructureDefinition/Patient', Array.from({ length: 6_000 }, (_, i) => ({ id: `Patient.name:s${i}`, path: 'Patient.name' })))], /more than/],
  ])('%s: said, bounded', (_name, profiles, text) => {
    const v = validatorOf({ strictProfiles: false, production: false, profiles });
    const issues = v({ resourceType: 'Patient', id: 'x' }, { profile: 'urn:a' });
    expect(issues.find((i) => i.reason === 'bad-profile')?.text).toMatch(text);
  });
  it('an invariant that does not parse is no fault of the instance', () => {
    const v = validatorOf({ strictProfiles: false, production: false, profiles: [sd('urn:a', 'http://hl7.org/fhir/StructureDefinition/Patient', [{ id: 'Patient', path: 'Patient', constraint: [{ key: 'x', severity: 'error', expression: '((((' }] }])] });
    expect(v({ resourceType: 'Patient', id: 'x' }, { profile: 'urn:a' })).toEqual([]);
  });
  it('profiles that name each other end', () => {
    const element = (target: string): Json[] => [{ id: 'Patient.contained', path: 'Patient.contained', type: [{ code: 'Patient', profile: [target] }] }];
    const v = validatorOf({ strictProfiles: false, production: false, profiles: [sd('urn:a', 'http://hl7.org/fhir/StructureDefinition/Patient', element('urn:b')), sd('urn:b', 'http://hl7.org/fhir/StructureDefinition/Patient', element('urn:a'))] });
    expect(Array.isArray(v({ resourceType: 'Patient', contained: [{ resourceType: 'Patient', id: 'y' }], managingOrganization: { reference: '#y' } } as never, { profile: 'urn:a' }))).toBe(true);
  });
});
