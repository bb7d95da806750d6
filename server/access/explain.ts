// What a given professional would be allowed, by which rule and Consent: the same `decide`, over what the asker sees.
import { relativeReference } from '../fhir/reference.ts';
import type { Json } from '../fhir/types.ts';
import type { AccessMode, Caller } from '../policy/caller.ts';
import { type Decision, decide, isHolder, isTreating, recordRefusal, represents } from '../policy/decide.ts';
import { codings } from '../policy/vocabulary.ts';
import * as keys from '../search/keys.ts';
import { and, term } from '../store/plan.ts';
import type { Row } from '../store/port.ts';
import { documentOf } from './gate.ts';
import type { Records } from './records.ts';

/** Whom is asked about; what is left out comes from the directory's PractitionerRole and Organization. */
export type Subject = { practitioner: string; organization?: string; profession?: string; specialty?: string; sector?: string; mode: AccessMode };
export type Explained = { caller: Caller; refusal: Decision | undefined; documents: { id: string; decision: Decision }[]; more: boolean };

async function resource(records: Records, ref: string | undefined): Promise<Json | undefined> {
  const [type, id] = (ref ?? '').split('/');
  const row = id ? await records.deps.store.read(type, id) : undefined;
  return row && !row.deleted ? JSON.parse(row.text) : undefined;
}

/** The professional as a token would state them. */
async function callerOf(records: Records, s: Subject): Promise<Caller> {
  const ids = await records.deps.store.ids('PractitionerRole', term(keys.referenceKey(keys.paramKey('PractitionerRole', 'practitioner'), s.practitioner)));
  const roles = await Promise.all(ids.sort().map((id) => resource(records, `PractitionerRole/${id}`)));
  const organizationOf = (r: Json | undefined): string | undefined => relativeReference(r?.organization?.reference, records.deps.base);
  const role = roles.find((r) => s.organization === undefined || organizationOf(r) === s.organization);
  const organization = s.organization ?? organizationOf(role);
  const sector = s.sector ?? codings((await resource(records, organization))?.type)[0]?.code;
  return {
    kind: 'professional', ref: s.practitioner, organization, sector, profession: s.profession ?? codings(role?.code)[0]?.code, specialty: s.specialty ?? codings(role?.specialty)[0]?.code,
    mode: s.mode, reason: s.mode === 'bris_de_glace' ? 'explained' : undefined, roles: [], scopes: [], issuer: 'explained',
  };
}

/** Whether the asker may have decisions about others explained: the patient, the representative, the MT. */
export async function mayExplain(records: Records, patient: string): Promise<boolean> {
  const { caller, now } = records.ask;
  const facts = await records.gate.facts(patient);
  return isHolder(caller, facts) || represents(caller, facts, now) || isTreating(caller, facts);
}

/** Decisions on the documents that the asker sees, newest first; Consents that the asker does not see are not named. */
export async function explain(records: Records, patient: string, subject: Subject, document: string | undefined, limit: number): Promise<Explained> {
  const { deps, ask, gate } = records;
  const facts = await gate.facts(patient);
  const caller = await callerOf(records, subject);
  const visible = and(await gate.documents(patient), document === undefined ? and() : { kind: 'ids', ids: [document] });
  const found = await deps.store.search({ type: 'DocumentReference', plan: visible, sort: [{ by: 'date', desc: true }], limit: limit + 1 });
  const shown = new Set(await deps.store.ids('Consent', await gate.consents(patient)));
  const told = (d: Decision): Decision => ({ ...d, consents: d.consents.filter((c) => shown.has(c)) });
  const judge = (row: Row): { id: string; decision: Decision } => ({ id: row.id, decision: told(decide(caller, documentOf(row), facts, deps.book, ask.now)) });
  const refusal = recordRefusal(caller, facts, deps.book, ask.now);
  for (const f of found.slice(0, limit)) records.notes.shown(f.row, { permit: true, rule: 'permitted', consents: [] });
  return { caller, refusal: refusal && told(refusal), documents: found.slice(0, limit).map((f) => judge(f.row)), more: found.length > limit };
}
