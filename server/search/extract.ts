// A resource → its index entries.
import { interval, periodInterval } from '../fhir/dates.ts';
import { relativeReference } from '../fhir/reference.ts';
import { asArray, type Json, type Resource } from '../fhir/types.ts';
import type { Entries } from '../store/port.ts';
import * as keys from './keys.ts';
import { type Param, parametersOf } from './registry.ts';

type Sink = { terms: Set<string>; ranges: Map<string, { p: string; lo: number; hi: number }>; sorts: Entries['sorts'] };

const CONTACT_SYSTEMS = new Set(['phone', 'fax', 'email', 'pager', 'url', 'sms', 'other']);

/** Most concepts and names hold few values; the cap bounds what one hostile resource can write. */
const MAX_TERMS = 2_000;

function sortable(sink: Sink, code: string, lo: string | number, hi = lo): void {
  const s = sink.sorts[code];
  if (!s) sink.sorts[code] = [lo, hi];
  else sink.sorts[code] = [lo < s[0] ? lo : s[0], hi > s[1] ? hi : s[1]];
}

function addTerm(sink: Sink, key: string): void {
  if (sink.terms.size < MAX_TERMS) sink.terms.add(key);
}

function coding(sink: Sink, p: string, code: string, c: Json): void {
  if (typeof c.code === 'string') {
    addTerm(sink, keys.codeKey(p, c.code));
    addTerm(sink, keys.tokenKey(p, c.system ?? '', c.code));
    sortable(sink, code, c.code);
  } else if (typeof c.system === 'string') addTerm(sink, keys.systemPrefix(p, c.system));
  if (typeof c.display === 'string') addTerm(sink, keys.textKey(p, c.display));
}

function identifier(sink: Sink, p: string, code: string, i: Json): void {
  if (typeof i.value !== 'string') return;
  const system = CONTACT_SYSTEMS.has(i.system) ? '' : (i.system ?? '');
  addTerm(sink, keys.codeKey(p, i.value));
  addTerm(sink, keys.tokenKey(p, system, i.value));
  sortable(sink, code, i.value);
  for (const t of asArray<Json>(i.type?.coding)) if (t.code) addTerm(sink, keys.ofTypeKey(p, t.system ?? '', t.code, i.value));
  if (i.type?.text) addTerm(sink, keys.textKey(p, i.type.text));
}

function token(sink: Sink, p: string, code: string, v: unknown): void {
  if (typeof v === 'string' || typeof v === 'boolean' || typeof v === 'number') coding(sink, p, code, { code: String(v) });
  else if (v && typeof v === 'object') {
    const o = v as Json;
    if (o.value !== undefined) identifier(sink, p, code, o);
    else if (o.coding || (o.text !== undefined && o.code === undefined)) {
      for (const c of asArray<Json>(o.coding)) coding(sink, p, code, c);
      if (typeof o.text === 'string') addTerm(sink, keys.textKey(p, o.text));
    } else coding(sink, p, code, o);
  }
}

const STRING_PARTS = ['text', 'family', 'given', 'prefix', 'suffix', 'line', 'city', 'district', 'state', 'postalCode', 'country'];

function strings(v: unknown): string[] {
  if (typeof v === 'string') return [v];
  if (!v || typeof v !== 'object') return [];
  return STRING_PARTS.flatMap((k) => asArray<unknown>((v as Json)[k]).filter((s): s is string => typeof s === 'string'));
}

function string(sink: Sink, p: string, code: string, v: unknown): void {
  for (const s of strings(v)) {
    if (code === 'phonetic') addTerm(sink, keys.stringKey(p, keys.phonetic(s)));
    else {
      addTerm(sink, keys.stringKey(p, s));
      addTerm(sink, keys.exactKey(p, s));
    }
    sortable(sink, code, keys.fold(s).slice(0, 100));
  }
}

