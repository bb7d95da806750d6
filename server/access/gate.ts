// The gate: what one caller may see of each gated type, as a plan and as a check of a row. The plan is in the query; the check asserts it.
import { asArray, type Json } from '../fhir/types.ts';
import { relativeReference } from '../fhir/reference.ts';
import { patientOf } from '../policy/caller.ts';
import { consentProfile } from '../policy/consent.ts';
import type { Document } from '../policy/condition.ts';
import { type Decision, decide, type Facts, isHolder, isTreating, recordRefusal, represents } from '../policy/decide.ts';
import { residual } from '../policy/residual.ts';
import { labelsOf } from '../policy/vocabulary.ts';
import * as keys from '../search/keys.ts';
import { ALL, and, NONE, not, or, scalar, term } from '../store/plan.ts';
import type { Plan, Row } from '../store/port.ts';
import type { Ask, Deps } from './deps.ts';
import { factsOf } from './facts.ts';

const OPEN: Decision = { permit: true, rule: 'open-access', consents: [] };

/** What was looked up, by what it is. */
type Looked = Map<string, Promise<unknown>>;

function kept<T>(looked: Looked, what: string, look: () => Promise<T>): Promise<T> {
  let f = looked.get(what) as Promise<T> | undefined;
  if (!f) {
    f = look();
    looked.set(what, f);
  }
  return f;
}

export class Gate {
  readonly deps: Deps;
  readonly ask: Ask;
  private readonly known: Looked;
  private readonly found: Looked | undefined;

  constructor(deps: Deps, ask: Ask, known: Looked = new Map(), found?: Looked) {
    this.deps = deps;
    this.ask = ask;
    this.known = known;
    this.found = found;
  }

  /**
   * The same gate, which asks the store once for what many rows share. Made after the rows were read, and for those rows alone:
   * what it knows is then never older than what it judges.
   */
  sight(): Gate {
    return new Gate(this.deps, this.ask, this.known, new Map());
  }

  private once<T>(what: string, look: () => Promise<T>): Promise<T> {
    return this.found ? kept(this.found, what, look) : look();
  }

  /** Asked of the store once in this request: every decision of it rests on the same state before (W7). */
  before<T>(what: string, look: () => Promise<T>): Promise<T> {
    return kept(this.known, what, look);
  }

  /** Facts of a patient, the same throughout this request. */
  facts(patient: string): Promise<Facts> {
    return this.before(`facts ${patient}`, async () => {
      const facts = await factsOf(this.deps, patient);
      return facts.held && this.ask.caller.importing ? { ...facts, held: false } : facts;
    });
  }

  /** Forgets the state before, for a retry after a conflict. */
  refresh(): void {
    this.known.clear();
  }

  /** S4: a refusal that hangs on caller and record alone; a block shows as `no-consent`. */
  async refusal(patient: string): Promise<Decision | undefined> {
    if (this.deps.open) return undefined;
    const facts = await this.facts(patient);
    return recordRefusal(this.ask.caller, facts, this.deps.book, this.ask.now);
  }

  /** Documents of a record that the caller may read. */
  async documents(patient: string): Promise<Plan> {
    const own = scalar('patient', 'eq', patient);
    if (this.deps.open) return own;
    return and(own, residual(this.ask.caller, await this.facts(patient), this.deps.book, this.ask.now));
  }

  /** Ids of the record's documents that the caller may not read; deleted ones that were never visible count too. */
  hidden(patient: string): Promise<Set<string>> {
    return this.once(`hidden ${patient}`, async () => {
      const visible = await this.documents(patient);
      return new Set(await this.deps.store.ids('DocumentReference', and(scalar('patient', 'eq', patient), not(visible)), true));
    });
  }

  /** The decision on one document's row. `version`: the text of the version asked, whose own labels count too (R6). */
  async document(row: Row, version?: string): Promise<Decision> {
    if (this.deps.open) return OPEN;
    const patient = row.scalars.patient;
    if (patient === null) return { permit: false, rule: 'no-consent', consents: [] };
    const facts = await this.facts(patient);
    const d = documentOf(row);
    const current = decide(this.ask.caller, d, facts, this.deps.book, this.ask.now);
    if (!current.permit || version === undefined || version === row.text) return current;
    return decide(this.ask.caller, strictest(d, version), facts, this.deps.book, this.ask.now);
  }

  /** S8, record side: the patient, the representative, the MT read every Consent. */
  private async consentReader(patient: string): Promise<boolean> {
    const { caller, now } = this.ask;
    const facts = await this.facts(patient);
    return isHolder(caller, facts) || represents(caller, facts, now) || isTreating(caller, facts);
  }

  /** S8: Consents of a record that the caller may read. */
  consents(patient: string): Promise<Plan> {
    return this.once(`consents ${patient}`, () => this.consentPlan(patient));
  }

  private async consentPlan(patient: string): Promise<Plan> {
    const own = scalar('patient', 'eq', patient);
    if (this.deps.open) return own;
    const { caller } = this.ask;
    const concealed = await this.concealedConsents(patient);
    if (await this.consentReader(patient)) return and(own, concealed);
    const actor = (ref: string | undefined): Plan => (ref === undefined ? NONE : term(keys.referenceKey(keys.paramKey('Consent', 'actor'), ref)));
    const isBlock = term(keys.uriKey(keys.paramKey('Consent', '_profile'), blockProfile));
    const named = or(actor(caller.kind === 'professional' ? caller.ref : undefined), actor(caller.kind === 'system' || caller.kind === 'professional' ? caller.organization : undefined));
    return and(own, concealed, or(and(scalar('depositor', 'eq', caller.ref), scalar('depositorOrg', 'eq', caller.organization ?? null)), and(named, not(isBlock))));
  }

