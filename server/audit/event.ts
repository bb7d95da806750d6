// Interaction + decision → AuditEvents in IHE BALP form, one per patient concerned (A1). https://profiles.ihe.net/ITI/BALP/
import { instant, type Json } from '../fhir/types.ts';
import { ACT_REASON, R248 } from '../policy/vocabulary.ts';
import type { Caller } from '../policy/caller.ts';
import type { AuditRow } from '../store/port.ts';
import { iheSubtype, PROVIDE_BUNDLE, transactionOf } from './mhd.ts';
import { eventTerms } from './terms.ts';

const BALP = 'https://profiles.ihe.net/ITI/BALP';
const DCM = 'http://dicom.nema.org/resources/ontology/DCM';
const REST = 'http://hl7.org/fhir/restful-interaction';
const PARTICIPATION = 'http://terminology.hl7.org/CodeSystem/v3-ParticipationType';
const ENTITY_TYPE = 'http://terminology.hl7.org/CodeSystem/audit-entity-type';
const OBJECT_ROLE = 'http://terminology.hl7.org/CodeSystem/object-role';
const SOURCE_TYPE = 'http://terminology.hl7.org/CodeSystem/security-source-type';

export type InteractionKind = 'read' | 'vread' | 'history-instance' | 'search-type' | 'create' | 'update' | 'patch' | 'delete' | 'operation' | 'batch' | 'transaction' | 'capabilities';

export type Act = {
  kind: InteractionKind;
  type?: string;
  id?: string;
  operation?: string;
  /** The request as it came, for a search: path and parameters, never a body of another kind. */
  query?: string;
  /** An entry of a transaction. */
  bundled?: boolean;
};

export type Shown = { ref: string; patient: string | null; documents: string[]; rule?: string; consents: string[] };
export type Refusal = { patient: string | null; rule: string; consents: string[]; documents: string[] };

export type AuditInput = {
  act: Act;
  caller: Caller | undefined;
  requestId: string;
  now: number;
  remote?: string;
  resources: Shown[];
  patients: string[];
  refusals: Refusal[];
  outcome: { code: '0' | '4' | '8' | '12'; text?: string };
};

export type AuditContext = { site: string; base: string; newId: () => string };

/** MHD's profiles ask for displays too. */
type Code = [system: string, code: string, display?: string];

type Profile = { name: string; subtype: string; action: string; client: Code; server: Code; user: string };

const SOURCE: Code = [DCM, '110153', 'Source Role ID'];
const DESTINATION: Code = [DCM, '110152', 'Destination Role ID'];
const DELETE_CLIENT: Code = [DCM, '110150'];
const CUSTODIAN: Code = ['http://terminology.hl7.org/CodeSystem/provenance-participant-type', 'custodian'];

const READ = { action: 'R', client: DESTINATION, server: SOURCE, user: 'IRCP', name: 'Read' };
const WRITE = { action: 'U', client: SOURCE, server: DESTINATION, user: 'AUT', name: 'Update' };
const QUERY = { name: 'Query', action: 'E', client: SOURCE, server: DESTINATION, user: 'IRCP' };

const PROFILES: Record<InteractionKind, Profile> = {
  read: { ...READ, subtype: 'read' },
  vread: { ...READ, subtype: 'vread' },
  'history-instance': { ...READ, subtype: 'history-instance' },
  'search-type': { ...QUERY, subtype: 'search-type' },
  create: { name: 'Create', subtype: 'create', action: 'C', client: SOURCE, server: DESTINATION, user: 'AUT' },
  update: { ...WRITE, subtype: 'update' },
  patch: { ...WRITE, subtype: 'patch' },
  delete: { name: 'Delete', subtype: 'delete', action: 'D', client: DELETE_CLIENT, server: CUSTODIAN, user: 'CST' },
  operation: { ...QUERY, subtype: 'operation' },
  batch: { ...QUERY, subtype: 'batch' },
  transaction: { ...QUERY, subtype: 'transaction' },
  capabilities: { ...READ, subtype: 'capabilities' },
};

const code = (system: string, c: string, display?: string): Json => ({ coding: [{ system, code: c, ...(display ? { display } : {}) }] });
const purpose = { normal: 'TREAT', bris_de_glace: 'BTG', centre_15: 'ETREAT' } as const;
const purposeOf = (c: Caller): string => (c.kind === 'patient' ? 'PATRQT' : c.kind === 'representative' ? 'FAMRQT' : c.kind === 'system' ? 'TREAT' : purpose[c.mode]);