function date(sink: Sink, p: string, code: string, v: unknown): void {
  const i = typeof v === 'string' ? interval(v) : periodInterval(v as Json);
  if (!i) return;
  sink.ranges.set(`${p}/${i.lo}/${i.hi}`, { p, ...i });
  sortable(sink, code, i.lo, i.hi);
}

function reference(sink: Sink, p: string, code: string, v: unknown, owner: Resource, base: string): void {
  if (typeof v === 'string') return addTerm(sink, keys.referenceKey(p, v));
  const o = v as Json;
  if (o?.identifier?.value) identifier(sink, keys.identifierParam(p), code, o.identifier);
  const text = o?.reference;
  if (typeof text !== 'string') return;
  if (text.startsWith('#')) {
    const inner = asArray<Resource>(owner.contained).find((c) => c?.id === text.slice(1));
    if (inner?.resourceType) contained(sink, p, inner, base);
    return;
  }
  const local = relativeReference(text, base);
  addTerm(sink, keys.referenceKey(p, local ?? text));
  sortable(sink, code, local ?? text);
}

function uri(sink: Sink, p: string, code: string, v: unknown): void {
  if (typeof v !== 'string') return;
  addTerm(sink, keys.uriKey(p, v));
  sortable(sink, code, v);
}

/** A chain into a contained resource finds its values under the outer parameter (PDSm's authors are contained). */
function contained(sink: Sink, p: string, inner: Resource, base: string): void {
  for (const param of new Set(parametersOf(inner.resourceType).values())) {
    if (param.type === 'reference' || param.type === 'composite' || param.code.startsWith('_')) continue;
    const sub: Sink = { terms: new Set(), ranges: sink.ranges, sorts: {} };
    for (const v of param.path(inner)) one(sub, keys.containedParam(p, inner.resourceType, param.code), param, v, inner, base);
    for (const t of sub.terms) addTerm(sink, t);
  }
}

function one(sink: Sink, p: string, param: Param, v: unknown, owner: Resource, base: string): void {
  switch (param.type) {
    case 'token': return token(sink, p, param.code, v);
    case 'string': return string(sink, p, param.code, v);
    case 'date': return date(sink, p, param.code, v);
    case 'reference': return reference(sink, p, param.code, v, owner, base);
    case 'uri': return uri(sink, p, param.code, v);
    case 'composite': return composite(sink, p, param, v, owner, base);
  }
}

/** The keys of one component of a composite, without the component's own prefix. */
export function componentKeys(param: Param, v: unknown, owner: Resource, base: string): string[] {
  const sub: Sink = { terms: new Set(), ranges: new Map(), sorts: {} };
  one(sub, '', param, v, owner, base);
  return [...sub.terms];
}

function composite(sink: Sink, p: string, param: Param, v: unknown, owner: Resource, base: string): void {
  let combinations: string[][] = [[]];
  for (const c of param.components) {
    const own = c.path(v as Json).flatMap((x) => componentKeys(c.param, x, owner, base));
    combinations = combinations.flatMap((head) => own.map((k) => [...head, k]));
  }
  for (const parts of combinations) addTerm(sink, keys.compositeKey(p, parts));
}

/** Index entries of a resource, and which parameters have a value (`,a,b,`). `base` is the server's own base URL. */
export function extract(resource: Resource, base: string): { entries: Entries; present: string } {
  const sink: Sink = { terms: new Set(), ranges: new Map(), sorts: {} };
  const present: string[] = [];
  for (const [name, param] of parametersOf(resource.resourceType)) {
    if (name !== param.code || param.code === '_id' || param.code === '_lastUpdated') continue;
    const values = param.path(resource);
    if (!values.length) continue;
    present.push(param.code);
    const p = keys.paramKey(resource.resourceType, param.code);
    for (const v of values) one(sink, p, param, v, resource, base);
  }
  return { entries: { terms: [...sink.terms], ranges: [...sink.ranges.values()], sorts: sink.sorts }, present: present.length ? `,${present.join(',')},` : '' };
}