  /** Consents that name a document hidden from the caller are absent for them. */
  private async concealedConsents(patient: string): Promise<Plan> {
    const naming = await this.deps.store.search({ type: 'Consent', plan: and(scalar('patient', 'eq', patient), scalar('bound', 'eq', 'd')), sort: [{ by: 'id', desc: false }], limit: 1_000 });
    if (!naming.length) return ALL;
    const hidden = await this.hidden(patient);
    const absent = naming.filter((f) => documentsNamed(JSON.parse(f.row.text)).some((id) => hidden.has(id))).map((f) => f.row.id);
    return absent.length ? not({ kind: 'ids', ids: absent }) : ALL;
  }

  /** S9: events of a record that the caller may read. */
  events(patient: string | undefined): Promise<Plan> {
    return this.once(`events ${patient}`, () => this.eventPlan(patient));
  }

  private async eventPlan(patient: string | undefined): Promise<Plan> {
    const { caller } = this.ask;
    const own = patient === undefined ? ALL : scalar('patient', 'eq', patient);
    if (this.deps.open) return own;
    if (caller.roles.includes('auditor')) return own;
    if (patient === undefined || !(await this.consentReader(patient))) return NONE;
    const hidden = await this.hidden(patient);
    if (!hidden.size) return own;
    const touched = await this.deps.store.search({ type: 'AuditEvent', plan: and(own, { kind: 'terms', keys: [...hidden].map((id) => docTerm(id)) }), sort: [{ by: 'id', desc: false }], limit: 100_000 });
    const absent = touched.filter((f) => eventDocuments(JSON.parse(f.row.text)).every((id) => hidden.has(id))).map((f) => f.row.id);
    return absent.length ? and(own, not({ kind: 'ids', ids: absent })) : own;
  }

  /** The gate of a type for one record. Lists are gated by their documents (server/access/lists.ts). */
  async plan(type: string, patient: string): Promise<Plan> {
    switch (type) {
      case 'DocumentReference': return this.documents(patient);
      case 'Consent': return this.consents(patient);
      case 'AuditEvent': return this.events(patient);
      case 'Binary': return NONE;
      default: return scalar('patient', 'eq', patient);
    }
  }

  /** Whether the caller may know of a patient by id or full identifier (S7). */
  async patientVisible(id: string): Promise<boolean> {
    const { caller } = this.ask;
    if (this.deps.open || caller.roles.includes('registry') || caller.kind === 'professional' || caller.kind === 'system') return !caller.roles.includes('auditor') && !caller.roles.includes('operator');
    if (patientOf(caller) !== undefined) return patientOf(caller) === id;
    return represents(caller, await this.facts(id), this.ask.now);
  }

  /** S7: RelatedPersons of a patient: those who may see that patient's Consents, and professionals authorised on the record. */
  async relatedVisible(patient: string): Promise<boolean> {
    const { caller } = this.ask;
    if (this.deps.open || caller.roles.includes('registry')) return true;
    if (await this.consentReader(patient)) return true;
    if (caller.kind === 'representative') return (await this.facts(patient)).representatives.some((r) => r.ref === caller.ref);
    if (caller.kind !== 'professional') return false;
    const facts = await this.facts(patient);
    return recordRefusal(caller, facts, this.deps.book, this.ask.now) === undefined && residual(caller, facts, this.deps.book, this.ask.now).kind !== 'none' && facts.consents.some((c) => c.active && asArray(c.root.actors).some((a) => ('ref' in a ? a.ref === caller.ref || a.ref === caller.organization : false)));
  }
}

const blockProfile = consentProfile('block');

export const documentOf = (row: Row): Document => {
  let parsed: Json | undefined;
  return { id: row.id, scalars: row.scalars, resource: () => (parsed ??= row.text ? (JSON.parse(row.text) as Json) : {}) };
};

/** A document with the labels of another of its versions added: the stricter counts. */
function strictest(d: Document, version: string): Document {
  const old = JSON.parse(version);
  const l = labelsOf(old);
  const merged = [...asArray<Json>(d.resource().securityLabel), ...asArray<Json>(old.securityLabel)];
  return {
    id: d.id,
    scalars: { ...d.scalars, maskPs: l.maskPs ? 1 : d.scalars.maskPs, invRep: l.invRep ? 1 : d.scalars.invRep, conf: Math.max(l.conf, d.scalars.conf) },
    resource: () => ({ ...d.resource(), securityLabel: merged }),
  };
}

const docTerm = (id: string): string => `~doc>${id}`;

/** Ids of single documents that a Consent names. */
export function documentsNamed(consent: Json): string[] {
  const out: string[] = [];
  const walk = (p: Json | undefined): void => {
    for (const d of asArray<Json>(p?.data)) {
      const ref = relativeReference(d.reference?.reference);
      if (ref?.startsWith('DocumentReference/')) out.push(ref.slice('DocumentReference/'.length));
    }
    for (const n of asArray<Json>(p?.provision)) walk(n);
  };
  walk(consent.provision);
  return out;
}

/** Ids of the documents that an AuditEvent is about. */
const eventDocuments = (event: Json): string[] =>
  asArray<Json>(event.entity).flatMap((e) => [relativeReference(e.what?.reference), ...asArray<Json>(e.detail).filter((d) => d.type === 'document').map((d) => relativeReference(d.valueString))]).filter((r) => r?.startsWith('DocumentReference/')).map((r) => (r as string).slice('DocumentReference/'.length));