function userAgent(c: Caller, role: string): Json {
  const purposes = [code(ACT_REASON, purposeOf(c))];
  if (c.kind === 'professional') purposes.push({ coding: [{ system: R248, code: c.mode }], ...(c.reason ? { text: c.reason } : {}) });
  const isReference = /^[A-Z][A-Za-z]+\/[A-Za-z0-9\-.]+$/.test(c.ref);
  return {
    type: code(PARTICIPATION, role),
    who: { ...(isReference ? { reference: c.ref } : {}), ...(c.name || !isReference ? { display: c.name ?? c.ref } : {}) },
    requestor: true,
    ...(c.name ? { name: c.name } : {}),
    ...(c.profession || c.sector ? { role: [c.profession, c.specialty, c.sector].filter(Boolean).map((x) => ({ text: x })) } : {}),
    ...(c.tokenId ? { policy: [`urn:ietf:params:oauth:jti:${encodeURIComponent(c.tokenId)}`] } : {}),
    purposeOfUse: purposes,
  };
}

/** The agents of an interaction as text and index terms: the same for every request of one token from one place. */
type Agents = { text: string; terms: string[] };
const known = new WeakMap<Caller, Map<string, Agents>>();

function agentsOf(input: AuditInput, p: Profile, ctx: AuditContext): Agents {
  const made = (): Agents => {
    const agent = agents(input, p, ctx.site, ctx.base);
    return { text: JSON.stringify(agent), terms: eventTerms({ agent }).terms };
  };
  if (!input.caller) return made();
  let own = known.get(input.caller);
  if (!own) known.set(input.caller, (own = new Map()));
  const key = `${p.subtype} ${input.remote} ${ctx.site} ${ctx.base}`;
  let a = own.get(key);
  if (!a) {
    if (own.size > 100) own.clear();
    own.set(key, (a = made()));
  }
  return a;
}

function agents(input: AuditInput, p: Profile, site: string, base: string): Json[] {
  const c = input.caller;
  const network = { address: input.remote ?? 'unknown', type: '2' };
  const list: Json[] = [
    { type: code(...p.client), who: { display: c?.client ?? 'unknown client' }, requestor: c === undefined, network },
    { type: code(...p.server), who: { display: site }, requestor: false, network: { address: new URL(base).hostname, type: '1' } },
  ];
  if (c) list.push(userAgent(c, p.user));
  if (c?.organization) list.push({ type: code('http://terminology.hl7.org/CodeSystem/v3-RoleClass', 'PROV'), who: { reference: c.organization }, requestor: false });
  return list;
}

const patientEntity = (id: string): Json => ({ what: { reference: `Patient/${id}` }, type: { system: ENTITY_TYPE, code: '1', display: 'Person' }, role: { system: OBJECT_ROLE, code: '1', display: 'Patient' } });
const queryEntity = (query: string): Json => ({ type: { system: ENTITY_TYPE, code: '2' }, role: { system: OBJECT_ROLE, code: '24' }, query: Buffer.from(query).toString('base64') });
const transactionEntity = (id: string): Json => ({ what: { identifier: { value: id } }, type: { system: `${BALP}/CodeSystem/BasicAuditEntityType`, code: 'XrequestId' } });

/** What was touched. BALP has one data entity at most in a profile, of type 2; others, and those that a query disclosed, say their resource type. */
function dataEntities(r: Shown, first: boolean): Json[] {
  let data = first;
  const entity = (ref: string, detail?: Json[]): Json => {
    const type = data ? { system: ENTITY_TYPE, code: '2' } : { system: 'http://hl7.org/fhir/resource-types', code: ref.split('/')[0] };
    data = false;
    return { what: { reference: ref }, type, role: r.ref.startsWith('DocumentReference') || detail ? { system: OBJECT_ROLE, code: '3', display: 'Report' } : { system: OBJECT_ROLE, code: '4' }, ...(detail ? { detail } : {}) };
  };
  const trail = [...(r.rule ? [{ type: 'rule', valueString: r.rule }] : []), ...r.consents.map((c) => ({ type: 'consent', valueString: `Consent/${c}` }))];
  const own = r.documents.filter((d) => r.ref !== `DocumentReference/${d}`).map((d) => entity(`DocumentReference/${d}`, r.ref.startsWith('Binary/') ? [{ type: 'content', valueString: r.ref }, ...trail] : undefined));
  if (r.ref.startsWith('Binary/') && own.length) return own;
  return [entity(r.ref, trail.length ? trail : undefined), ...own];
}

