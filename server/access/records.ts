// Enforcement (PEP), reading side. Every read, search, include and operation passes here; only access/ holds the store.
import * as errors from '../fhir/errors.ts';
import type { Json } from '../fhir/types.ts';
import { grantsFor, type ScopeAction } from '../policy/scopes.ts';
import type { Decision } from '../policy/decide.ts';
import { extract } from '../search/extract.ts';
import { compileFilters, type Resolver } from '../search/compile.ts';
import { filterOn } from '../search/query.ts';
import { ALL, and, matches, NONE, or } from '../store/plan.ts';
import type { AuditRow, Entries, Plan, Row } from '../store/port.ts';
import type { Ask, Deps } from './deps.ts';
import { Gate } from './gate.ts';
import { emergencyNotices } from './notices.ts';
import { type Notes, newNotes } from './notes.ts';
import { type View, viewOf } from './views.ts';

export type { View } from './views.ts';

export class Records {
  readonly deps: Deps;
  readonly ask: Ask;
  readonly gate: Gate;
  /** What this request did and showed: the trail reads it. */
  readonly notes: Notes;

  constructor(deps: Deps, ask: Ask, notes: Notes = newNotes()) {
    this.deps = deps;
    this.ask = ask;
    this.gate = new Gate(deps, ask);
    this.notes = notes;
  }

  /** The row that a write addresses with its view, once the caller sees it; undefined: it is not there for them. */
  async seen(type: string, id: string): Promise<{ row: Row; view: View } | undefined> {
    const row = await this.deps.store.read(type, id);
    const view = row && !row.deleted && (await this.visible(row)) && (await this.inScope(row, 'r')) ? await viewOf(this.gate, row) : undefined;
    return row && view ? { row, view } : undefined;
  }

  /** Whether a directory id was ever given, and its last row where it was deleted: for update-as-create. */
  async standing(type: string, id: string): Promise<{ state: 'none' | 'present' } | { state: 'deleted'; row: Row }> {
    const row = isGatedType(type) ? undefined : await this.deps.store.read(type, id);
    if (!row) return { state: 'none' };
    return row.deleted ? { state: 'deleted', row } : { state: 'present' };
  }

  /** Makes events durable by themselves; each use of an emergency mode puts its notices into the outbox with them (C6). */
  async keep(audit: AuditRow[]): Promise<void> {
    const notices = await emergencyNotices(this.gate, [...this.notes.patients]);
    await this.deps.store.commit({ ops: [], audit, ...(notices.length ? { notices } : {}) });
  }

  /** Throws 403 where no scope covers the action on the type at all. */
  requireScope(type: string, action: ScopeAction): void {
    if (!grantsFor(this.ask.caller, type, action).length) throw errors.forbidden(`The token has no scope for this interaction on ${type}.`, 'insufficient-scope');
  }

  /** What the scopes leave of a type, as a plan: narrowing stands in the query, beside the gate. */
  async scopePlan(type: string, action: ScopeAction): Promise<Plan> {
    const { caller } = this.ask;
    const plans: Plan[] = [];
    for (const g of grantsFor(caller, type, action)) {
      const own = g.params.length ? await compileFilters(type, g.params.map(([n, v]) => filterOn(type, n, [v])), this.resolver(undefined)) : ALL;
      plans.push(and(own, g.level === 'patient' ? this.launchPlan(type) : ALL));
    }
    return or(...plans);
  }

  /** `patient/` scopes reach the patient in context only. */
  private launchPlan(type: string): Plan {
    const { caller } = this.ask;
    const id = caller.launchPatient ?? (caller.kind === 'patient' ? caller.ref.slice('Patient/'.length) : undefined);
    if (caller.kind === 'representative' && id === undefined) return ALL;
    if (id === undefined) return NONE;
    if (type === 'Patient') return { kind: 'ids', ids: [id] };
    return ['Practitioner', 'PractitionerRole', 'Organization', 'Device'].includes(type) ? ALL : { kind: 'scalar', field: 'patient', op: 'eq', value: id };
  }

  /** Whether the scopes let this row through. */
  async inScope(row: Row, action: ScopeAction): Promise<boolean> {
    const plan = await this.scopePlan(row.type, action);
    if (plan.kind === 'all') return true;
    if (plan.kind === 'none' || row.deleted) return false;
    const { entries, present } = extract(JSON.parse(row.text), this.deps.base);
    return matches(plan, { ...row, scalars: { ...row.scalars, present } }, entries);
  }

