// Writes as values: what is asked, and what it comes to once decided.
import { instant, type Resource } from '../../fhir/types.ts';
import { extract } from '../../search/extract.ts';
import type { AuditRow, Commit, Operation, Put, Row, Scalars } from '../../store/port.ts';
import { NO_ENTRIES, NO_SCALARS } from '../../store/port.ts';
import type { Deps } from '../deps.ts';

/** One write asked for; ids are settled before. */
export type Change =
  | { kind: 'create'; type: string; id: string; resource: Resource; /** Update-as-create on a directory type. */ put?: boolean; content?: { key: string; size: number; sha1: string }; /** Binary: the document of the same commit that it was bound to. */ boundTo?: string; boundPatient?: string; /** Its document was deposited before (W8). */ replayed?: boolean }
  | { kind: 'update'; type: string; id: string; resource: Resource; before: Row; method: 'PUT' | 'PATCH' }
  | { kind: 'delete'; type: string; id: string; before: Row };

/** What a decided write does. */
export type Effect = {
  ops: Operation[];
  /** Puts that follow from another change (a replaced document becomes superseded); one asked for itself prevails. */
  implied?: Put[];
  claim: { key: string; owner: string }[];
  release: { key: string; owner: string }[];
  /** Patients whose epoch the decision rests on; true: it is raised. */
  epochs: Map<string, boolean>;
  /** The row as it stands after; undefined after a replay. */
  row: Row;
  /** True where nothing is written: the same lot again (W8), or no change. */
  unchanged?: boolean;
  /** Events posted by the client itself. */
  audit?: AuditRow[];
  /** Content to erase once committed. */
  erase: string[];
};

/** The resources that one commit brings, by `Type/id`, so that its parts may refer to each other. */
export type Siblings = Map<string, Change>;

export const noEffect = (row: Row): Effect => ({ ops: [], claim: [], release: [], epochs: new Map(), row, unchanged: true, erase: [] });

/** The resource with id and meta as the server sets them; JSON text in FHIR's usual order. */
function printed(resource: Resource, id: string, version: number, updated: number): string {
  const { resourceType, id: _id, meta, ...rest } = resource;
  return JSON.stringify({ resourceType, id, meta: { ...(meta ?? {}), versionId: String(version), lastUpdated: instant(updated) }, ...rest });
}

/** A put of a resource's next version with its entries. */
export function putOf(deps: Deps, now: number, resource: Resource, id: string, before: Row | undefined, method: Row['method'], scalars: Partial<Scalars>): Put {
  const version = (before?.version ?? 0) + 1;
  const text = printed(resource, id, version, now);
  const { entries, present } = extract({ ...resource, id }, deps.base);
  const row: Row = { type: resource.resourceType, id, version, updated: now, deleted: false, method, text, scalars: { ...NO_SCALARS, date: now, ...(before?.scalars ?? {}), ...scalars, present } };
  return { kind: 'put', row, entries, expect: before?.version ?? 0 };
}

/** A tombstone: the scalars stay, so that past events remain gated as the resource was. */
export const tombstone = (now: number, before: Row): Put => ({
  kind: 'put',
  row: { ...before, version: before.version + 1, updated: now, deleted: true, method: 'DELETE', text: '' },
  entries: NO_ENTRIES,
  expect: before.version,
});

const opKey = (o: Operation): string => (o.kind === 'put' ? `${o.row.type}/${o.row.id}` : `${o.type}/${o.id}`);

/** Effects of one interaction joined into a commit. */
export function joined(effects: Effect[], epochOf: (patient: string) => number): Omit<Commit, 'audit'> {
  const epochs = new Map<string, boolean>();
  for (const e of effects) for (const [p, raise] of e.epochs) epochs.set(p, raise || (epochs.get(p) ?? false));
  const ops = effects.flatMap((e) => e.ops);
  const asked = new Set(ops.filter((o) => o.kind === 'put').map(opKey));
  const implied = effects.flatMap((e) => e.implied ?? []).filter((o) => !asked.has(opKey(o)) && asked.add(opKey(o)));
  return {
    ops: [...implied, ...ops],
    claim: effects.flatMap((e) => e.claim),
    release: effects.flatMap((e) => e.release),
    epochs: [...epochs].map(([patient, raise]) => ({ patient, expect: epochOf(patient), raise })),
  };
}
