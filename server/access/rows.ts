// Every row that a plan selects, page after page in the order of ids.
import type { Found, Plan, Row, Store } from '../store/port.ts';

const PAGE = 500;

/** Rows of a type, one at a time; a page is read once the one before is used up. */
export async function* eachRow(store: Store, type: string, plan: Plan): AsyncGenerator<Row> {
  for (let after: (string | number)[] | undefined; ; ) {
    const found: Found[] = await store.search({ type, plan, sort: [{ by: 'id', desc: false }], after, limit: PAGE });
    for (const f of found) yield f.row;
    if (found.length < PAGE) return;
    after = found[found.length - 1].keys;
  }
}

/** Rows of a type, all of them: for plans that one record bounds. */
export async function allRows(store: Store, type: string, plan: Plan): Promise<Row[]> {
  const rows: Row[] = [];
  for await (const row of eachRow(store, type, plan)) rows.push(row);
  return rows;
}
