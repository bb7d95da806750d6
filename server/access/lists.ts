// Lists are searched as they are shown: what is hidden in one neither matches nor orders (S3).
import * as errors from '../fhir/errors.ts';
import type { Decision } from '../policy/decide.ts';
import { extract } from '../search/extract.ts';
import type { Query } from '../search/query.ts';
import { and, matches, not, scalar } from '../store/plan.ts';
import * as keys from '../search/keys.ts';
import type { Entries, Plan, Row } from '../store/port.ts';
import { sortField } from '../search/compile.ts';
import { openCursor, sealCursor } from './cursor.ts';
import { includesOf } from './include.ts';
import type { Records, View } from './records.ts';
import type { Page } from './page.ts';
import { allRows } from './rows.ts';
import { listView } from './views.ts';

type Candidate = { view: View; entries: Entries; row: Row };

const itemKey = (id: string): string => keys.referenceKey(keys.paramKey('List', 'item'), `DocumentReference/${id}`);

/** Lists that show: wholly visible ones matched by the store, partly visible ones matched as shown. */
async function candidates(records: Records, plan: Plan, record: Plan, patient: string): Promise<Candidate[]> {
  const { gate, deps } = records;
  const visible = await deps.store.ids('DocumentReference', await gate.documents(patient));
  if (!visible.length) return [];
  const hidden = [...(await gate.hidden(patient))];
  const shows: Plan = and(record, { kind: 'terms', keys: visible.map(itemKey) });
  const hides: Plan = { kind: 'terms', keys: hidden.map(itemKey) };
  const whole = await allRows(deps.store, 'List', and(shows, hidden.length ? not(hides) : and(), plan));
  const partial = hidden.length ? await allRows(deps.store, 'List', and(shows, hides)) : [];
  const out: Candidate[] = [];
  for (const row of [...whole, ...partial]) {
    const view = await listView(gate, row);
    if (!view) continue;
    const e = extract(JSON.parse(view.text), deps.base);
    const seen: Row = { ...row, updated: view.updated, scalars: { ...row.scalars, date: view.date, present: e.present } };
    if (matches(plan, seen, e.entries)) out.push({ view, entries: e.entries, row: seen });
  }
  return out;
}

function sortKeys(query: Query, c: Candidate): (string | number)[] {
  const sorts = query.sort.length ? query.sort : [{ code: 'date', desc: true }];
  const own = sorts.map((s) => {
    const by = sortField('List', s.code);
    if (by === 'date') return c.row.scalars.date;
    if (by === 'updated') return c.row.updated;
    if (by === 'id') return c.row.id;
    return c.entries.sorts[by]?.[s.desc ? 1 : 0] ?? '';
  });
  return [...own, c.row.id];
}

function compare(query: Query, a: (string | number)[], b: (string | number)[]): number {
  const desc = [...(query.sort.length ? query.sort : [{ code: 'date', desc: true }]).map((s) => s.desc)];
  desc.push(desc[0]);
  for (let i = 0; i < a.length; i++) {
    if (a[i] === b[i]) continue;
    const less = typeof a[i] === typeof b[i] ? a[i] < b[i] : typeof a[i] === 'number';
    return (less ? -1 : 1) * (desc[i] ? -1 : 1);
  }
  return 0;
}

export async function searchLists(records: Records, query: Query, plan: Plan, named: { patient?: string; nobody?: boolean; rows?: Plan }, refusal: Decision | undefined): Promise<Page> {
  const { deps, ask, notes } = records;
  if (named.nobody) return { matches: [], included: [], total: 0, next: undefined, refusal };
  let found: Candidate[];
  if (named.patient !== undefined) found = await candidates(records, plan, scalar('patient', 'eq', named.patient), named.patient);
  else if (named.rows) {
    const rows = await allRows(deps.store, 'List', named.rows);
    const patients = [...new Set(rows.map((r) => r.scalars.patient).filter((p): p is string => p !== null))];
    found = (await Promise.all(patients.map((p) => candidates(records, plan, and(named.rows as Plan, scalar('patient', 'eq', p)), p)))).flat();
  } else throw errors.onePatient('List');
  const keyed = found.map((c) => ({ c, k: sortKeys(query, c) })).sort((a, b) => compare(query, a.k, b.k));
  const who = `${ask.caller.ref}\nList\n${JSON.stringify(query.used)}`;
  const after = query.cursor === undefined ? undefined : openCursor(deps.cursorKey, who, query.cursor);
  const rest = after ? keyed.filter((x) => compare(query, after, x.k) < 0) : keyed;
  const count = query.summary === 'count' ? 0 : Math.min(query.count ?? 20, deps.limits.count);
  const shown = rest.slice(0, count);
  for (const { c } of shown) notes.shown({ ...c.row, text: c.view.text }, { permit: true, rule: 'permitted', consents: [] });
  const views = shown.map((x) => x.c.view);
  const next = rest.length > count && count > 0 ? sealCursor(deps.cursorKey, who, shown[shown.length - 1].k) : undefined;
  return { matches: views, included: views.length ? await includesOf(records, query, views, named.patient) : [], total: query.total === 'none' ? undefined : keyed.length, next, refusal };
}
