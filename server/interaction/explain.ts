// Patient/$explain: what a given professional would be allowed in this record, and why. For the patient, the representative, the médecin traitant.
import { explain as explained, mayExplain } from '../access/explain.ts';
import * as errors from '../fhir/errors.ts';
import { relativeReference } from '../fhir/reference.ts';
import type { Json } from '../fhir/types.ts';
import type { AccessMode } from '../policy/caller.ts';
import type { Decision } from '../policy/decide.ts';
import type { Context, Request, Response } from './context.ts';
import { parametersIn } from './parameters.ts';

const MODES = ['normal', 'bris_de_glace', 'centre_15'];

const decisionParts = (d: Decision): Json[] => [
  { name: 'decision', valueCode: d.permit ? 'permit' : 'deny' },
  { name: 'rule', valueCode: d.rule },
  ...d.consents.map((c) => ({ name: 'consent', valueReference: { reference: `Consent/${c}` } })),
];

export async function explain(ctx: Context, { id, req }: { id?: string; req: Request }): Promise<Response> {
  ctx.records.requireScope('Consent', 'r');
  const patient = (await ctx.records.read('Patient', id as string)).id;
  if (!(await mayExplain(ctx.records, patient))) throw errors.forbidden('Decisions are explained to the patient, the representative and the médecin traitant.', 'not-entitled');
  const p = parametersIn(req);
  const practitioner = relativeReference(p('practitioner'), ctx.settings.base);
  if (!practitioner?.startsWith('Practitioner/')) throw errors.invalidParameter('`practitioner` is a reference to a Practitioner.');
  const organization = p('organization') === undefined ? undefined : relativeReference(p('organization'), ctx.settings.base);
  const mode = p('mode') ?? 'normal';
  if (!MODES.includes(mode)) throw errors.invalidParameter(`\`mode\` is one of ${MODES.join(', ')}.`);
  const document = p('document') === undefined ? undefined : relativeReference(p('document'), ctx.settings.base);
  if (p('document') !== undefined && !document?.startsWith('DocumentReference/')) throw errors.invalidParameter('`document` is a reference to a DocumentReference.');
  const count = Math.min(Number(/^\d{1,4}$/.exec(p('_count') ?? '')?.[0] ?? 50), ctx.settings.limits.count);
  const e = await explained(ctx.records, patient, { practitioner, organization, profession: p('profession'), specialty: p('specialty'), sector: p('sector'), mode: mode as AccessMode }, document?.slice('DocumentReference/'.length), count);
  const parameter: Json[] = [
    { name: 'practitioner', valueReference: { reference: practitioner } },
    ...(e.caller.organization ? [{ name: 'organization', valueReference: { reference: e.caller.organization } }] : []),
    ...(['profession', 'specialty', 'sector', 'mode'] as const).flatMap((k) => (e.caller[k] ? [{ name: k, valueCode: e.caller[k] }] : [])),
    { name: 'record', part: e.refusal ? decisionParts(e.refusal) : [{ name: 'decision', valueCode: 'depends-on-document' }] },
    ...e.documents.map((d) => ({ name: 'document', part: [{ name: 'reference', valueReference: { reference: `DocumentReference/${d.id}` } }, ...decisionParts(d.decision)] })),
    { name: 'more', valueBoolean: e.more },
  ];
  return { status: 200, headers: {}, resource: { resourceType: 'Parameters', parameter } };
}
