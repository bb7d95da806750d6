// The registry's corrections (C2): a misfiled document moved, duplicate Patients merged. What moves is made anew in the other record, under ids of its
// own, and erased from the first: no version, reference or event of one record tells of the other.
import { auditRows } from '../audit/event.ts';
import * as errors from '../fhir/errors.ts';
import { relativeReference } from '../fhir/reference.ts';
import { asArray, type Json, type Resource } from '../fhir/types.ts';
import { scalar } from '../store/plan.ts';
import type { Operation, Row } from '../store/port.ts';
import type { Records } from './records.ts';
import { allRows } from './rows.ts';
import { putOf } from './write/change.ts';
import { masterClaim } from './write/master.ts';

async function livingPatient(records: Records, id: string): Promise<Row> {
  const row = await records.deps.store.read('Patient', id);
  if (!row || row.deleted) throw errors.notFound('Patient', id);
  return row;
}

/** Renames what moved; a reference to what stays behind is dropped. */
function renamed(node: any, names: Map<string, string>, base: string): any {
  if (Array.isArray(node)) {
    const kept = node.map((n) => renamed(n, names, base)).filter((n) => n !== undefined);
    return kept.length ? kept : undefined;
  }
  if (!node || typeof node !== 'object') return node;
  const ref = relativeReference(node.reference, base);
  if (ref && /^(DocumentReference|List)\//.test(ref) && !names.has(ref)) return undefined;
  const out: Json = {};
  for (const [k, v] of Object.entries(node)) {
    const value = renamed(v, names, base);
    if (value !== undefined) out[k] = value;
  }
  if (ref && names.has(ref)) out.reference = names.get(ref);
  if (typeof node.url === 'string' && names.has(node.url)) out.url = names.get(node.url);
  if ((node.target !== undefined && out.target === undefined) || (node.item !== undefined && out.item === undefined)) return undefined;
  return out;
}

type Plan = { ops: Operation[]; claim: { key: string; owner: string }[]; release: { key: string; owner: string }[]; from: string[]; to: string[] };

/** Moves these rows, with the Binaries of documents, in one commit. */
async function moveRows(records: Records, rows: Row[], from: string, to: string): Promise<number> {
  const { deps, ask, gate } = records;
  const binaries = (await Promise.all(rows.filter((r) => r.type === 'DocumentReference').map((r) => deps.store.search({ type: 'Binary', plan: scalar('bound', 'eq', r.id), sort: [{ by: 'id', desc: false }], limit: 1_000 })))).flat().map((f) => f.row);
  const names = new Map<string, string>();
  for (const r of [...rows, ...binaries]) names.set(`${r.type}/${r.id}`, `${r.type}/${deps.world.newId()}`);
  names.set(`Patient/${from}`, `Patient/${to}`);
  const plan: Plan = { ops: [], claim: [], release: [], from: [], to: [] };
  const idOf = (ref: string): string => (names.get(ref) as string).split('/')[1];
  for (const r of [...rows, ...binaries]) {
    const own = `${r.type}/${r.id}`;
    const id = idOf(own);
    const { id: _i, meta, ...body } = JSON.parse(r.text) as Resource;
    const { versionId: _v, lastUpdated: _l, ...kept } = (meta ?? {}) as Json;
    const resource = renamed({ ...(Object.keys(kept).length ? { meta: kept } : {}), ...body }, names, deps.base) as Resource;
    const bound = r.type === 'Binary' && r.scalars.bound ? idOf(`DocumentReference/${r.scalars.bound}`) : r.scalars.bound;
    const chain = r.scalars.chain ? (names.get(`DocumentReference/${r.scalars.chain}`)?.split('/')[1] ?? id) : null;
    const put = putOf(deps, ask.now, resource, id, undefined, 'POST', { ...r.scalars, patient: to, bound, chain: r.type === 'DocumentReference' ? chain : r.scalars.chain });
    plan.ops.push(put, { kind: 'erase', type: r.type, id: r.id, version: r.version, at: ask.now });
    plan.release.push(...masterClaim(r));
    plan.claim.push(...masterClaim(put.row));
    plan.from.push(own);
    plan.to.push(`${r.type}/${id}`);
  }
  const event = (kind: 'create' | 'delete', patient: string, refs: string[]) => auditRows({ act: { kind }, caller: ask.caller, requestId: ask.requestId, now: ask.now, remote: ask.remote, resources: refs.map((ref) => ({ ref, patient, documents: ref.startsWith('DocumentReference/') ? [ref.split('/')[1]] : [], consents: [] })), patients: [patient], refusals: [], outcome: { code: '0', text: 'moved by the registry' } }, { site: deps.site, base: deps.base, newId: deps.world.newId });
  const facts = await Promise.all([from, to].map((patient) => gate.facts(patient)));
  // What is held in one record would be shown in the other.
  if (facts.some((f) => f.held)) throw errors.conflict('An import is bringing this record: it is moved or merged once that has ended.');
  const epochs = facts.map((f) => ({ patient: f.patient, expect: f.epoch, raise: true }));
  await deps.store.commit({ ops: plan.ops, claim: plan.claim, release: plan.release, epochs, audit: [...event('delete', from, plan.from), ...event('create', to, plan.to)] });
  gate.refresh();
  return rows.length;
}

/** Moves a misfiled document, with all that it replaced or that replaced it. */
export async function moveDocument(records: Records, id: string, to: string): Promise<{ moved: number }> {
  const row = await records.deps.store.read('DocumentReference', id);
  if (!row || row.deleted || row.scalars.patient === null) throw errors.notFound('DocumentReference', id);
  await livingPatient(records, to);
  if (row.scalars.patient === to) return { moved: 0 };
  const chain = row.scalars.chain ?? row.id;
  const members = (await records.deps.store.search({ type: 'DocumentReference', plan: scalar('chain', 'eq', chain), sort: [{ by: 'id', desc: false }], limit: 1_000 })).map((f) => f.row);
  return { moved: await moveRows(records, members.length ? members : [row], row.scalars.patient, to) };
}

/** Merges a duplicate into the Patient that stays: its documents, Lists and Consents move; the duplicate is inactive and says what replaced it. */
export async function mergePatients(records: Records, from: string, to: string): Promise<{ moved: number }> {
  if (from === to) throw errors.invalidParameter('A Patient is not merged into itself.');
  const source = await livingPatient(records, from);
  await livingPatient(records, to);
  const { deps, ask, gate } = records;
  const own = scalar('patient', 'eq', from);
  const rows = (await Promise.all(['DocumentReference', 'List', 'Consent'].map((type) => allRows(deps.store, type, own)))).flat();
  const moved = rows.length ? await moveRows(records, rows, from, to) : 0;
  const patient = JSON.parse(source.text) as Json;
  const identifier = asArray<Json>(patient.identifier).map((i) => ({ ...i, use: 'old' }));
  const put = putOf(deps, ask.now, { ...patient, resourceType: 'Patient', active: false, ...(identifier.length ? { identifier } : {}), link: [...asArray<Json>(patient.link), { other: { reference: `Patient/${to}` }, type: 'replaced-by' }] } as Resource, from, source, 'PUT', {});
  const audit = auditRows({ act: { kind: 'update', type: 'Patient', id: from }, caller: ask.caller, requestId: ask.requestId, now: ask.now, remote: ask.remote, resources: [{ ref: `Patient/${from}`, patient: from, documents: [], consents: [] }], patients: [from], refusals: [], outcome: { code: '0' } }, { site: deps.site, base: deps.base, newId: deps.world.newId });
  await deps.store.commit({ ops: [put], epochs: [{ patient: from, expect: (await gate.facts(from)).epoch, raise: true }], audit });
  return { moved };
}
