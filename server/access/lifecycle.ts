// What time does to a record: automatic opening six weeks after the patient was told, unless opposed; erasure ten years after closing, or on request.
import { addMonths, interval } from '../fhir/dates.ts';
import { auditRows, type AuditContext } from '../audit/event.ts';
import type { Resource } from '../fhir/types.ts';
import type { Caller } from '../policy/caller.ts';
import { consentProfile } from '../policy/consent.ts';
import { recordState } from '../policy/decide.ts';
import * as keys from '../search/keys.ts';
import { and, scalar, term } from '../store/plan.ts';
import { Conflict, type Operation } from '../store/port.ts';
import type { Deps } from './deps.ts';
import { factsOf } from './facts.ts';
import { eachRow } from './rows.ts';
import { putOf } from './write/change.ts';
import { contentOf } from './write/content.ts';
import { masterClaim } from './write/master.ts';

/** R1111-28: silence of six weeks after the information. */
const SIX_WEEKS = 42 * 86_400_000;
const ARCHIVE_MONTHS = 120;
/** Resources that one commit erases. */
const ERASED = 200;

const server = (deps: Deps): AuditContext => ({ site: deps.site, base: deps.base, newId: deps.world.newId });

/** Proposed openings whose six weeks are over become active where the record was neither opened nor opposed meanwhile, else rejected. */
export async function openAutomatically(deps: Deps): Promise<number> {
  const now = deps.world.now();
  const profile = term(keys.uriKey(keys.paramKey('Consent', '_profile'), consentProfile('opening')));
  const proposed = term(keys.tokenKey(keys.paramKey('Consent', 'status'), '', 'proposed'));
  let n = 0;
  for await (const row of eachRow(deps.store, 'Consent', and(profile, proposed, scalar('since', 'le', now - SIX_WEEKS)))) {
    const patient = row.scalars.patient as string;
    const facts = await factsOf(deps, patient);
    // What an import still brings may have opened or opposed it: the next round tells.
    if (facts.held) continue;
    const consent = JSON.parse(row.text) as Resource;
    const told = interval(consent.dateTime)?.lo ?? row.scalars.since;
    if (told > now - SIX_WEEKS) continue;
    const status = recordState(facts, now).state === 'none' ? 'active' : 'rejected';
    const put = putOf(deps, now, { ...consent, status }, row.id, row, 'PUT', {});
    const audit = auditRows({ act: { kind: 'update', type: 'Consent', id: row.id }, caller: undefined, requestId: `automatic-opening-${row.id}`, now, resources: [{ ref: `Consent/${row.id}`, patient, documents: [], consents: [] }], patients: [patient], refusals: [], outcome: { code: '0' } }, server(deps));
    await unlessRaced(() => deps.store.commit({ ops: [put], epochs: [{ patient, expect: facts.epoch, raise: true }], audit }));
    n++;
  }
  return n;
}

/** A commit that another one passed is left to the next round. */
async function unlessRaced(work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (e) {
    if (!(e instanceof Conflict)) throw e;
  }
}

/** Records closed for ten years are erased. */
export async function eraseArchives(deps: Deps): Promise<number> {
  const now = deps.world.now();
  const limit = addMonths(now, -ARCHIVE_MONTHS);
  const profile = term(keys.uriKey(keys.paramKey('Consent', '_profile'), consentProfile('closing')));
  const due = new Set<string>();
  for await (const row of eachRow(deps.store, 'Consent', and(profile, scalar('since', 'le', limit)))) due.add(row.scalars.patient as string);
  let n = 0;
  for (const patient of due) {
    const facts = await factsOf(deps, patient);
    const state = recordState(facts, now);
    const closing = facts.consents.find((c) => c.id === state.consent);
    if (state.state === 'closed' && closing && closing.since <= limit && (await eraseRecord(deps, patient, undefined, `archive-end-${patient}`)) > 0) n++;
  }
  return n;
}

/** Erases a record: documents, Lists, their versions and bytes. Consents and the trail stay. Answers how many resources went. */
export async function eraseRecord(deps: Deps, patient: string, caller: Caller | undefined, requestId: string): Promise<number> {
  const now = deps.world.now();
  let n = 0;
  for (const type of ['List', 'DocumentReference', 'Binary']) {
    for (;;) {
      const found = await deps.store.search({ type, plan: scalar('patient', 'eq', patient), sort: [{ by: 'id', desc: false }], limit: ERASED });
      if (!found.length) break;
      const { epoch } = await factsOf(deps, patient);
      const ops: Operation[] = found.map((f) => ({ kind: 'erase', type, id: f.row.id, version: f.row.version, at: now }));
      const resources = found.map((f) => ({ ref: `${type}/${f.row.id}`, patient, documents: type === 'DocumentReference' ? [f.row.id] : [], consents: [] }));
      const audit = auditRows({ act: { kind: 'delete', type }, caller, requestId, now, resources, patients: [patient], refusals: [], outcome: { code: '0', text: 'erased' } }, server(deps));
      const masters = found.flatMap((f) => masterClaim(f.row));
      await deps.store.commit({ ops, epochs: [{ patient, expect: epoch, raise: false }], release: masters, audit });
      if (type === 'Binary') for (const f of found) await deps.store.content.remove(contentOf(f.row).key);
      n += found.length;
    }
  }
  return n;
}
