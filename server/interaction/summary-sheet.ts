// Patient/$summary-sheet: what a professional looks at first, in one call, gated like all else.
import { found } from '../access/collect.ts';
import { FhirError } from '../fhir/errors.ts';
import { asArray, type Json } from '../fhir/types.ts';
import type { Context, Request, Response } from './context.ts';

const A05 = 'https://mos.esante.gouv.fr/NOS/TRE_A05-TypeDocComplementaire/FHIR/TRE-A05-TypeDocComplementaire';
const LOINC = 'http://loinc.org';

/** Sections of the sheet: the types that each shows, and how many of the latest. Allergies and blood group stand in the synthesis and the medical profile. */
const SECTIONS: { name: string; types: string[]; latest: number }[] = [
  { name: 'synthesis', types: [`${LOINC}|60591-5`, `${A05}|SYNTH`], latest: 1 },
  { name: 'allergiesAndBloodGroup', types: [`${A05}|DOCPAT08`, `${LOINC}|84067-8`], latest: 2 },
  { name: 'directives', types: [`${A05}|EXPPAT_3`, `${A05}|EXPPAT_1`], latest: 2 },
  { name: 'vaccinations', types: [`${LOINC}|11369-6`, `${LOINC}|87273-9`, `${LOINC}|96874-3`], latest: 5 },
];

export async function summarySheet(ctx: Context, { id }: { id?: string; req: Request }): Promise<Response> {
  ctx.records.requireScope('DocumentReference', 's');
  const view = await ctx.records.read('Patient', id as string);
  const patient = JSON.parse(view.text) as Json;
  const parameter: Json[] = [];
  for (const s of SECTIONS) {
    const documents = await found(ctx.records, 'DocumentReference', [['patient', view.id], ['status', 'current'], ['type', s.types.join(',')], ['_sort', '-date']], s.latest);
    if (documents.length) parameter.push({ name: s.name, part: documents.map((d) => ({ name: 'document', resource: JSON.parse(d.text) })) });
  }
  const trusted = asArray<Json>(patient.contact);
  const related = await found(ctx.records, 'RelatedPerson', [['patient', view.id]], 20).catch((e) => {
    // Without the scope the sheet has no related persons; any other failure is one.
    if (e instanceof FhirError && e.status === 403) return [];
    throw e;
  });
  if (trusted.length || related.length) parameter.push({ name: 'trustedPerson', part: [...trusted.map((c) => ({ name: 'contact', resource: { resourceType: 'Patient', id: view.id, contact: [c] } })), ...related.map((r) => ({ name: 'relatedPerson', resource: JSON.parse(r.text) }))] });
  const refusal = await ctx.records.gate.refusal(view.id);
  if (refusal) parameter.push({ name: 'notice', valueCode: refusal.rule === 'blocked' ? 'no-consent' : refusal.rule });
  return { status: 200, headers: {}, resource: { resourceType: 'Parameters', ...(parameter.length ? { parameter } : {}) } };
}
