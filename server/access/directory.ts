// Who a token's identifiers name: directory look-ups for claim mappings.
import type { Directory } from '../auth/claims.ts';
import { asArray, type Json } from '../fhir/types.ts';
import * as keys from '../search/keys.ts';
import { term } from '../store/plan.ts';
import type { Store } from '../store/port.ts';

export function directoryOf(store: Store): Directory {
  return {
    async byIdentifier(type, system, value) {
      return value ? store.ids(type, term(keys.tokenKey(keys.paramKey(type, 'identifier'), system, value))) : [];
    },
    /** One exact match on the official identity that the registry wrote (rulings C1; FranceConnect pivot). */
    async patientByIdentity(identity) {
      const found = await store.search({ type: 'Patient', plan: term(keys.exactKey(keys.paramKey('Patient', 'family'), identity.family)), sort: [{ by: 'id', desc: false }], limit: 200 });
      const want = keys.fold(identity.given);
      return found
        .map((f) => JSON.parse(f.row.text) as Json)
        .filter((p) => p.birthDate === identity.birthdate && (!identity.gender || p.gender === identity.gender))
        .filter((p) => asArray<Json>(p.name).some((n) => (n.use === 'official' || n.use === undefined) && n.family === identity.family && keys.fold(asArray<string>(n.given).join(' ')) === want))
        .map((p) => p.id as string);
    },
  };
}
