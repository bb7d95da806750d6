// The table of decisions, as data that a lawyer can read: test/policy/cases.
import { expect, it, describe } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { documentOf } from '../../server/access/gate.ts';
import type { Json } from '../../server/fhir/types.ts';
import type { Caller } from '../../server/policy/caller.ts';
import { type CompiledConsent, compileConsent, consentProfile } from '../../server/policy/consent.ts';
import { decide, type Facts } from '../../server/policy/decide.ts';
import { residual } from '../../server/policy/residual.ts';
import { A03, ACT_CODE, ACT_REASON, CONFIDENTIALITY, CONSENT_SCOPE, G15 } from '../../server/policy/vocabulary.ts';
import { extract } from '../../server/search/extract.ts';
import { matches } from '../../server/store/plan.ts';
import { NO_SCALARS, type Row } from '../../server/store/port.ts';
import { book, NOW } from './worlds.ts';

const DAY = 86_400_000;
const base = { issuer: 't', roles: [], scopes: [], mode: 'normal' as const };
const pro = (ref: string, profession: string, sector: string, org: string, specialty?: string): Caller => ({ ...base, kind: 'professional', ref, profession, sector, organization: org, specialty });
const CALLERS: Record<string, Caller> = {
  gp: pro('Practitioner/gp', '10', 'SA07', 'Organization/o', 'SM26'), 'gp-elsewhere': pro('Practitioner/gp', '10', 'SA07', 'Organization/other', 'SM26'), mt: pro('Practitioner/mt', '10', 'SA07', 'Organization/m', 'SM26'),
  insurer: pro('Practitioner/i', '10', 'SA23', 'Organization/i'), expert: pro('Practitioner/e', '10', 'SA07', 'Organization/e', 'SM60'), occupational: pro('Practitioner/w', '10', 'SA13', 'Organization/w', 'SM25'), podologist: pro('Practitioner/pod', '80', 'SA07', 'Organization/pod'),
  system: { ...base, kind: 'system', ref: 'system:o', organization: 'Organization/o', sector: 'SA01' }, patient: { ...base, kind: 'patient', ref: 'Patient/p' }, 'other-patient': { ...base, kind: 'patient', ref: 'Patient/q' },
  representative: { ...base, kind: 'representative', ref: 'RelatedPerson/r' }, 'former-representative': { ...base, kind: 'representative', ref: 'RelatedPerson/former' },
};
const role = { coding: [{ system: 'http://terminology.hl7.org/CodeSystem/v3-ParticipationType', code: 'IRCP' }] };
const to = (reference: Json | string): Json => ({ role, reference: typeof reference === 'string' ? { reference } : reference });
const GP = [to('Practitioner/gp')];
const p = (type: string, actor: Json[] | undefined, more: Json = {}): Json => ({ provision: { type, ...(actor ? { actor } : {}), ...more } });
const CONSENTS: Record<string, Json> = {
  'authorise-all': p('permit', undefined), 'authorise-gp': p('permit', GP), 'authorise-org': p('permit', [to('Organization/o')]), 'authorise-gp-old': { ...p('permit', GP), age: 370 }, 'deny-gp': { ...p('deny', GP), age: 5 }, 'deny-org': p('deny', [to('Organization/o')]),
  'deny-gp-same-time': p('deny', GP), 'deny-gp-older': { ...p('deny', GP), age: 50 }, 'deny-all': p('deny', undefined), 'self-recorded-gp': { ...p('permit', GP), self: true, age: 1 }, 'authorise-group': p('permit', [to('Group/g')]), 'deny-group': p('deny', [to('Group/g')]),
  optout: { policyRule: { coding: [{ system: ACT_CODE, code: 'OPTOUT' }] } }, optin: { policyRule: { coding: [{ system: ACT_CODE, code: 'OPTIN' }] } }, 'deny-gp-research': p('deny', GP, { purpose: [{ system: ACT_REASON, code: 'HRESCH' }] }),
  'authorise-gp-class-10': p('permit', GP, { class: [{ system: A03, code: '10' }] }), 'authorise-gp-class-11': p('permit', GP, { class: [{ system: A03, code: '11' }] }), 'authorise-gp-normal': p('permit', GP, { securityLabel: [{ system: CONFIDENTIALITY, code: 'N' }] }),
  'authorise-gp-restricted': p('permit', GP, { securityLabel: [{ system: CONFIDENTIALITY, code: 'R' }] }), 'authorise-doctors': p('permit', [to({ identifier: { system: G15, value: '10' } })]), 'authorise-gp-inactive': { ...p('permit', GP), status: 'inactive' },
  'authorise-gp-expired': p('permit', GP, { period: { end: '2026-01-01' } }), 'deny-document': p('deny', undefined, { data: [{ meaning: 'instance', reference: { reference: 'DocumentReference/d' } }], actor: GP }), 'authorise-gp-but-class-10': p('permit', GP, { provision: [{ type: 'deny', class: [{ system: A03, code: '10' }] }] }),
  'block-gp': { ...p('deny', GP), kind: 'block' }, 'block-mt': { ...p('deny', [to('Practitioner/mt')]), kind: 'block' }, 'emergency-opposition': { ...p('deny', undefined), kind: 'emergency-opposition' }, 'regulation-opposition': { ...p('deny', undefined), kind: 'regulation-opposition' },
};
const DOCUMENTS: Record<string, Json> = {
  plain: {}, masked: { maskPs: 1 }, 'invisible-patient': { hiddenUntil: NOW + DAY }, 'invisible-patient-old': { hiddenUntil: NOW }, 'invisible-representatives': { invRep: 1 }, 'by-gp': { depositor: 'Practitioner/gp' }, 'by-gp-masked': { depositor: 'Practitioner/gp', maskPs: 1 },
  'by-system-author-gp': { depositor: 'system:o', depositorOrg: 'Organization/o', bySystem: 1, authors: ',Practitioner/gp,' }, delivery: { type: '15508-5' }, 'unknown-type': { type: '0-0' }, restricted: { conf: 1 },
};

