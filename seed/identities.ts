// Fictitious French identities: names, communes, INS test numbers with valid keys (facts 2.2, 2.4).
import type { Json } from '../server/fhir/types.ts';
import { ninKey } from '../server/validation/identifiers.ts';
import type { Random } from './random.ts';

const FAMILIES = 'Martin Bernard Thomas Petit Robert Richard Durand Dubois Moreau Laurent Simon Michel Lefèvre Leroy Roux David Bertrand Morel Fournier Girard Bonnet Dupont Lambert Fontaine Rousseau Vincent Müller Lefebvre Faure André Mercier Blanc Guérin Boyer Garnier Chevalier François Legrand Gauthier Garcia Perrin Robin Clément Morin Nicolas Henry Roussel Mathieu Gautier Masson Marchand Duval Denis Dumont Marie Lemaire Noël Meyer Dufour Meunier Brun Blanchard Giraud Joly Rivière Lucas Brunet Gaillard Barbier Arnaud Martinez Gérard Roche Renard Schmitt Roy Leroux Colin Vidal Caron Picard Roger Fabre Aubert Lemoine Renaud Dumas Lacroix Olivier Philippe Bourgeois Pierre Benoît Rey Leclerc Payet Rolland Leclercq Guillaume Lecomte López Jean Dupuy Guillot Hubert Berger Carpentier Sánchez Dupuis Moulin Louis Deschamps Huet Vasseur Pérez Boucher Fleury Royer Klein Jacquet Adam Paris Poirier Marty Aubry Guyot Carré Charles Renault Charpentier Ménard Maillard Baron Bertin Bailly Hervé Schneider Fernández Le Gall Collet Léger Bouvier Julien Prévost Millet Perrot Daniel Cousin Germain Breton Besson Langlois Rémy Pelletier Lévêque Perrier Leblanc Barré Lebrun Marchal Weber Mallet Hamon Boulanger Jacob Monnier Michaud Rodríguez Guichard Gillet Étienne Grondin Poulain Tessier Chevallier Collin Chauvin Bouchet Gay Lemaître Bénard Maréchal Humbert Reynaud Antoine Hoarau Perret Barthélemy Cordier Pichon Lejeune Gilbert Lamy Delaunay Pasquier Carlier Laporte'.split(' ');
const WOMEN = 'Camille Léa Manon Chloé Emma Inès Jade Louise Lina Zoé Alice Anaïs Élise Hélène Françoise Nathalie Isabelle Sylvie Catherine Martine Monique Jacqueline Sandrine Céline Aurélie Élodie Margaux Noémie Agathe Rose Jeanne Yvette Andrée Simone Thérèse Odette Maëlys Océane Pauline Sarah'.split(' ');
const MEN = 'Lucas Hugo Enzo Louis Gabriel Jules Arthur Raphaël Léo Adam Nathan Théo Maxime Antoine Alexandre Nicolas Julien Thomas Pierre Jean Michel Philippe Alain Patrick Bernard Christophe Stéphane Frédéric Laurent Olivier Éric Thierry Sébastien Benoît François Rémi Jérôme Matthieu Gérard Marcel'.split(' ');

/** Commune, INSEE code, postal code, region. */
const COMMUNES: [string, string, string, string][] = [
  ['Paris', '75056', '75011', 'Île-de-France'], ['Lyon', '69123', '69003', 'Auvergne-Rhône-Alpes'], ['Marseille', '13055', '13005', "Provence-Alpes-Côte d'Azur"], ['Toulouse', '31555', '31000', 'Occitanie'],
  ['Nantes', '44109', '44000', 'Pays de la Loire'], ['Strasbourg', '67482', '67000', 'Grand Est'], ['Bordeaux', '33063', '33000', 'Nouvelle-Aquitaine'], ['Lille', '59350', '59000', 'Hauts-de-France'],
  ['Rennes', '35238', '35000', 'Bretagne'], ['Dijon', '21231', '21000', 'Bourgogne-Franche-Comté'], ['Rouen', '76540', '76000', 'Normandie'], ['Orléans', '45234', '45000', 'Centre-Val de Loire'],
  ['Ajaccio', '2A004', '20000', 'Corse'], ['Bastia', '2B033', '20200', 'Corse'], ['Limoges', '87085', '87000', 'Nouvelle-Aquitaine'], ['Brest', '29019', '29200', 'Bretagne'],
];

/** The OID of test identities (INS-NIR-TEST). */
const INS_TEST = 'urn:oid:1.2.250.1.213.1.4.10';

/** A 13-character number of a sex, month of birth and commune, then its key. */
function nir(sex: 'male' | 'female', birth: Date, insee: string, order: number): string {
  const body = `${sex === 'male' ? 1 : 2}${String(birth.getUTCFullYear() % 100).padStart(2, '0')}${String(birth.getUTCMonth() + 1).padStart(2, '0')}${insee}${String(order % 1000).padStart(3, '0')}`;
  return body + ninKey(body);
}

export type Identity = { family: string; given: string; gender: 'male' | 'female'; birth: Date; ins: string; commune: (typeof COMMUNES)[number] };

/** An identity; `order` keeps numbers distinct. */
export function identity(r: Random, order: number, age?: [number, number]): Identity {
  const gender = r.chance(0.5) ? 'male' : 'female';
  const years = r.whole(...(age ?? [1, 95]));
  const birth = new Date(Date.UTC(2026 - years, r.whole(0, 11), r.whole(1, 28)));
  const commune = r.pick(COMMUNES);
  // Beyond the first thousand, a birth place of the same department keeps numbers distinct.
  const place = order < 1000 ? commune[1] : `${commune[1].slice(0, 2)}${String(1 + (Math.floor(order / 1000) * 37 + r.whole(0, 36)) % 990).padStart(3, '0')}`;
  return { family: r.pick(FAMILIES), given: r.pick(gender === 'male' ? MEN : WOMEN), gender, birth, ins: nir(gender, birth, place, order), commune };
}

export function patientResource(i: Identity, id: string, extra: Json = {}): Json {
  return {
    resourceType: 'Patient', id,
    identifier: [{ use: 'official', type: { coding: [{ system: 'https://hl7.fr/ig/fhir/core/CodeSystem/fr-core-cs-v2-0203', code: 'INS-NIR-TEST' }] }, system: INS_TEST, value: i.ins }],
    active: true,
    name: [{ use: 'official', family: i.family, given: [i.given] }],
    telecom: [{ system: 'phone', value: `06 39 98 ${i.ins.slice(9, 11)} ${i.ins.slice(11, 13)}` }],
    gender: i.gender,
    birthDate: i.birth.toISOString().slice(0, 10),
    address: [{ city: i.commune[0], postalCode: i.commune[2], state: i.commune[3], country: 'FR' }],
    ...extra,
  };
}
