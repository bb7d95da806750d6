// Fictitious organisations and professionals; the first of each kind have ids that the tour names.
import type { Json } from '../server/fhir/types.ts';
import { withLuhn } from '../server/validation/identifiers.ts';
import { FINESS, G15, R02, R38, RPPS } from '../server/policy/vocabulary.ts';
import type { Random } from './random.ts';


export type Org = { id: string; name: string; sector: string };
export type Pro = { id: string; family: string; given: string; profession: string; specialty?: string; org: string };

export const ORGS: Org[] = [
  { id: 'chu-demo', name: 'CHU de démonstration', sector: 'SA01' },
  { id: 'labo-demo', name: 'Laboratoire des Tilleuls (démonstration)', sector: 'SA25' },
  { id: 'cabinet-demo', name: 'Cabinet médical du Marché (démonstration)', sector: 'SA08' },
  { id: 'pharmacie-demo', name: 'Pharmacie du Pont (démonstration)', sector: 'SA33' },
  { id: 'samu-demo', name: 'SAMU de démonstration', sector: 'SA50' },
  { id: 'cnam-demo', name: 'Assurance maladie (démonstration)', sector: 'SA24' },
  { id: 'entreprise-demo', name: 'Service de prévention en entreprise (démonstration)', sector: 'SA13' },
  { id: 'clinique-demo', name: 'Clinique des Acacias (démonstration)', sector: 'SA04' },
];

export const PROS: Pro[] = [
  { id: 'dr-martin', family: 'Martin', given: 'Hélène', profession: '10', specialty: 'SM26', org: 'cabinet-demo' },
  { id: 'dr-leroy', family: 'Leroy', given: 'Paul', profession: '10', specialty: 'SM04', org: 'chu-demo' },
  { id: 'dr-garnier', family: 'Garnier', given: 'Sonia', profession: '10', specialty: 'SM59', org: 'chu-demo' },
  { id: 'dr-samu', family: 'Picard', given: 'Luc', profession: '10', specialty: 'SM59', org: 'samu-demo' },
  { id: 'dr-biologie', family: 'Tessier', given: 'Anne', profession: '10', specialty: 'SM03', org: 'labo-demo' },
  { id: 'dr-travail', family: 'Collin', given: 'Éric', profession: '10', specialty: 'SM25', org: 'entreprise-demo' },
  { id: 'pharmacien-durand', family: 'Durand', given: 'Marc', profession: '21', org: 'pharmacie-demo' },
  { id: 'dentiste-petit', family: 'Petit', given: 'Claire', profession: '40', org: 'cabinet-demo' },
  { id: 'infirmier-blanc', family: 'Blanc', given: 'Yanis', profession: '60', org: 'cabinet-demo' },
  { id: 'sagefemme-roux', family: 'Roux', given: 'Inès', profession: '50', org: 'clinique-demo' },
];

export const sectorOf = (org: string): string => (ORGS.find((o) => o.id === org) as Org).sector;

export function directoryResources(r: Random): Json[] {
  const orgs = ORGS.map((o, i) => ({
    resourceType: 'Organization', id: o.id, identifier: [{ system: FINESS, value: withLuhn(`7500${String(1000 + i)}`) }], active: true, type: [{ coding: [{ system: R02, code: o.sector }] }], name: o.name,
  }));
  const pros = PROS.flatMap((p, i) => [
    { resourceType: 'Practitioner', id: p.id, identifier: [{ system: RPPS, value: withLuhn(`10${String(100_000_000 + i * 7919 + r.whole(0, 7)).slice(1)}`) }], active: true, name: [{ family: p.family, given: [p.given], prefix: p.profession === '10' ? ['DR'] : [] }].map((n) => (n.prefix.length ? n : { family: n.family, given: n.given })) },
    {
      resourceType: 'PractitionerRole', id: `role-${p.id}`, active: true, practitioner: { reference: `Practitioner/${p.id}` }, organization: { reference: `Organization/${p.org}` },
      code: [{ coding: [{ system: G15, code: p.profession }] }], ...(p.specialty ? { specialty: [{ coding: [{ system: R38, code: p.specialty }] }] } : {}),
    },
  ]);
  return [...orgs, ...pros];
}
