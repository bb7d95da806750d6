// PDSm's constraints that are written in words only (constr-bind-*, constr-cdr-rempl), as code (facts 1.5).
import type { Issue } from '../fhir/errors.ts';
import { asArray, type Json, type Resource } from '../fhir/types.ts';
import { A03, A05, codings, LOINC } from '../policy/vocabulary.ts';

const NOS = 'https://mos.esante.gouv.fr/NOS';
const tre = (slug: string): string => `${NOS}/${slug}/FHIR/${slug.replace('_', '-')}`;

const PDSM = /^https:\/\/(interop\.esante\.gouv\.fr\/ig\/fhir\/pdsm|fhir\.dmp\.example)\/StructureDefinition\/(pdsm-|dmp-document-reference-comprehensive)/;

const SYSTEMS: { key: string; element: string; of: (r: Json) => unknown; systems: string[] }[] = [
  { key: 'constr-bind-type', element: 'type', of: (r) => r.type, systems: [A05, LOINC, tre('TRE_A12-NomenclatureASTM'), tre('TRE_A04-Loinc')] },
  { key: 'constr-bind-category', element: 'category', of: (r) => r.category, systems: [A03, 'urn:oid:1.3.6.1.4.1.19376.1.2.1.1.1'] },
  { key: 'constr-bind-format', element: 'content.format', of: (r) => asArray<Json>(r.content).map((c) => c.format).filter(Boolean), systems: [tre('TRE_A06-FormatCodeComplementaire'), tre('TRE_A11-IheFormatCode'), tre('TRE_A09-DICOMuidRegistry'), 'urn:oid:1.2.840.10008.2.6.1'] },
];

/** Issues of a DocumentReference that claims PDSm's profiles or this server's comprehensive one. */
export function recordIssues(resource: Resource): Issue[] {
  if (resource.resourceType !== 'DocumentReference' || !asArray<string>(resource.meta?.profile).some((p) => PDSM.test(String(p)))) return [];
  const out: Issue[] = [];
  for (const s of SYSTEMS) {
    const own = codings(s.of(resource));
    if (own.length && !own.some((c) => s.systems.includes(c.system))) out.push({ severity: 'error', code: 'code-invalid', reason: s.key, text: `${s.key}: a coding of \`${s.element}\` comes from one of the nomenclatures of the record.`, expression: [`DocumentReference.${s.element}`] });
  }
  const replacing = asArray<Json>(resource.relatesTo).filter((r) => r.code === 'replaces');
  if (replacing.length > 1) out.push({ severity: 'error', code: 'business-rule', reason: 'constr-cdr-rempl', text: 'constr-cdr-rempl: a document replaces one document.', expression: ['DocumentReference.relatesTo'] });
  return out;
}
