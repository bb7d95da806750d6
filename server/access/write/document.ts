// Writing a DocumentReference: deposit, replacement, labels, upkeep, deletion. Rulings W1–W4, W8, R6, R7.
import * as errors from '../../fhir/errors.ts';
import { monthAfter, interval } from '../../fhir/dates.ts';
import { asArray, type Json, type Resource, cloned } from '../../fhir/types.ts';
import { relativeReference } from '../../fhir/reference.ts';
import { typeCodings } from '../../policy/matrix.ts';
import { type Labels, labelsOf, IS_ARCHIVED, RPPS, FINESS } from '../../policy/vocabulary.ts';
import { labelsDiffer, refuseDelete, refuseDeposit, refuseRelabel, refuseReplace, refuseUpkeep, type WriteRefusal } from '../../policy/write.ts';
import * as keys from '../../search/keys.ts';
import { and, scalar, term } from '../../store/plan.ts';
import type { Put, Row, Scalars, Stamp } from '../../store/port.ts';
import { documentOf } from '../gate.ts';
import type { Records } from '../records.ts';
import { viewOf } from '../views.ts';
import { type Change, type Effect, noEffect, putOf, type Siblings, tombstone } from './change.ts';
import { bindContents, contentOf } from './content.ts';
import { masterClaim, masterKey } from './master.ts';
import { checkGatedReferences, referenceNotFound } from './references.ts';
import { patientOfSubject } from './subject.ts';

type Create = Extract<Change, { kind: 'create' }>;
type Update = Extract<Change, { kind: 'update' }>;

export const refused = (r: WriteRefusal, expression?: string[]): errors.FhirError =>
  new errors.FhirError(r.rule === 'labels' || r.rule === 'write-table' || r.rule === 'replace' ? 422 : 403, [{ severity: 'error', code: r.rule === 'labels' || r.rule === 'write-table' || r.rule === 'replace' ? 'business-rule' : 'forbidden', reason: r.rule, text: r.text, expression }]);

const depositorStamp = (records: Records): Pick<Scalars, 'depositor' | 'depositorOrg' | 'bySystem'> => {
  const { caller } = records.ask;
  return { depositor: caller.ref, depositorOrg: caller.organization ?? null, bySystem: caller.kind === 'system' ? 1 : 0 };
};

/** The directory's Practitioner or Organization that an author names, by reference or by RPPS/FINESS in a contained resource. */
async function identified(records: Records, resource: Resource, holder: Json): Promise<string[]> {
  const text = holder?.reference;
  const local = relativeReference(text, records.deps.base);
  if (local?.startsWith('PractitionerRole/')) {
    const row = await records.deps.store.read('PractitionerRole', local.slice('PractitionerRole/'.length));
    const role = row && !row.deleted ? JSON.parse(row.text) : {};
    return [role.practitioner, role.organization].map((r: Json) => relativeReference(r?.reference, records.deps.base)).filter((r): r is string => r !== undefined);
  }
  if (local) return [local];
  const inner = typeof text === 'string' && text.startsWith('#') ? asArray<Json>(resource.contained).find((c) => c.id === text.slice(1)) : undefined;
  if (inner?.resourceType === 'PractitionerRole') return (await Promise.all([inner.practitioner, inner.organization].filter(Boolean).map((h: Json) => identified(records, resource, h)))).flat();
  const out: string[] = [];
  for (const i of [...asArray<Json>(inner?.identifier), ...asArray<Json>(holder?.identifier)]) {
    const type = i.system === RPPS || i.system === 'urn:oid:1.2.250.1.71.4.2.1' ? 'Practitioner' : i.system === FINESS ? 'Organization' : undefined;
    if (!type || !i.value) continue;
    const ids = await records.deps.store.ids(type, term(keys.tokenKey(keys.paramKey(type, 'identifier'), i.system, i.value)));
    out.push(...ids.map((id) => `${type}/${id}`));
  }
  return out;
}

function belongs(records: Records, practitioner: string, organization: string): Promise<boolean> {
  const p = keys.paramKey('PractitionerRole', 'practitioner');
  const o = keys.paramKey('PractitionerRole', 'organization');
  return records.gate.before(`${practitioner} of ${organization}`, async () => (await records.deps.store.ids('PractitionerRole', and(term(keys.referenceKey(p, practitioner)), term(keys.referenceKey(o, organization))))).length > 0);
}

