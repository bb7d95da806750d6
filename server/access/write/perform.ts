// Writes under the gate: every decision before any write, one commit, conflicts decided again (S6, W7).
import * as errors from '../../fhir/errors.ts';
import type { AuditRow, Commit, Search } from '../../store/port.ts';
import { Conflict } from '../../store/port.ts';
import type { Records } from '../records.ts';
import { createBinary, deleteBinary, refuseBinaryUpdate } from './binary.ts';
import { type Change, type Effect, joined, type Siblings } from './change.ts';
import { createConsent, deleteConsent, updateConsent } from './consent.ts';
import { createDirectory, deleteDirectory, updateDirectory } from './directory.ts';
import { createEvent } from './event.ts';
import { createDocument, deleteDocument, updateDocument } from './document.ts';
import { createList, deleteList, updateList } from './list.ts';

function create(records: Records, c: Extract<Change, { kind: 'create' }>, siblings: Siblings): Promise<Effect> {
  switch (c.type) {
    case 'DocumentReference': return createDocument(records, c, siblings);
    case 'List': return createList(records, c, siblings);
    case 'Consent': return createConsent(records, c, siblings);
    case 'Binary': return createBinary(records, c);
    case 'AuditEvent': return createEvent(records, c, siblings);
    default: return createDirectory(records, c);
  }
}

function update(records: Records, c: Extract<Change, { kind: 'update' }>, siblings: Siblings): Promise<Effect> {
  switch (c.type) {
    case 'DocumentReference': return updateDocument(records, c);
    case 'List': return updateList(records, c, siblings);
    case 'Consent': return updateConsent(records, c, siblings);
    case 'Binary': throw refuseBinaryUpdate();
    default: return updateDirectory(records, c);
  }
}

function remove(records: Records, c: Extract<Change, { kind: 'delete' }>): Promise<Effect> {
  switch (c.type) {
    case 'DocumentReference': return deleteDocument(records, c);
    case 'List': return deleteList(records, c);
    case 'Consent': return deleteConsent(records, c);
    case 'Binary': return deleteBinary(records, c.before);
    default: return deleteDirectory(records, c);
  }
}

/** Order of decisions: a Binary is bound by its document, so it comes after. */
const rank = (c: Change): number => (c.type === 'Binary' ? 1 : 0);

/** Decides every change on the state before; throws the first refusal, its `index` naming the change. */
async function decideAll(records: Records, changes: Change[]): Promise<Effect[]> {
  const siblings: Siblings = new Map(changes.map((c) => [`${c.type}/${c.id}`, c]));
  const effects = new Array<Effect>(changes.length);
  const order = changes.map((c, i) => ({ c, i })).sort((a, b) => rank(a.c) - rank(b.c) || a.i - b.i);
  for (const { c, i } of order) {
    try {
      effects[i] = c.kind === 'create' ? await create(records, c, siblings) : c.kind === 'update' ? await update(records, c, siblings) : await remove(records, c);
    } catch (e) {
      throw Object.assign(e as Error, { changeIndex: i });
    }
  }
  return effects;
}

export type Performed = { change: Change; effect: Effect };

const MAX_ATTEMPTS = 8;
const pause = (attempt: number): Promise<void> => new Promise((r) => setTimeout(r, Math.random() * 5 * 2 ** attempt));

/**
 * Plans, decides, commits. `plan` is called anew after a conflict, so that what it read is fresh.
 * `events` makes the AuditEvents of the write: they go into the same commit (A1).
 */
export async function perform(records: Records, plan: () => Promise<{ changes: Change[]; absent?: Search[] }>, events: (done: Performed[]) => AuditRow[]): Promise<Performed[]> {
  const { deps, gate } = records;
  for (let attempt = 0; ; attempt++) {
    const { changes, absent } = await plan();
    const effects = await decideAll(records, changes);
    const done = changes.map((change, i) => ({ change, effect: effects[i] }));
    for (const { effect } of done) if (!effect.row.deleted || effect.ops.length) records.notes.shown(effect.row, { permit: true, rule: 'permitted', consents: [] });
    const epochs = new Map<string, number>();
    for (const e of effects) for (const p of e.epochs.keys()) epochs.set(p, (await knownEpoch(records, p)) ?? 0);
    const commit: Commit = { ...joined(effects, (p) => epochs.get(p) ?? 0), ...(absent?.length ? { absent } : {}), audit: [...effects.flatMap((e) => e.audit ?? []), ...events(done)] };
    try {
      await deps.store.commit(commit);
      records.notes.recorded = true;
      for (const e of effects) for (const key of e.erase) await deps.store.content.remove(key);
      return done;
    } catch (e) {
      if (!(e instanceof Conflict)) throw e;
      if (attempt >= MAX_ATTEMPTS) throw errors.unavailable(`conflict ${e.kind} after ${attempt} attempts`, e);
      gate.refresh();
      await pause(attempt);
    }
  }
}

async function knownEpoch(records: Records, patient: string): Promise<number | undefined> {
  return (await records.gate.facts(patient)).epoch;
}