const PER_EVENT = 50;

function chunks<T>(list: T[], n: number): T[][] {
  const out: T[][] = [];
  for (let i = 0; i < list.length; i += n) out.push(list.slice(i, i + n));
  return out.length ? out : [[]];
}

/** The profile's name for one patient: those of BALP that have a patient variant. */
const profileUrl = (name: string, patient: string | null): string => `${BALP}/StructureDefinition/IHE.BasicAudit.${patient === null ? '' : 'Patient'}${name}`;

function rest(input: AuditInput, patient: string | null, resources: Shown[], site: string): Json {
  const p = PROFILES[input.act.kind];
  const data = resources.flatMap((r, i) => dataEntities(r, i === 0 && p.name !== 'Query'));
  // A Create, Read, Update or Delete that reached nothing names what was asked for.
  if (!data.length && input.act.type && input.act.id && p.name !== 'Query') data.push({ what: { reference: `${input.act.type}/${input.act.id}` }, type: { system: ENTITY_TYPE, code: '2' }, role: { system: OBJECT_ROLE, code: '4' } });
  const entity = [
    ...(patient === null ? [] : [patientEntity(patient)]),
    ...(p.name === 'Query' ? [queryEntity(input.act.query ?? input.act.operation ?? input.act.kind)] : []),
    ...data,
    transactionEntity(input.requestId),
  ];
  // BALP's and MHD's profiles are of what succeeded: an attempt that failed claims none; MHD's are of one patient.
  const ihe = patient === null ? undefined : transactionOf(input.act);
  return {
    resourceType: 'AuditEvent',
    ...(input.outcome.code === '0' ? { meta: { profile: [profileUrl(p.name, patient), ...(ihe ? [ihe.profile] : [])] } } : {}),
    type: { system: 'http://terminology.hl7.org/CodeSystem/audit-event-type', code: 'rest' },
    subtype: [{ system: REST, code: p.subtype }, ...(p.subtype === 'history-instance' ? [{ system: REST, code: 'read' }] : []), ...(p.name === 'Query' && p.subtype !== 'search-type' ? [{ system: REST, code: 'search' }] : []), ...(ihe ? [iheSubtype(ihe)] : [])],
    action: p.action,
    recorded: instant(input.now),
    outcome: input.outcome.code,
    ...(input.outcome.text ? { outcomeDesc: input.outcome.text } : {}),
    source: { site, observer: { display: site }, type: [{ system: SOURCE_TYPE, code: '4' }] },
    entity,
  };
}

/** A consent decision that refused: BALP AuthZconsent, outcome 8, the true rule. */
function authz(input: AuditInput, ctx: AuditContext, r: Refusal): Json {
  const consents = r.consents.length ? r.consents : ['none'];
  const client = { type: code(...DELETE_CLIENT), who: { display: input.caller?.client ?? 'unknown client' }, requestor: false, network: { address: input.remote ?? 'unknown', type: '2' } };
  const user = input.caller ? [userAgent(input.caller, 'IRCP')] : [];
  return {
    resourceType: 'AuditEvent',
    meta: { profile: [`${BALP}/StructureDefinition/IHE.BasicAudit.AuthZconsent`] },
    type: { system: DCM, code: '110113', display: 'Security Alert' },
    subtype: [{ system: `${BALP}/CodeSystem/AuthZsubType`, code: 'AuthZ-Consent' }],
    action: 'E',
    recorded: instant(input.now),
    outcome: '8',
    outcomeDesc: r.rule,
    agent: [client, ...user, { type: code('http://terminology.hl7.org/CodeSystem/v3-RoleClass', 'PROV'), who: input.caller?.organization ? { reference: input.caller.organization } : { display: 'none' }, requestor: false }, { type: code('http://terminology.hl7.org/CodeSystem/extra-security-role-type', 'authserver'), who: { display: ctx.site }, requestor: false }],
    source: { site: ctx.site, observer: { display: ctx.site }, type: [{ system: SOURCE_TYPE, code: '4' }] },
    entity: [
      ...(r.patient === null ? [] : [patientEntity(r.patient)]),
      // BALP closes the entities of a decision: the documents and the request stand as details of what it rested on.
      ...consents.map((c, i) => ({ what: c === 'none' ? { display: 'no Consent' } : { reference: `Consent/${c}` }, type: { system: 'http://hl7.org/fhir/resource-types', code: 'Consent' }, ...(i === 0 ? { detail: [...r.documents.map((d) => ({ type: 'document', valueString: `DocumentReference/${d}` })), { type: 'XrequestId', valueString: input.requestId }] } : {}) })),
      ...(input.caller?.tokenId ? [{ what: { identifier: { value: input.caller.tokenId } }, type: { system: `${BALP}/CodeSystem/UserAgentTypes`, code: 'UserOauthAgent' } }] : []),
    ],
  };
}

