// The operations offered, as data: routes, OperationDefinitions and the CapabilityStatement come from here.
import type { Json } from '../fhir/types.ts';
import { OWN } from '../policy/vocabulary.ts';
import type { Context, Request, Response } from './context.ts';
import { accessHistoryOperation } from './access-history.ts';
import { dmpStatus } from './dmp-status.ts';
import { docref } from './docref.ts';
import { eraseRecordOperation } from './erase-record.ts';
import { explain } from './explain.ts';
import { exportRecord } from './export-record.ts';
import { generateMetadata } from './generate-metadata.ts';
import { merge, move } from './registry.ts';
import { summarySheet } from './summary-sheet.ts';
import { expand, lookup, subsumes, translate, validateCode } from './terminology.ts';
import { validateOperation } from './validate.ts';

type Parameter = [name: string, use: 'in' | 'out', min: number, max: string, type: string, documentation: string];

export type Operation = {
  name: string;
  types: string[] | '*';
  system: boolean;
  type: boolean;
  instance: boolean;
  affectsState: boolean;
  /** Canonical URL of its definition. */
  definition: string;
  title: string;
  parameters: Parameter[];
  run(ctx: Context, call: { type?: string; id?: string; req: Request }): Promise<Response>;
};

const own = (name: string): string => `${OWN}/OperationDefinition/${name}`;
const onInstance = { system: false, type: false, instance: true };
const decisions: Parameter[] = [
  ['record', 'out', 1, '1', 'BackboneElement', 'What hangs on the professional and the record alone: decision, rule, consent.'],
  ['document', 'out', 0, '*', 'BackboneElement', 'Each document that the asker sees: reference, decision, rule, consent.'],
  ['more', 'out', 1, '1', 'boolean', 'Whether further documents stand.'],
];

const hl7 = (name: string): string => `http://hl7.org/fhir/OperationDefinition/${name}`;
const onBoth = { system: false, type: true, instance: true, affectsState: false, parameters: [] };

