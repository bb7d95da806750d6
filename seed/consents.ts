// The Consents of the record's life, as any FHIR client would write them.
import { type ConsentKind, consentProfile } from '../server/policy/consent.ts';
import { CONSENT_SCOPE, OWN } from '../server/policy/vocabulary.ts';
import type { Json, Resource } from '../server/fhir/types.ts';

const ORIGIN = `${OWN}/StructureDefinition/dmp-opening-origin`;
const IRCP = { coding: [{ system: 'http://terminology.hl7.org/CodeSystem/v3-ParticipationType', code: 'IRCP' }] };

export type ConsentOptions = { dateTime: string; actors?: string[]; period?: { start?: string; end?: string }; provision?: Json; origin?: string; /** Whose word was recorded, by whom: W6. */ recordedBy?: string };

/** A Consent of this server's profile. */
export function consent(kind: ConsentKind, patient: string, o: ConsentOptions): Resource {
  const permits = kind === 'opening' || kind === 'authorisation';
  return {
    resourceType: 'Consent',
    meta: { profile: [consentProfile(kind)] },
    ...(o.origin ? { extension: [{ url: ORIGIN, valueCode: o.origin }] } : {}),
    status: 'active',
    scope: { coding: [{ system: CONSENT_SCOPE, code: 'patient-privacy' }] },
    category: [{ coding: [{ system: 'http://loinc.org', code: '59284-0' }] }],
    patient: { reference: `Patient/${patient}` },
    dateTime: o.dateTime,
    performer: [{ reference: `Patient/${patient}` }],
    policy: [{ uri: `${OWN}/policy/dmp` }],
    ...(o.recordedBy ? { verification: [{ verified: true, verifiedWith: { reference: `Patient/${patient}` }, verificationDate: o.dateTime }], organization: [{ reference: o.recordedBy }] } : {}),
    provision: { type: permits ? 'permit' : 'deny', ...(o.period ? { period: o.period } : {}), ...(o.actors ? { actor: o.actors.map((reference) => ({ role: IRCP, reference: { reference } })) } : {}), ...o.provision },
  };
}
