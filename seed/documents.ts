// Fictitious documents of the types that a record holds.
import type { Json, Resource } from '../server/fhir/types.ts';
import { A03, A05, A07, CONFIDENTIALITY, LOINC } from '../server/policy/vocabulary.ts';
import { cda, jpeg, pdf } from './bytes.ts';
import type { Identity } from './identities.ts';

export type Kind = { code: string; display: string; class: string; format: 'pdf' | 'cda' | 'text' | 'jpeg'; by: string };

/** Who deposits what: an organisation's system, a professional, or the patient. */
export const KINDS: Kind[] = [
  { code: '34112-3', display: 'CR hospitalier (séjour)', class: '10', format: 'pdf', by: 'system:chu-demo' },
  { code: '11490-0', display: "Lettre de liaison à la sortie d'un établissement de soins", class: '10', format: 'cda', by: 'system:chu-demo' },
  { code: '18748-4', display: "CR d'imagerie médicale", class: '31', format: 'pdf', by: 'system:chu-demo' },
  { code: '52040-3', display: "Document encapsulant une image d'illustration non DICOM", class: '31', format: 'jpeg', by: 'system:chu-demo' },
  { code: '11502-2', display: "CR d'examens biologiques", class: '10', format: 'cda', by: 'system:labo-demo' },
  { code: '11502-2', display: "CR d'examens biologiques", class: '10', format: 'text', by: 'system:labo-demo' },
  { code: '60591-5', display: 'Synthèse médicale', class: '11', format: 'cda', by: 'dr-martin' },
  { code: '11488-4', display: 'CR ou fiche de consultation ou de visite', class: '10', format: 'text', by: 'dr-martin' },
  { code: 'PROT_ALD', display: 'Protocole de soins ALD', class: '44', format: 'pdf', by: 'dr-martin' },
  { code: '57833-6', display: 'Prescription de produits de santé', class: '42', format: 'pdf', by: 'dr-martin' },
  { code: '11369-6', display: 'Historique des vaccinations', class: '52', format: 'cda', by: 'dr-martin' },
  { code: '60593-1', display: 'Dispensation médicamenteuse', class: '43', format: 'text', by: 'pharmacien-durand' },
  { code: '11506-3', display: 'CR ou fiche de suivi de soins par auxiliaire médical', class: '10', format: 'text', by: 'infirmier-blanc' },
  { code: 'REMB', display: 'Données de remboursement', class: '60', format: 'pdf', by: 'system:cnam-demo' },
  { code: 'EXPPAT_3', display: 'Directives anticipées', class: '90', format: 'pdf', by: 'patient' },
  { code: 'EXPPAT_2', display: 'Autre document du patient', class: '90', format: 'text', by: 'patient' },
];

const MEDIA = { pdf: 'application/pdf', cda: 'text/xml', text: 'text/plain', jpeg: 'image/jpeg' } as const;
const FORMAT = { pdf: 'urn:ihe:iti:xds-sd:pdf:2008', cda: 'urn:asip:ci-sis:vsm:2012', text: 'urn:ihe:iti:xds-sd:text:2008', jpeg: 'urn:ihe:iti-fr:xds-sd:jpeg:2010' } as const;

const systemOfType = (code: string): string => (/^\d+-\d$/.test(code) ? LOINC : A05);

export type DocumentOptions = { kind: Kind; who: Identity; patient: string; uid: string; date: string; author: Json; custodian?: string; labels?: string[]; replaces?: string };

function bytes(o: DocumentOptions): Buffer {
  const title = `${o.kind.display} du ${o.date.slice(0, 10)}`;
  const lines = [title, `${o.who.given} ${o.who.family} (identite fictive)`, `INS de test ${o.who.ins}`, 'Document de demonstration, sans valeur medicale.'];
  if (o.kind.format === 'pdf') return pdf(lines);
  if (o.kind.format === 'cda') return cda({ id: o.uid, code: o.kind.code, display: o.kind.display, time: o.date, ins: o.who.ins, family: o.who.family, given: o.who.given, text: lines.join(' ') });
  return o.kind.format === 'text' ? Buffer.from(`${lines.join('\n')}\n`) : jpeg();
}

const label = (code: string): Json => (code === 'N' || code === 'R' || code === 'V' ? { coding: [{ system: CONFIDENTIALITY, code }] } : { coding: [{ system: A07, code }] });

/** A DocumentReference whose bytes travel in the attachment (ITI-105). */
export function documentResource(o: DocumentOptions): Resource {
  const data = bytes(o);
  return {
    resourceType: 'DocumentReference',
    masterIdentifier: { system: 'urn:ietf:rfc:3986', value: `urn:uuid:${o.uid}` },
    status: 'current',
    type: { coding: [{ system: systemOfType(o.kind.code), code: o.kind.code, display: o.kind.display }] },
    category: [{ coding: [{ system: A03, code: o.kind.class }] }],
    subject: { reference: `Patient/${o.patient}` },
    date: o.date,
    author: [o.author],
    ...(o.custodian ? { custodian: { reference: o.custodian } } : {}),
    ...(o.replaces ? { relatesTo: [{ code: 'replaces', target: { reference: o.replaces } }] } : {}),
    description: o.kind.display,
    securityLabel: (o.labels ?? ['N']).map(label),
    content: [{ attachment: { contentType: MEDIA[o.kind.format], language: 'fr-FR', data: data.toString('base64'), title: o.kind.display, creation: o.date }, format: { system: 'https://mos.esante.gouv.fr/NOS/TRE_A06-FormatCodeComplementaire/FHIR/TRE-A06-FormatCodeComplementaire', code: FORMAT[o.kind.format] } }],
    context: { period: { start: o.date, end: o.date } },
  };
}
