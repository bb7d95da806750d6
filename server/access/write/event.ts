// AuditEvents that a system posts for the patients it deposits for: accepted, and marked as theirs. Never changed afterwards (A2).
import { auditRow } from '../../audit/event.ts';
import * as errors from '../../fhir/errors.ts';
import { interval } from '../../fhir/dates.ts';
import { relativeReference } from '../../fhir/reference.ts';
import { asArray, type Json, cloned } from '../../fhir/types.ts';
import { OWN } from '../../policy/vocabulary.ts';
import { and, scalar } from '../../store/plan.ts';
import { NO_SCALARS, type Row } from '../../store/port.ts';
import type { Records } from '../records.ts';
import type { Change, Effect, Siblings } from './change.ts';
import { checkGatedReferences } from './references.ts';

const FOREIGN = { system: `${OWN}/CodeSystem/dmp-trail`, code: 'external' };

async function concerned(records: Records, event: Json): Promise<string | null> {
  const patients = new Set(asArray<Json>(event.entity).map((e) => relativeReference(e.what?.reference, records.deps.base)).filter((r): r is string => r?.startsWith('Patient/') ?? false));
  if (records.deps.open) return null;
  if (patients.size !== 1) throw errors.businessRule('An AuditEvent posted here concerns one patient held here.', ['AuditEvent.entity'], 'one-patient');
  const patient = [...patients][0].slice('Patient/'.length);
  const { caller } = records.ask;
  const deposited = await records.deps.store.search({ type: 'DocumentReference', plan: and(scalar('patient', 'eq', patient), scalar('bySystem', 'eq', 1), scalar('depositorOrg', 'eq', caller.organization ?? '')), sort: [{ by: 'id', desc: false }], limit: 1 });
  if (!deposited.length) throw errors.forbidden('A system posts AuditEvents for the patients that it deposits for.', 'not-depositor');
  return patient;
}

export async function createEvent(records: Records, change: Extract<Change, { kind: 'create' }>, siblings: Siblings): Promise<Effect> {
  const { deps, ask } = records;
  if (!deps.open && ask.caller.kind !== 'system') throw errors.forbidden('AuditEvents are posted by systems.', 'not-depositor');
  const resource = cloned(change.resource);
  const patient = await concerned(records, resource);
  if (!deps.open) await checkGatedReferences(records, resource, siblings);
  resource.meta = { ...resource.meta, tag: [...asArray<Json>(resource.meta?.tag).filter((t) => t.system !== FOREIGN.system), { ...FOREIGN, display: ask.caller.name ?? ask.caller.ref }] };
  const audit = { ...auditRow(resource, { site: deps.site, base: deps.base, newId: () => change.id }, patient, ask.now), date: interval(resource.recorded)?.lo ?? ask.now };
  const row: Row = { type: 'AuditEvent', id: change.id, version: 1, updated: ask.now, deleted: false, method: 'POST', text: audit.text, scalars: { ...NO_SCALARS, patient, date: audit.date } };
  return { ops: [], audit: [audit], claim: [], release: [], epochs: new Map(), row, erase: [] };
}
