// What a store holds, as texts that do not depend on when and in which order it was written.
import type { Json } from '../../server/fhir/types.ts';
import type { Store } from '../../server/store/port.ts';

export async function contentsOf(store: Store): Promise<string[]> {
  const out: string[] = [];
  for (const type of ['Organization', 'Patient', 'Consent', 'DocumentReference', 'Binary']) {
    let after: (string | number)[] | undefined;
    for (;;) {
      const found = await store.search({ type, plan: { kind: 'all' }, sort: [{ by: 'id', desc: false }], after, limit: 500 });
      for (const f of found) {
        const { id: _i, meta: _m, ...r } = JSON.parse(f.row.text) as Json;
        // What a new run makes anew: ids of gated types, and what names them.
        out.push(`${type} ${f.row.scalars.patient} ${f.row.scalars.depositor} ${JSON.stringify(r).replace(/Binary\/[0-9a-f-]+/g, 'Binary/x')}`);
      }
      if (found.length < 500) break;
      after = found[found.length - 1].keys;
    }
  }
  return out.sort();
}
