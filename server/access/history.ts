// The trail as the patient reads it: who, when, what was done, to which document, in which mode and why, by which consent (S9).
import { relativeReference } from '../fhir/reference.ts';
import { asArray, type Json } from '../fhir/types.ts';
import { ACT_REASON, G15, OWN, R02, R248, R38 } from '../policy/vocabulary.ts';
import { parseQuery } from '../search/query.ts';
import type { Records, View } from './records.ts';
import { search } from './search.ts';

export type Coded = { code: string; display?: string; system: string };
export type Line = {
  event: string;
  at: string;
  who: { reference?: string; name?: string };
  profession?: Coded;
  specialty?: Coded;
  sector?: Coded;
  establishment?: { reference: string; name?: string };
  action: Coded;
  permitted: boolean;
  outcome?: string;
  mode?: Coded;
  purpose?: string;
  reason?: string;
  documents: { reference: string; title?: string }[];
  rules: Coded[];
  consents: string[];
};

type Names = Map<string, Promise<string | undefined>>;

/** Names of people, organisations and documents, each looked up once. */
class Directory {
  private readonly known: Names = new Map();
  private readonly records: Records;
  constructor(records: Records) {
    this.records = records;
  }
  name(ref: string | undefined): Promise<string | undefined> {
    if (ref === undefined) return Promise.resolve(undefined);
    let n = this.known.get(ref);
    if (!n) this.known.set(ref, (n = this.look(ref)));
    return n;
  }
  private async look(ref: string): Promise<string | undefined> {
    const [type, id] = ref.split('/');
    if (!['Practitioner', 'Organization', 'Patient', 'RelatedPerson', 'Device', 'DocumentReference'].includes(type)) return undefined;
    const row = await this.records.deps.store.read(type, id);
    if (!row || row.deleted) return undefined;
    // Whoever reads the event may see the documents that its view still names; people are named to those who may see them.
    if (type !== 'DocumentReference' && !(await this.records.visible(row))) return undefined;
    const r = JSON.parse(row.text) as Json;
    if (type === 'DocumentReference') return this.title(r);
    if (type === 'Organization') return r.name;
    const human = asArray<Json>(r.name)[0];
    return human?.text ?? ([...asArray<string>(human?.prefix), ...asArray<string>(human?.given), human?.family].filter(Boolean).join(' ') || undefined);
  }
  private title(r: Json): string | undefined {
    const c = asArray<Json>(r.type?.coding)[0];
    return r.description ?? c?.display ?? (c && this.records.deps.terms.display(c.system, c.code)) ?? c?.code;
  }
}

const details = (event: Json, type: string): string[] => asArray<Json>(event.entity).flatMap((e) => asArray<Json>(e.detail)).filter((d) => d.type === type).map((d) => String(d.valueString));

async function lineOf(records: Records, names: Directory, view: View): Promise<Line> {
  const { terms } = records.deps;
  const event = JSON.parse(view.text) as Json;
  const coded = (system: string, code: string | undefined): Coded | undefined => (code === undefined ? undefined : { system, code, display: terms.display(system, code) });
  const user = asArray<Json>(event.agent).find((a) => a.requestor === true) ?? {};
  const role = (form: RegExp): string | undefined => asArray<Json>(user.role).map((r) => String(r.text ?? r.coding?.[0]?.code ?? '')).find((t) => form.test(t));
  const organization = asArray<Json>(event.agent).map((a) => String(a.who?.reference ?? '')).find((r) => r.startsWith('Organization/'));
  const purposes = asArray<Json>(user.purposeOfUse);
  const mode = purposes.find((p) => p.coding?.[0]?.system === R248);
  const external = asArray<Json>(event.meta?.tag).some((t) => t.code === 'external');
  const refs = [...asArray<Json>(event.entity).map((e) => relativeReference(e.what?.reference)), ...details(event, 'document')].filter((r): r is string => r !== undefined);
  const denied = event.subtype?.[0]?.code === 'AuthZ-Consent';
  const documents = [...new Set(refs.filter((r) => r.startsWith('DocumentReference/')))];
  return {
    event: `AuditEvent/${view.id}`,
    at: event.recorded,
    who: { reference: user.who?.reference, name: user.name ?? (await names.name(user.who?.reference)) ?? user.who?.display },
    profession: coded(G15, role(/^\d\d$/)), specialty: coded(R38, role(/^(SM|SI|CAPA|C)\d+$/)), sector: coded(R02, role(/^SA\d+$/)),
    ...(organization ? { establishment: { reference: organization, name: await names.name(organization) } } : {}),
    action: coded(`${OWN}/CodeSystem/dmp-action`, external ? 'external' : String(event.subtype?.[0]?.code ?? event.action)) as Coded,
    permitted: event.outcome === '0' && !denied,
    outcome: event.outcomeDesc,
    mode: coded(R248, mode?.coding?.[0]?.code), purpose: purposes.find((p) => p.coding?.[0]?.system === ACT_REASON)?.coding?.[0]?.code, reason: mode?.text,
    documents: await Promise.all(documents.map(async (reference) => ({ reference, title: await names.name(reference) }))),
    rules: [...new Set(denied ? [String(event.outcomeDesc)] : details(event, 'rule'))].map((r) => coded(`${OWN}/CodeSystem/dmp-rule`, r) as Coded),
    consents: [...new Set([...details(event, 'consent'), ...refs.filter((r) => r.startsWith('Consent/'))])],
  };
}

/** A page of the history, newest first; `date` as a search takes it. */
export async function accessHistory(records: Records, patient: string, o: { count: number; cursor?: string; date: string[] }): Promise<{ lines: Line[]; next: string | undefined }> {
  const params: [string, string][] = [['patient', patient], ['_sort', '-date'], ['_count', String(o.count)], ['_total', 'none'], ...o.date.map((d): [string, string] => ['date', d]), ...(o.cursor ? [['_cursor', o.cursor] as [string, string]] : [])];
  const page = await search(records, parseQuery('AuditEvent', params, true));
  const names = new Directory(records);
  const lines: Line[] = [];
  for (const view of page.matches) lines.push(await lineOf(records, names, view));
  return { lines, next: page.next };
}
