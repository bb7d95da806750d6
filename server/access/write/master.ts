// W8: a depositor deposits a masterIdentifier once in a record. The key that its document claims in the store.
import type { Json } from '../../fhir/types.ts';
import type { Row, Scalars } from '../../store/port.ts';

/** The key of a document deposited so; undefined without a masterIdentifier. */
export function masterKey(resource: Json, s: Pick<Scalars, 'patient' | 'bySystem' | 'depositor' | 'depositorOrg'>): string | undefined {
  const m = resource.masterIdentifier;
  return m?.value ? `MI|${s.patient}|${s.bySystem === 1 ? '' : s.depositor}|${s.depositorOrg ?? ''}|${m.system ?? ''}|${m.value}` : undefined;
}

/** What a stored document claims. */
export function masterClaim(row: Row): { key: string; owner: string }[] {
  const key = row.type === 'DocumentReference' ? masterKey(JSON.parse(row.text) as Json, row.scalars) : undefined;
  return key === undefined ? [] : [{ key, owner: `DocumentReference/${row.id}` }];
}