function consentOf(name: string): CompiledConsent {
  const c = CONSENTS[name];
  if (!c) throw new Error(`no consent ${name}`);
  const at = NOW - (c.age ?? 10) * DAY;
  return compileConsent({ id: name, received: at, selfRecorded: c.self === true, roles: {}, resource: { status: c.status ?? 'active', scope: { coding: [{ system: CONSENT_SCOPE, code: 'patient-privacy' }] }, dateTime: new Date(at).toISOString(), ...(c.kind ? { meta: { profile: [consentProfile(c.kind)] } } : {}), policyRule: c.policyRule, provision: c.provision } });
}

function life(kind: string): CompiledConsent[] {
  const names = { none: [], open: ['opening'], opposed: ['opposition'], closed: ['opening', 'closing'] }[kind] as string[];
  return names.map((k, i) => compileConsent({ id: k, received: NOW - (500 - i) * DAY, selfRecorded: false, roles: {}, resource: { status: 'active', scope: { coding: [{ system: CONSENT_SCOPE, code: 'patient-privacy' }] }, dateTime: new Date(NOW - (500 - i) * DAY).toISOString(), meta: { profile: [consentProfile(k as never)] }, provision: { type: 'permit' } } }));
}

describe('reading a document', () => {
  const cases = JSON.parse(readFileSync('test/policy/cases/read.json', 'utf8')) as Json[];
  it.each(cases.map((c) => [c.say, c] as [string, Json]))('%s', (_say, c) => {
    const facts: Facts = { patient: 'p', epoch: 1, treating: ['Practitioner/mt'], majority: undefined, held: c.held === true, representatives: [{ ref: 'RelatedPerson/r', from: 0, until: NOW + DAY }, { ref: 'RelatedPerson/former', from: 0, until: NOW - DAY }], consents: [...life(c.record ?? 'open'), ...(c.consents ?? []).map(consentOf)] };
    const { type = '34112-3', ...over } = DOCUMENTS[c.document ?? 'plain'];
    const codes = [{ system: 'http://loinc.org', code: type }];
    const resource = { resourceType: 'DocumentReference', id: 'd', type: { coding: codes }, category: [{ coding: [{ system: A03, code: '10' }] }] };
    const row: Row = { type: 'DocumentReference', id: 'd', version: 1, updated: NOW, deleted: false, method: 'POST', text: JSON.stringify(resource), scalars: { ...NO_SCALARS, patient: 'p', date: NOW - DAY, opens: book.matrix.opens(codes), matrix: book.matrix.version, ...over } };
    const caller: Caller = { ...CALLERS[c.caller], mode: c.mode ?? 'normal' };
    const own = { ...book, occupationalMedicine: c.occupational ?? ('never' as const) };
    const decision = decide(caller, documentOf(row), facts, own, NOW);
    expect({ permit: decision.permit, rule: decision.rule }).toEqual({ permit: c.permit, rule: c.rule });
    expect(matches(residual(caller, facts, own, NOW), row, extract(resource, 'http://b').entries)).toBe(c.permit);
  });
});