/** W1: author and custodian fit the token; answers the practitioners named. They grant nothing by themselves. */
async function authorsFitting(records: Records, resource: Resource): Promise<string[]> {
  const { caller } = records.ask;
  const practitioners: string[] = [];
  const misfit = (what: string, expression: string) => errors.businessRule(`The ${what} does not fit the caller: a professional deposits as themselves, a system for its own organisation and its practitioners.`, [expression], 'author-misfit');
  for (const [i, a] of asArray<Json>(resource.author).entries()) {
    for (const ref of await identified(records, resource, a)) {
      const expression = `DocumentReference.author[${i}]`;
      if (ref.startsWith('Practitioner/')) {
        practitioners.push(ref);
        if (records.deps.open || ref === caller.ref) continue;
        if (caller.kind === 'system' && caller.organization && (await belongs(records, ref, caller.organization))) continue;
        if (caller.kind === 'professional' && caller.organization && (await belongs(records, ref, caller.organization)) && practitioners.includes(caller.ref)) continue;
        throw misfit('author', expression);
      }
      if (records.deps.open) continue;
      if (ref.startsWith('Organization/') && ref !== caller.organization) throw misfit('author', expression);
      if (ref.startsWith('Patient/') && caller.kind !== 'patient' && caller.kind !== 'representative') throw misfit('author', expression);
    }
  }
  const custodian = resource.custodian && !records.deps.open && caller.kind !== 'patient' && caller.kind !== 'representative' ? await identified(records, resource, resource.custodian) : [];
  if (custodian.some((c) => c !== caller.organization)) throw misfit('custodian', 'DocumentReference.custodian');
  return [...new Set(practitioners)];
}

/** W8: the same document again, from the same depositor. */
async function replay(records: Records, key: string, hashes: string[]): Promise<Row | undefined> {
  const owner = await records.deps.store.owner(key);
  const row = owner === undefined ? undefined : await records.deps.store.read('DocumentReference', owner.slice('DocumentReference/'.length));
  if (!row || row.deleted) return undefined;
  if (row.scalars.content !== hashes.join(' ')) throw errors.duplicate('A document with this masterIdentifier and other content was deposited before.', ['DocumentReference.masterIdentifier']);
  if (!(await records.visible(row))) throw errors.notFound('DocumentReference', row.id);
  return row;
}

/** Members of a chain of replacement. */
async function chainOf(records: Records, chain: string): Promise<Row[]> {
  const found = await records.deps.store.search({ type: 'DocumentReference', plan: scalar('chain', 'eq', chain), sort: [{ by: 'id', desc: false }], limit: 1_000 });
  return found.map((f) => f.row);
}

/** R6: what the labels of a chain's members come to. */
function effective(members: Labels[], since: number): Pick<Scalars, 'maskPs' | 'invRep' | 'hiddenUntil' | 'conf'> {
  return {
    maskPs: members.some((l) => l.maskPs) ? 1 : 0,
    invRep: members.some((l) => l.invRep) ? 1 : 0,
    hiddenUntil: members.some((l) => l.hiddenFromPatient) ? monthAfter(since) : 0,
    conf: Math.max(0, ...members.map((l) => l.conf)),
  };
}

const labelsOfRow = (row: Row): Labels => labelsOf(JSON.parse(row.text));

/** The documents that this one replaces: visible, same subject, same type, the caller's to replace. */
async function replaced(records: Records, resource: Resource, patient: string): Promise<Row[]> {
  const out: Row[] = [];
  for (const [i, r] of asArray<Json>(resource.relatesTo).entries()) {
    const ref = relativeReference(r.target?.reference, records.deps.base);
    if (!ref?.startsWith('DocumentReference/')) continue;
    const expression = `DocumentReference.relatesTo[${i}].target`;
    const row = await records.deps.store.read('DocumentReference', ref.slice('DocumentReference/'.length));
    if (!row || row.deleted || !(await records.visible(row))) throw referenceNotFound(ref, expression);
    if (r.code !== 'replaces') continue;
    const old = JSON.parse(row.text);
    if (row.scalars.patient !== patient) throw errors.businessRule('A replacement has the same subject as the document it replaces.', [expression], 'replace');
    const same = typeCodings(resource).some((a) => typeCodings(old).some((b) => a.system === b.system && a.code === b.code));
    if (!same) throw errors.businessRule('A replacement has the same type as the document it replaces.', [expression], 'replace');
    if (old.status !== 'current') throw errors.businessRule('The document was replaced already.', [expression], 'replace');
    const no = records.deps.open ? undefined : refuseReplace(records.ask.caller, documentOf(row));
    if (no) throw refused(no, [expression]);
    out.push(row);
  }
  return out;
}