export const operations: Operation[] = [
  { name: 'validate', types: '*', system: false, type: true, instance: true, affectsState: false, definition: 'http://hl7.org/fhir/OperationDefinition/Resource-validate', title: 'Validate a resource', parameters: [], run: validateOperation },
  { name: 'expand', types: ['ValueSet'], ...onBoth, definition: hl7('ValueSet-expand'), title: 'Expand a value set', run: expand },
  { name: 'validate-code', types: ['ValueSet'], ...onBoth, definition: hl7('ValueSet-validate-code'), title: 'Whether a code is in a value set', run: validateCode },
  { name: 'validate-code', types: ['CodeSystem'], ...onBoth, definition: hl7('CodeSystem-validate-code'), title: 'Whether a code is in a code system', run: validateCode },
  { name: 'lookup', types: ['CodeSystem'], ...onBoth, definition: hl7('CodeSystem-lookup'), title: 'What a code means', run: lookup },
  { name: 'subsumes', types: ['CodeSystem'], ...onBoth, definition: hl7('CodeSystem-subsumes'), title: 'Whether a code subsumes another', run: subsumes },
  { name: 'translate', types: ['ConceptMap'], ...onBoth, definition: hl7('ConceptMap-translate'), title: 'Translate a code', run: translate },
  {
    name: 'dmp-status', types: ['Patient'], ...onInstance, affectsState: false, definition: own('dmp-status'), title: 'Whether a record exists and is open, and of the caller alone: authorised or not, médecin traitant or not',
    parameters: [['exists', 'out', 1, '1', 'boolean', 'A record was opened, opposed or closed once.'], ['open', 'out', 1, '1', 'boolean', 'It is open.'], ['status', 'out', 1, '1', 'code', 'none | open | opposed | closed'], ['authorised', 'out', 1, '1', 'boolean', 'The caller may consult.'], ['treating', 'out', 1, '1', 'boolean', 'The caller is the médecin traitant.']],
    run: dmpStatus,
  },
  {
    name: 'explain', types: ['Patient'], ...onInstance, affectsState: false, definition: own('explain'), title: 'What a given professional would be allowed in this record, by which rule and Consent',
    parameters: [
      ['practitioner', 'in', 1, '1', 'Reference', 'The professional.'], ['organization', 'in', 0, '1', 'Reference', "Where they work; else as their PractitionerRole says."], ['profession', 'in', 0, '1', 'code', 'TRE_G15'], ['specialty', 'in', 0, '1', 'code', 'TRE_R38'], ['sector', 'in', 0, '1', 'code', 'TRE_R02'],
      ['mode', 'in', 0, '1', 'code', 'normal | bris_de_glace | centre_15'], ['document', 'in', 0, '1', 'Reference', 'One document only.'], ['_count', 'in', 0, '1', 'integer', 'Most documents to tell of.'], ...decisions,
    ],
    run: explain,
  },
  {
    name: 'access-history', types: ['Patient'], ...onInstance, affectsState: false, definition: own('access-history'), title: 'Who did what in the record, as a person reads it; JSON or CSV (Accept: text/csv)',
    parameters: [['date', 'in', 0, '*', 'date', 'As a search takes it.'], ['_count', 'in', 0, '1', 'integer', 'Lines a page.'], ['_cursor', 'in', 0, '1', 'string', 'As the page before gave it.'], ['access', 'out', 0, '*', 'BackboneElement', 'at, who, profession, establishment, action, document, mode, reason, rule, consent'], ['next', 'out', 0, '1', 'uri', 'The next page.']],
    run: accessHistoryOperation,
  },
  { name: 'docref', types: ['DocumentReference'], system: false, type: true, instance: false, affectsState: false, definition: 'http://hl7.org/fhir/uv/ipa/OperationDefinition/docref', title: 'The documents of a patient, by dates and type', parameters: [], run: docref },
  { name: 'generate-metadata', types: ['DocumentReference'], system: false, type: true, instance: false, affectsState: true, definition: 'https://profiles.ihe.net/ITI/MHD/OperationDefinition/generate-metadata', title: 'Deposits a CDA R2 or FHIR document with the metadata that it tells (ITI-106)', parameters: [['document', 'in', 1, '1', 'Resource', 'A Binary, or a Bundle of type document.'], ['DocumentReference', 'out', 1, '1', 'Reference', 'Where it was deposited.']], run: generateMetadata },
  {
    name: 'summary-sheet', types: ['Patient'], ...onInstance, affectsState: false, definition: own('summary-sheet'), title: 'Latest synthesis, allergies and blood group, directives, vaccinations, trusted person',
    parameters: [['synthesis', 'out', 0, '1', 'BackboneElement', 'The latest.'], ['allergiesAndBloodGroup', 'out', 0, '1', 'BackboneElement', 'Medical profile, transfusion summary.'], ['directives', 'out', 0, '1', 'BackboneElement', 'Advance directives and wishes.'], ['vaccinations', 'out', 0, '1', 'BackboneElement', 'The latest five.'], ['trustedPerson', 'out', 0, '1', 'BackboneElement', 'Contacts and related persons.'], ['notice', 'out', 0, '1', 'code', 'Why nothing is shown.']],
    run: summarySheet,
  },
  {
    name: 'export-record', types: ['Patient'], ...onInstance, affectsState: false, definition: own('export-record'), title: 'All that the patient sees of the record: NDJSON, or a zip with the original files (Accept: application/zip)',
    parameters: [['_format', 'in', 0, '1', 'string', 'ndjson | zip']], run: exportRecord,
  },
  { name: 'move', types: ['DocumentReference'], ...onInstance, affectsState: true, definition: own('move'), title: "Move a misfiled document into another patient's record", parameters: [['patient', 'in', 1, '1', 'Reference', 'The patient whose it is.'], ['moved', 'out', 1, '1', 'integer', 'Documents moved.']], run: move },
  { name: 'merge', types: ['Patient'], ...onInstance, affectsState: true, definition: own('merge'), title: 'Merge a duplicate into the Patient that stays', parameters: [['target', 'in', 1, '1', 'Reference', 'The Patient that stays.'], ['moved', 'out', 1, '1', 'integer', 'Resources moved.']], run: merge },
  {
    name: 'erase-record', types: ['Patient'], ...onInstance, affectsState: true, definition: own('erase-record'), title: 'Erase the documents of a record for good',
    parameters: [['confirm', 'in', 1, '1', 'code', '`erase`'], ['erased', 'out', 1, '1', 'integer', 'Resources erased.']], run: eraseRecordOperation,
  },
];

/** The OperationDefinitions of this server's own operations. */
export const operationDefinitions = (): Json[] =>
  operations.filter((o) => o.definition.startsWith(OWN)).map((o) => ({
    resourceType: 'OperationDefinition', id: o.name, url: o.definition, name: o.name.split('-').map((w) => w[0].toUpperCase() + w.slice(1)).join(''), title: o.title, status: 'active', kind: 'operation', code: o.name, affectsState: o.affectsState,
    resource: o.types === '*' ? ['Resource'] : o.types, system: o.system, type: o.type, instance: o.instance,
    ...(o.parameters.length ? { parameter: o.parameters.map(([name, use, min, max, type, documentation]) => ({ name, use, min, max, documentation, ...(type === 'BackboneElement' ? { part: [{ name: 'value', use, min: 0, max: '*', type: 'string' }] } : { type }) })) } : {}),
  }));
