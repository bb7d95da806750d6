// Holds: the record of a patient, closed to all but the import that brings it until what closes it, or hides in it, has come too.
import { and, scalar } from '../store/plan.ts';
import { Conflict, NO_ENTRIES, NO_SCALARS, type Operation, type Plan, type Put, type Row } from '../store/port.ts';
import type { Deps } from './deps.ts';
import { tombstone } from './write/change.ts';

/** Not FHIR's, not served: one row for each patient and import. */
const HOLD = 'Hold';
/** Records that one commit holds or lets go. */
const TOGETHER = 100;

const holdOf = (patient: string, by: string, now: number, before: Row | undefined): Put => ({
  kind: 'put',
  row: { type: HOLD, id: `${patient}.${by}`, version: (before?.version ?? 0) + 1, updated: now, deleted: false, method: 'PUT', text: '{}', scalars: { ...NO_SCALARS, patient, depositor: by, date: now } },
  entries: NO_ENTRIES,
  expect: before?.version ?? 0,
});

/** Commits what `ops` makes of the rows as they stand, and raises the epoch of each patient, so that no decision rests on facts of before. */
async function commit(deps: Deps, patients: string[], ops: () => Promise<Operation[]>): Promise<void> {
  for (;;) {
    try {
      const epochs = await Promise.all(patients.map(async (patient) => ({ patient, expect: await deps.store.epoch(patient), raise: true })));
      const due = await ops();
      if (due.length) await deps.store.commit({ ops: due, epochs, audit: [] });
      return;
    } catch (e) {
      if (!(e instanceof Conflict)) throw e;
    }
  }
}

/** Closes records to all but imports. `by` names the import. */
export async function hold(deps: Deps, patients: string[], by: string): Promise<void> {
  const all = [...new Set(patients)];
  for (let i = 0; i < all.length; i += TOGETHER) {
    const some = all.slice(i, i + TOGETHER);
    await commit(deps, some, async () => {
      const rows = await Promise.all(some.map((p) => deps.store.read(HOLD, `${p}.${by}`)));
      return some.flatMap((p, n) => (rows[n] && !rows[n].deleted ? [] : [holdOf(p, by, deps.world.now(), rows[n])]));
    });
  }
}

/** Lets go of what an import holds; without a name, of what any does. Answers how many records others still hold. */
export async function letGo(deps: Deps, by?: string): Promise<number> {
  const plan: Plan = by === undefined ? and() : scalar('depositor', 'eq', by);
  for (;;) {
    const found = await deps.store.search({ type: HOLD, plan, sort: [{ by: 'id', desc: false }], limit: TOGETHER });
    if (!found.length) return deps.store.count(HOLD, and());
    const patients = [...new Set(found.map((f) => f.row.scalars.patient as string))];
    await commit(deps, patients, async () => {
      const rows = await Promise.all(found.map((f) => deps.store.read(HOLD, f.row.id)));
      return rows.filter((r): r is Row => r !== undefined && !r.deleted).map((r) => tombstone(deps.world.now(), r));
    });
  }
}

/** Whether any import holds the record. */
export async function isHeld(deps: Deps, patient: string): Promise<boolean> {
  return (await deps.store.search({ type: HOLD, plan: scalar('patient', 'eq', patient), sort: [{ by: 'id', desc: false }], limit: 1 })).length > 0;
}
