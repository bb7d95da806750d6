// What every interaction is given, and what it answers.
import type { Readable } from 'node:stream';
import type { Ask, Settings } from '../access/deps.ts';
import type { Records } from '../access/records.ts';
import type { Performed } from '../access/write/perform.ts';
import { type Act, type AuditContext, type AuditInput, auditRows, provideBundleRow } from '../audit/event.ts';
import type { Issue } from '../fhir/errors.ts';
import { codings } from '../policy/vocabulary.ts';
import type { Json, Resource } from '../fhir/types.ts';
import type { AuditRow } from '../store/port.ts';

/** A request, whether it came over HTTP or as a Bundle's entry. */
export type Request = {
  method: string;
  /** Below the base URL, no slash at either end. */
  path: string;
  query: [string, string][];
  /** Lower-case names. */
  headers: Record<string, string | undefined>;
  /** A parsed FHIR resource. */
  body?: Resource;
  /** A JSON Patch document. */
  patch?: unknown[];
  /** Raw content (Binary). */
  raw?: Readable;
  /** Ids for what a transaction's entries create, in their order: an import's own, never a client's. */
  ids?: string[];
};

export type Response = {
  status: number;
  headers: Record<string, string>;
  /** JSON text ready to send, or a resource, or bytes. */
  text?: string;
  resource?: Json;
  stream?: Readable;
  /** The resource behind the answer, for a Bundle's entry. */
  location?: string;
};

export type Validate = (resource: Resource, options?: { profile?: string; mode?: 'create' | 'update' | 'delete' }) => Issue[];

/** What a server has beside the access layer. */
export type Services = {
  settings: Settings;
  /** The only way to the store. */
  records: (ask: Ask) => Records;
  validate: Validate;
  capabilities: () => Json;
  definition: (type: string, id: string) => Json | undefined;
  definitions: (type: string) => Json[];
};

export type Context = {
  services: Services;
  settings: Settings;
  ask: Ask;
  records: Records;
  act: Act;
  /** Prefer: handling=strict. */
  strict: boolean;
  returns: 'minimal' | 'representation' | 'OperationOutcome';
  /** The client asked for representations in so many words: a Bundle's answers hold them then only. */
  representation: boolean;
};

export const auditContext = (settings: Settings): AuditContext => ({ site: settings.site, base: settings.base, newId: settings.world.newId });

export function contextOf(services: Services, ask: Ask, act: Act, headers: Request['headers']): Context {
  const prefer = headers.prefer ?? '';
  const returns = /return=(minimal|representation|OperationOutcome)/.exec(prefer)?.[1] as Context['returns'] | undefined;
  return { services, settings: services.settings, ask, records: services.records(ask), act, strict: /handling=strict/.test(prefer), returns: returns ?? 'representation', representation: returns === 'representation' };
}

/** The trail's input from what the request noted. */
export function auditInput(ctx: Context, outcome: AuditInput['outcome'], act: Act = ctx.act): AuditInput {
  const { notes } = ctx.records;
  const refusals = [...notes.refusals.values()].map((r) => ({ patient: r.patient, rule: r.decision.rule as string, consents: r.decision.consents, documents: r.documents }));
  if (notes.refusal) refusals.push({ patient: notes.refusal.patient, rule: notes.refusal.decision.rule, consents: notes.refusal.decision.consents, documents: [] });
  return { ...asked(ctx, outcome, act), resources: [...notes.resources.values()], patients: [...notes.patients], refusals };
}

const asked = (ctx: Context, outcome: AuditInput['outcome'], act: Act) => ({ act, caller: ctx.ask.caller, requestId: ctx.ask.requestId, now: ctx.ask.now, remote: ctx.ask.remote, outcome });

const SUBMISSION_SET = { system: 'https://profiles.ihe.net/ITI/MHD/CodeSystem/MHDlistTypes', code: 'submissionset' };

/** The events of a write, made for the commit itself; a submission set that a transaction brings has one of its own. */
export function writeEvents(ctx: Context, acts: (done: Performed[]) => { act: Act; performed: Performed }[]): (done: Performed[]) => AuditRow[] {
  return (done) =>
    acts(done).flatMap(({ act, performed }) => {
      const { row } = performed.effect;
      const ref = `${row.type}/${row.id}`;
      const patient = row.type === 'Patient' ? row.id : row.scalars.patient;
      const shown = ctx.records.notes.resources.get(ref) ?? { ref, patient, documents: [], consents: [] };
      const input: AuditInput = { ...asked(ctx, { code: '0' }, { ...act, type: row.type, id: row.id }), refusals: [], patients: patient === null ? [] : [patient], resources: [shown] };
      const { change } = performed;
      const provided = act.bundled === true && change.kind === 'create' && change.type === 'List' && patient !== null && codings(change.resource.code).some((c) => c.system === SUBMISSION_SET.system && c.code === SUBMISSION_SET.code);
      return [...auditRows(input, auditContext(ctx.settings)), ...(provided ? [provideBundleRow(input, { ...shown, patient }, auditContext(ctx.settings))] : [])];
    });
}