function supersede(records: Records, row: Row, stamp: Partial<Scalars>): Put {
  return putOf(records.deps, records.ask.now, { ...JSON.parse(row.text), status: 'superseded' }, row.id, row, 'PUT', stamp);
}

/** Stamps of the chain's other members after its labels changed. */
const restamp = (members: Row[], except: Set<string>, scalars: Partial<Scalars>): Stamp[] => members.filter((m) => !except.has(m.id)).map((m) => ({ kind: 'stamp', type: m.type, id: m.id, scalars }));

const dateOf = (resource: Resource, now: number): number => interval(resource.date)?.lo ?? now;

function checkShape(resource: Resource): void {
  if (resource.status === 'entered-in-error') throw errors.businessRule('`entered-in-error` is never stored: delete the document instead.', ['DocumentReference.status']);
  const visibleBytes = asArray<Json>(resource.content).length;
  if (!visibleBytes) throw errors.businessRule('A document has content.', ['DocumentReference.content']);
}

/** Deposit (W1). */
export async function createDocument(records: Records, change: Create, siblings: Siblings): Promise<Effect> {
  const { deps, ask } = records;
  const resource = cloned(change.resource);
  checkShape(resource);
  const patient = await patientOfSubject(records, 'DocumentReference.subject', resource.subject);
  const facts = await records.gate.facts(patient);
  const labels = labelsOf(resource);
  const types = typeCodings(resource);
  const no = deps.open ? undefined : refuseDeposit(ask.caller, types, labels, facts, deps.book, deps.table, ask.now);
  if (no) {
    records.notes.refusal = { patient, decision: { permit: false, rule: no.rule as never, consents: [] } };
    throw refused(no, no.rule === 'labels' ? ['DocumentReference.securityLabel'] : undefined);
  }
  const authors = await authorsFitting(records, resource);
  const old = await replaced(records, resource, patient);
  await checkGatedReferences(records, resource, siblings, new Set(old.map((r) => `DocumentReference/${r.id}`)));
  const stamp = depositorStamp(records);
  const bound = await bindContents({ records, documentId: change.id, patient, stamp, siblings }, resource);
  const key = masterKey(resource, { ...stamp, patient });
  const again = key === undefined ? undefined : await replay(records, key, bound.hashes);
  if (again) {
    for (const s of siblings.values()) if (s.kind === 'create' && s.boundTo === change.id) s.replayed = true;
    return { ...noEffect(again), erase: bound.ops.map((o) => (o.kind === 'put' ? contentOf(o.row).key : '')).filter(Boolean) };
  }
  const chain = old[0]?.scalars.chain ?? old[0]?.id ?? change.id;
  const chains = new Set(old.map((r) => r.scalars.chain ?? r.id));
  const members = (await Promise.all([...chains].map((c) => chainOf(records, c)))).flat();
  const since = Math.min(ask.now, ...members.map((m) => m.scalars.since));
  if (labels.hiddenFromPatient && members.some((m) => m.scalars.hiddenUntil <= ask.now)) throw refused({ rule: 'labels', text: 'INVISIBLE_PATIENT cannot be put on what the patient could already see.', plain: true });
  const effect = effective([labels, ...members.map(labelsOfRow)], since);
  const chainStamp: Partial<Scalars> = { ...effect, chain, since };
  const put = putOf(deps, ask.now, resource, change.id, undefined, 'POST', {
    ...stamp, ...chainStamp, patient, date: dateOf(resource, ask.now), opens: deps.book.matrix.opens(types), matrix: deps.book.matrix.version,
    authors: authors.length ? `,${authors.join(',')},` : '', content: bound.hashes.join(' '), maskedBy: labels.maskPs ? 'author' : null,
  });
  const superseded = old.map((r) => supersede(records, r, chainStamp));
  return {
    ops: [...bound.ops, put, ...restamp(members, new Set(old.map((r) => r.id)), chainStamp)],
    implied: superseded,
    claim: key === undefined ? [] : [{ key, owner: `DocumentReference/${change.id}` }],
    release: [], epochs: new Map([[patient, false]]), row: put.row, erase: [],
  };
}

const archivedFlag = (r: Json): unknown => asArray<Json>(r.extension).find((e) => e.url === IS_ARCHIVED)?.valueBoolean ?? false;

/** The elements of a document that never change (W2), as text. */
function fixedPart(r: Json): string {
  const { id: _i, meta: _m, status: _s, securityLabel: _l, extension, text: _t, ...rest } = r;
  const others = asArray<Json>(extension).filter((e) => e.url !== IS_ARCHIVED);
  return canonical({ ...rest, ...(others.length ? { extension: others } : {}) });
}