  /** The decision that lets the caller see this row as it stands; undefined: it does not exist for them. `gate`: a sight, where many rows are judged. */
  async visible(row: Row, version?: string, gate = this.gate): Promise<Decision | undefined> {
    const ok: Decision = { permit: true, rule: 'permitted', consents: [] };
    switch (row.type) {
      case 'DocumentReference': {
        const d = await gate.document(row, version);
        if (d.permit) return d;
        this.notes.refused(row, d);
        return undefined;
      }
      case 'Binary': return this.binaryVisible(row);
      case 'List': return (await viewOf(gate, row)) ? ok : undefined;
      case 'Consent': return this.selected(row, await gate.consents(row.scalars.patient as string)) ? ok : undefined;
      case 'AuditEvent': return this.selected(row, await gate.events(row.scalars.patient ?? undefined)) ? ok : undefined;
      case 'Patient': return (await gate.patientVisible(row.id)) ? ok : undefined;
      case 'RelatedPerson': return row.scalars.patient !== null && (await gate.relatedVisible(row.scalars.patient)) ? ok : undefined;
      default: return ok;
    }
  }

  private async binaryVisible(row: Row): Promise<Decision | undefined> {
    const { caller } = this.ask;
    if (row.scalars.bound === null) {
      const own = this.deps.open || (row.scalars.depositor === caller.ref && row.scalars.depositorOrg === (caller.organization ?? null));
      return own ? { permit: true, rule: 'depositor', consents: [] } : undefined;
    }
    const document = await this.deps.store.read('DocumentReference', row.scalars.bound);
    return document && !document.deleted ? this.visible(document) : undefined;
  }

  /** Whether a plan of the gate selects this row as it was read. */
  private selected(row: Row, plan: Plan): boolean {
    let made: Entries | undefined;
    const entries = (): Entries => (made ??= extract(JSON.parse(row.text), this.deps.base).entries);
    return !row.deleted && matches(plan, row, { get terms() { return entries().terms; }, get ranges() { return entries().ranges; }, get sorts() { return entries().sorts; } });
  }

  /** A resource that the caller may see; otherwise one 404, the same bytes for unseen, deleted and never given (S1). */
  async read(type: string, id: string, action: ScopeAction = 'r'): Promise<View> {
    this.requireScope(type, action);
    const row = await this.deps.store.read(type, id);
    const view = row && !row.deleted ? await this.show(row, action) : undefined;
    if (view) return view;
    if (row?.deleted && !isGatedType(type)) throw errors.gone(type, id);
    throw errors.notFound(type, id);
  }

  private async show(row: Row, action: ScopeAction): Promise<View | undefined> {
    const decision = await this.visible(row);
    if (!decision || !(await this.inScope(row, action))) return undefined;
    const view = await viewOf(this.gate, row);
    if (view) this.notes.shown(row, decision);
    return view;
  }

  /** One version. Lists have none (S3). */
  async readVersion(type: string, id: string, version: string): Promise<View> {
    this.requireScope(type, 'r');
    const current = await this.deps.store.read(type, id);
    const n = /^[1-9]\d{0,8}$/.test(version) ? Number(version) : 0;
    if (!current || type === 'List' || n === 0 || (current.deleted && isGatedType(type))) throw errors.notFound(type, id);
    const row = await this.deps.store.readVersion(type, id, n);
    if (!row || row.deleted) throw !row || isGatedType(type) ? errors.notFound(type, id) : errors.gone(type, id);
    const decision = await this.visible(current.deleted ? row : current, row.text);
    if (!decision || !(await this.inScope(current.deleted ? row : current, 'r'))) throw errors.notFound(type, id);
    const view = await viewOf(this.gate, { ...row, scalars: current.scalars }, row.text);
    if (!view) throw errors.notFound(type, id);
    this.notes.shown(row, decision);
    return { ...view, version: String(row.version), updated: row.updated };
  }

