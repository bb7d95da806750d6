// What a caller is shown of a resource that they may see: references to what is unseen left out (S1, S3, S9).
import { createHash } from 'node:crypto';
import { interval } from '../fhir/dates.ts';
import { asArray, instant, type Json, type Resource } from '../fhir/types.ts';
import { relativeReference } from '../fhir/reference.ts';
import { and } from '../store/plan.ts';
import type { Row } from '../store/port.ts';
import type { Gate } from './gate.ts';

/** A row as one caller sees it. */
export type View = { type: string; id: string; version: string; updated: number; date: number; text: string; row: Row };

const plain = (row: Row): View => ({ type: row.type, id: row.id, version: String(row.version), updated: row.updated, date: row.scalars.date, text: row.text, row });

const GATED_REFERENCE = /"reference":"[^"]{0,400}(?:DocumentReference|List|Binary)\//;

/** Ids of DocumentReferences of this record among `ids` that the caller sees. */
export async function visibleAmong(gate: Gate, patient: string, ids: string[]): Promise<Set<string>> {
  if (!ids.length) return new Set();
  return new Set(await gate.deps.store.ids('DocumentReference', and({ kind: 'ids', ids }, await gate.documents(patient))));
}

function gatedReferences(node: unknown, base: string, out: Set<string>): void {
  if (Array.isArray(node)) for (const n of node) gatedReferences(n, base, out);
  else if (node && typeof node === 'object') {
    const o = node as Json;
    const ref = relativeReference(o.reference, base);
    if (ref && /^(DocumentReference|List|Binary)\//.test(ref)) out.add(ref);
    for (const k of Object.keys(o)) if (typeof o[k] === 'object') gatedReferences(o[k], base, out);
  }
}

/** Removes each object that holds a reference in `gone`, and what becomes empty by it. */
function without(node: any, gone: Set<string>, base: string): any {
  if (Array.isArray(node)) {
    const kept = node.map((n) => without(n, gone, base)).filter((n) => n !== undefined);
    return kept.length ? kept : undefined;
  }
  if (!node || typeof node !== 'object') return node;
  const ref = relativeReference(node.reference, base);
  if (ref && gone.has(ref)) return undefined;
  const out: Json = {};
  for (const k of Object.keys(node)) {
    const v = without(node[k], gone, base);
    if (v !== undefined) out[k] = v;
  }
  if (node.target !== undefined && out.target === undefined && node.code !== undefined) return undefined;
  return Object.keys(out).length ? out : undefined;
}

async function documentView(gate: Gate, row: Row, text: string): Promise<View> {
  const own = { ...plain(row), text };
  if (gate.deps.open || !GATED_REFERENCE.test(text)) return own;
  const resource = JSON.parse(text) as Resource;
  const refs = new Set<string>();
  gatedReferences(resource, gate.deps.base, refs);
  const gone = await unseen(gate, refs);
  return gone.size ? { ...own, text: JSON.stringify(without(resource, gone, gate.deps.base)) } : own;
}

/** Those of the references to gated types that the caller does not see; what was never given counts as unseen. */
async function unseen(gate: Gate, refs: Set<string>): Promise<Set<string>> {
  const gone = new Set<string>();
  for (const ref of refs) {
    const [type, id] = ref.split('/');
    const row = await gate.deps.store.read(type, id);
    if (!row || row.deleted || !(await seen(gate, row))) gone.add(ref);
  }
  return gone;
}

async function seen(gate: Gate, row: Row): Promise<boolean> {
  if (row.type === 'DocumentReference') return (await gate.document(row)).permit;
  if (row.type === 'List') return (await listView(gate, row)) !== undefined;
  const bound = row.scalars.bound === null ? undefined : await gate.deps.store.read('DocumentReference', row.scalars.bound);
  return bound !== undefined && !bound.deleted && (await gate.document(bound)).permit;
}

export const listDocuments = (list: Json, base: string): string[] =>
  asArray<Json>(list.entry).map((e) => relativeReference(e.item?.reference, base)).filter((r) => r?.startsWith('DocumentReference/')).map((r) => (r as string).slice('DocumentReference/'.length));

/** S3: a List as this caller sees it; undefined while none of its documents shows. Version, ETag and dates follow the view. */
export async function listView(gate: Gate, row: Row): Promise<View | undefined> {
  if (gate.deps.open) return plain(row);
  const list = JSON.parse(row.text) as Resource;
  const patient = row.scalars.patient;
  const ids = listDocuments(list, gate.deps.base);
  const shown = patient === null ? new Set<string>() : await visibleAmong(gate, patient, ids);
  if (!shown.size) return undefined;
  const entries = asArray<Json>(list.entry).filter((e) => {
    const ref = relativeReference(e.item?.reference, gate.deps.base);
    return ref === undefined || (ref.startsWith('DocumentReference/') && shown.has(ref.slice('DocumentReference/'.length)));
  });
  const partial = entries.length < asArray(list.entry).length;
  const view: Json = { ...list, entry: entries };
  if (partial) for (const k of ['title', 'text', 'date', 'note']) delete view[k];
  const dates: number[] = [];
  for (const id of shown) dates.push((await gate.deps.store.read('DocumentReference', id))?.scalars.since ?? 0);
  const updated = Math.max(...dates);
  const version = createHash('sha256').update(JSON.stringify({ ...view, meta: { ...list.meta, versionId: '', lastUpdated: '' } })).digest('hex').slice(0, 16);
  view.meta = { ...list.meta, versionId: version, lastUpdated: instant(updated) };
  return { type: 'List', id: row.id, version, updated, date: interval(view.date)?.lo ?? updated, text: JSON.stringify(view), row };
}

/** S9: entities about documents hidden from the reader are removed, and query texts that name one. */
async function eventView(gate: Gate, row: Row): Promise<View> {
  const own = plain(row);
  const { caller } = gate.ask;
  if (gate.deps.open || caller.roles.includes('auditor') || row.scalars.patient === null) return own;
  const hidden = await gate.hidden(row.scalars.patient);
  if (!hidden.size) return own;
  const event = JSON.parse(row.text) as Resource;
  const kept = asArray<Json>(event.entity).filter((e) => {
    const ref = relativeReference(e.what?.reference);
    if (ref?.startsWith('DocumentReference/')) return !hidden.has(ref.slice('DocumentReference/'.length));
    return !(e.query && mentions(Buffer.from(String(e.query), 'base64').toString(), hidden));
  });
  // A decision names its documents as details.
  const telling = kept.map((e) => {
    const detail = asArray<Json>(e.detail).filter((d) => !(d.type === 'document' && hidden.has(String(d.valueString).slice('DocumentReference/'.length))));
    return detail.length === asArray(e.detail).length ? e : { ...e, detail };
  });
  const same = telling.length === asArray(event.entity).length && telling.every((e, i) => e === event.entity[i]);
  return same ? own : { ...own, text: JSON.stringify({ ...event, entity: telling }) };
}

const mentions = (text: string, ids: Set<string>): boolean => [...ids].some((id) => text.includes(id));

/** The view of a row that passed the gate; `text` of an older version may be given. Undefined: not for this caller. */
export async function viewOf(gate: Gate, row: Row, text = row.text): Promise<View | undefined> {
  switch (row.type) {
    case 'List': return listView(gate, row);
    case 'DocumentReference': return documentView(gate, row, text);
    case 'AuditEvent': return eventView(gate, row);
    default: return { ...plain(row), text };
  }
}