/** An event with its id, index terms and gate. `agents`: those of the interaction, where the event does not hold them itself. */
export function auditRow(event: Json, ctx: AuditContext, patient: string | null, now: number, agents?: Agents): AuditRow {
  const id = ctx.newId();
  const { resourceType, meta, ...body } = event;
  const own = JSON.stringify({ resourceType, id, meta: { versionId: '1', lastUpdated: instant(now), ...meta }, ...body });
  const text = agents ? `${own.slice(0, -1)},"agent":${agents.text}}` : own;
  const { terms, docs } = eventTerms(event);
  return { id, patient, date: now, text, terms: agents ? [...new Set([...terms, ...agents.terms])] : terms, docs };
}

/** The events of one interaction. */
export function auditRows(input: AuditInput, ctx: AuditContext): AuditRow[] {
  const rows: AuditRow[] = [];
  const patients: (string | null)[] = [...new Set([...input.patients, ...input.resources.map((r) => r.patient).filter((p): p is string => p !== null)])];
  if (!patients.length) patients.push(null);
  const own = agentsOf(input, PROFILES[input.act.kind], ctx);
  for (const p of patients) {
    const about = input.resources.filter((r) => r.patient === p || (r.patient === null && p === patients[0]));
    for (const part of chunks(about, PER_EVENT)) rows.push(auditRow(rest(input, p, part, ctx.site), ctx, p, input.now, own));
  }
  for (const r of input.refusals) rows.push(auditRow(authz(input, ctx, r), ctx, r.patient, input.now));
  return rows;
}

/** ITI-65: a submission set taken in, with the documents that it holds. */
export function provideBundleRow(input: AuditInput, set: Shown, ctx: AuditContext): AuditRow {
  const event: Json = {
    resourceType: 'AuditEvent',
    meta: { profile: [PROVIDE_BUNDLE.profile] },
    type: { system: DCM, code: '110107', display: 'Import' },
    subtype: [iheSubtype(PROVIDE_BUNDLE)],
    action: 'C',
    recorded: instant(input.now),
    outcome: input.outcome.code,
    source: { site: ctx.site, observer: { display: ctx.site }, type: [{ system: SOURCE_TYPE, code: '4' }] },
    entity: [
      patientEntity(set.patient as string),
      { what: { reference: set.ref }, type: { system: ENTITY_TYPE, code: '2', display: 'System Object' }, role: { system: OBJECT_ROLE, code: '20', display: 'Job' }, ...(set.documents.length ? { detail: set.documents.map((d) => ({ type: 'document', valueString: `DocumentReference/${d}` })) } : {}) },
      transactionEntity(input.requestId),
    ],
  };
  return auditRow(event, ctx, set.patient, input.now, agentsOf(input, PROFILES.create, ctx));
}

/** Authentication refused, start and stop of the server, changes of configuration: security events of no patient. */
export function securityEvent(kind: { code: string; display: string; subtype: string }, outcome: AuditInput['outcome'], about: { now: number; requestId?: string; remote?: string; detail?: [string, string][] }, ctx: AuditContext): AuditRow {
  const event: Json = {
    resourceType: 'AuditEvent',
    type: { system: DCM, code: kind.code, display: kind.display },
    subtype: [{ system: DCM, code: kind.subtype }],
    action: 'E',
    recorded: instant(about.now),
    outcome: outcome.code,
    ...(outcome.text ? { outcomeDesc: outcome.text } : {}),
    agent: [{ type: code(...DELETE_CLIENT), who: { display: about.remote ?? ctx.site }, requestor: true, ...(about.remote ? { network: { address: about.remote, type: '2' } } : {}) }],
    source: { site: ctx.site, observer: { display: ctx.site }, type: [{ system: SOURCE_TYPE, code: '4' }] },
    ...(about.requestId || about.detail ? { entity: [...(about.requestId ? [transactionEntity(about.requestId)] : []), ...(about.detail?.length ? [{ type: { system: ENTITY_TYPE, code: '2' }, name: 'configuration', detail: about.detail.map(([type, valueString]) => ({ type, valueString })) }] : [])] } : {}),
  };
  return auditRow(event, ctx, null, about.now);
}
