// Index terms of the events that this server writes: what the trail's own searches ask, written straight from the event.
import { asArray, type Json } from '../fhir/types.ts';
import * as keys from '../search/keys.ts';

const P = (code: string): string => keys.paramKey('AuditEvent', code);

function token(out: string[], param: string, c: Json | undefined): void {
  if (!c?.code) return;
  out.push(keys.codeKey(P(param), c.code), keys.tokenKey(P(param), c.system ?? '', c.code));
}

/** The same keys that search/extract would make of the event (held together by a test), and the documents it is about. */
export function eventTerms(event: Json): { terms: string[]; docs: string[] } {
  const out: string[] = [];
  const docs: string[] = [];
  token(out, 'type', event.type);
  for (const s of asArray<Json>(event.subtype)) token(out, 'subtype', s);
  token(out, 'action', { code: event.action });
  token(out, 'outcome', { code: event.outcome });
  if (event.source?.site) out.push(keys.codeKey(P('site'), event.source.site), keys.tokenKey(P('site'), '', event.source.site));
  for (const a of asArray<Json>(event.agent)) {
    if (a.who?.reference) out.push(keys.referenceKey(P('agent'), a.who.reference));
    if (a.name) out.push(keys.stringKey(P('agent-name'), a.name), keys.exactKey(P('agent-name'), a.name));
    for (const r of asArray<Json>(a.role)) if (r.text) out.push(keys.textKey(P('agent-role'), r.text));
    for (const p of asArray<string>(a.policy)) out.push(keys.uriKey(P('policy'), p));
    if (a.network?.address) out.push(keys.stringKey(P('address'), a.network.address), keys.exactKey(P('address'), a.network.address));
    if (String(a.who?.reference ?? '').startsWith('Patient/')) out.push(keys.referenceKey(P('patient'), a.who.reference));
  }
  for (const e of asArray<Json>(event.entity)) {
    token(out, 'entity-type', e.type);
    token(out, 'entity-role', e.role);
    if (e.name) out.push(keys.stringKey(P('entity-name'), e.name), keys.exactKey(P('entity-name'), e.name));
    const ref = e.what?.reference;
    for (const d of asArray<Json>(e.detail)) {
      if (d.type === 'XrequestId') out.push(keys.codeKey(keys.identifierParam(P('entity')), d.valueString), keys.tokenKey(keys.identifierParam(P('entity')), '', d.valueString));
      if (d.type !== 'document') continue;
      const id = String(d.valueString).slice('DocumentReference/'.length);
      docs.push(id);
      out.push(`~doc>${id}`);
    }
    if (e.what?.identifier?.value) out.push(keys.codeKey(keys.identifierParam(P('entity')), e.what.identifier.value), keys.tokenKey(keys.identifierParam(P('entity')), e.what.identifier.system ?? '', e.what.identifier.value));
    if (!ref) continue;
    out.push(keys.referenceKey(P('entity'), ref));
    if (ref.startsWith('Patient/')) out.push(keys.referenceKey(P('patient'), ref));
    if (ref.startsWith('DocumentReference/')) {
      const id = ref.slice('DocumentReference/'.length);
      docs.push(id);
      out.push(`~doc>${id}`);
    }
  }
  if (event.meta?.profile) for (const p of event.meta.profile) out.push(keys.uriKey(P('_profile'), p));
  return { terms: [...new Set(out)], docs };
}