function canonical(x: unknown): string {
  if (Array.isArray(x)) return `[${x.map(canonical).join(',')}]`;
  if (x && typeof x === 'object') return `{${Object.keys(x).sort().map((k) => `${JSON.stringify(k)}:${canonical((x as Json)[k])}`).join(',')}}`;
  return JSON.stringify(x);
}

/** A published document is fixed (W2): status, labels and the archived flag may change, compared with what the caller sees. */
export async function updateDocument(records: Records, change: Update): Promise<Effect> {
  const { deps, ask } = records;
  const { before, resource } = change;
  const stored = JSON.parse(before.text) as Resource;
  const view = await viewOf(records.gate, before);
  const shown = JSON.parse(view?.text ?? before.text) as Resource;
  if (fixedPart(resource) !== fixedPart(shown)) {
    if (change.method === 'PATCH') throw errors.methodNotAllowed('GET, HEAD, PUT, DELETE', 'Only status, securityLabel and the archived flag of a published document may be patched.');
    throw errors.businessRule('A published document is fixed: only status, securityLabel and the archived flag may change.', ['DocumentReference']);
  }
  if (resource.status === 'entered-in-error') return deleteDocument(records, { kind: 'delete', type: change.type, id: change.id, before });
  if (resource.status !== 'current' && resource.status !== 'superseded') throw errors.businessRule('The status of a document is current or superseded.', ['DocumentReference.status']);
  const patient = before.scalars.patient as string;
  const facts = await records.gate.facts(patient);
  const d = documentOf(before);
  const was = labelsOf(stored);
  const is = labelsOf(resource);
  const relabelled = labelsDiffer(stored, resource);
  const kept = resource.status !== stored.status || archivedFlag(resource) !== archivedFlag(stored);
  if (!relabelled && !kept) return noEffect(before);
  if (!deps.open) {
    const no = (relabelled ? refuseRelabel(ask.caller, d, was, is, facts, ask.now) : undefined) ?? (kept ? refuseUpkeep(ask.caller, d, facts, ask.now) : undefined);
    if (no) throw refused(no, [no.rule === 'labels' ? 'DocumentReference.securityLabel' : 'DocumentReference']);
  }
  const next: Resource = { ...stored, status: resource.status, ...archivedOf(stored, resource) };
  if (resource.securityLabel === undefined) delete next.securityLabel;
  else next.securityLabel = resource.securityLabel;
  const members = (await chainOf(records, before.scalars.chain ?? before.id)).filter((m) => m.id !== before.id);
  const effect = effective([is, ...members.map(labelsOfRow)], before.scalars.since);
  const author = before.scalars.depositor === ask.caller.ref || (before.scalars.depositorOrg !== null && before.scalars.depositorOrg === ask.caller.organization);
  const maskedBy = is.maskPs ? (was.maskPs ? before.scalars.maskedBy : author ? 'author' : 'other') : null;
  const put = putOf(deps, ask.now, next, before.id, before, change.method, { ...effect, maskedBy });
  return { ops: [put, ...restamp(members, new Set(), effect)], claim: [], release: [], epochs: new Map([[patient, false]]), row: put.row, erase: [] };
}

function archivedOf(stored: Resource, resource: Resource): Json {
  const others = asArray<Json>(stored.extension).filter((e) => e.url !== IS_ARCHIVED);
  const flag = asArray<Json>(resource.extension).filter((e) => e.url === IS_ARCHIVED);
  const extension = [...others, ...flag];
  return extension.length ? { extension } : { extension: undefined };
}

/** W4: out of every view, its bytes out of reach. */
export async function deleteDocument(records: Records, change: Extract<Change, { kind: 'delete' }>): Promise<Effect> {
  const { deps, ask } = records;
  const { before } = change;
  const patient = before.scalars.patient as string;
  const facts = await records.gate.facts(patient);
  const no = deps.open ? undefined : refuseDelete(ask.caller, documentOf(before), facts, ask.now, ask.patientRequest);
  if (no) throw refused(no);
  const binaries = await deps.store.search({ type: 'Binary', plan: scalar('bound', 'eq', before.id), sort: [{ by: 'id', desc: false }], limit: 1_000 });
  const put = tombstone(ask.now, before);
  return {
    ops: [put, ...binaries.map((b) => tombstone(ask.now, b.row))],
    claim: [], release: masterClaim(before),
    epochs: new Map([[patient, false]]), row: put.row, erase: binaries.map((b) => contentOf(b.row).key),
  };
}