  /** Versions that the caller may see, newest first. */
  async history(type: string, id: string, before: number | undefined, limit: number): Promise<{ rows: { view: View | undefined; row: Row }[]; total: number }> {
    this.requireScope(type, 'r');
    const current = await this.deps.store.read(type, id);
    if (!current || type === 'List' || type === 'Binary' || (current.deleted && isGatedType(type))) throw errors.notFound(type, id);
    const decision = await this.visible(current);
    if (!decision || (!current.deleted && !(await this.inScope(current, 'r')))) throw errors.notFound(type, id);
    const rows = await this.deps.store.history(type, id, { before, limit });
    const sight = this.gate.sight();
    const out: { view: View | undefined; row: Row }[] = [];
    for (const row of rows) {
      if (row.deleted) out.push({ view: undefined, row });
      else if (await this.visible(current, row.text, sight)) {
        const view = await viewOf(sight, { ...row, scalars: current.scalars }, row.text);
        if (view) out.push({ view: { ...view, version: String(row.version), updated: row.updated }, row });
      }
    }
    this.notes.shown(current, decision);
    return { rows: out, total: current.version };
  }

  /** Answers what compiling a search asks; every hop carries the gate of the type it reaches and the scope for it. `patient`: the one that the search names. */
  resolver(patient: string | undefined): Resolver {
    const { deps } = this;
    return {
      base: deps.base,
      now: this.ask.now,
      valueSet: (url) => deps.terms.valueSet(url),
      closure: (direction, system, code) => deps.terms.closure(direction, system, code),
      ids: async (type, plan) => {
        const full = and(plan, await this.hop(type, patient, plan));
        if (full.kind === 'none') return [];
        const found = await deps.store.search({ type, plan: full, sort: [{ by: 'id', desc: false }], limit: deps.limits.chain + 1 });
        if (found.length > deps.limits.chain) throw errors.tooCostly(`A chain reaches more than ${deps.limits.chain} resources of type ${type}; narrow it.`);
        return found.map((f) => f.row.id);
      },
      referenced: async (type, plan, param, target) => {
        const full = and(plan, await this.hop(type, patient, plan));
        if (full.kind === 'none') return [];
        const found = await deps.store.search({ type, plan: full, sort: [{ by: 'id', desc: false }], limit: deps.limits.chain + 1 });
        if (found.length > deps.limits.chain) throw errors.tooCostly(`A reverse chain reaches more than ${deps.limits.chain} resources of type ${type}; narrow it.`);
        const sight = this.gate.sight();
        const ids = new Set<string>();
        for (const f of found) {
          const view = await viewOf(sight, f.row);
          for (const v of view ? param.path(JSON.parse(view.text)) : []) {
            const ref = String((v as Json)?.reference ?? '');
            if (ref.startsWith(`${target}/`)) ids.add(ref.slice(target.length + 1));
          }
        }
        return [...ids];
      },
    };
  }

  /** The gate and the scope of a type that a chain reaches. */
  private async hop(type: string, patient: string | undefined, plan: Plan): Promise<Plan> {
    const scope = await this.scopePlan(type, 's');
    if (scope.kind === 'none') throw errors.forbidden(`The token has no scope for searching ${type}, which the chain reaches.`, 'insufficient-scope');
    if (this.deps.open) return scope;
    if (isGatedType(type)) {
      if (patient === undefined) throw errors.onePatient(type);
      if (type === 'List' || type === 'Binary') throw errors.unsupportedParameter(`Chaining into ${type} is not offered.`);
      return and(scope, await this.gate.plan(type, patient));
    }
    if (type === 'Patient') return and(scope, await this.patientHop(patient, plan));
    if (type === 'RelatedPerson') return patient !== undefined && (await this.gate.relatedVisible(patient)) ? and(scope, { kind: 'scalar', field: 'patient', op: 'eq', value: patient }) : NONE;
    return scope;
  }

  private async patientHop(patient: string | undefined, plan: Plan): Promise<Plan> {
    const { caller } = this.ask;
    if (caller.roles.includes('registry')) return ALL;
    if (patient !== undefined) return (await this.gate.patientVisible(patient)) ? { kind: 'ids', ids: [patient] } : NONE;
    if (caller.kind === 'patient') return { kind: 'ids', ids: [caller.ref.slice('Patient/'.length)] };
    if (plan.kind === 'term' && /\.identifier\|[^|]+\|[^|]+$/.test(plan.key)) return ALL;
    throw errors.onePatient('Patient');
  }
}

const GATED = new Set(['DocumentReference', 'Binary', 'List', 'Consent', 'AuditEvent']);
const isGatedType = (type: string): boolean => GATED.has(type);
