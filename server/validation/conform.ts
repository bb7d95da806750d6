// Whether an instance conforms to a profile: cardinality, slices, fixed and pattern values, types, extensions, bindings, invariants.
import type { Issue } from '../fhir/errors.ts';
import { asArray, type Json, type Resource } from '../fhir/types.ts';
import type { Terminology } from '../terminology/terms.ts';
import { evaluate } from './invariants.ts';
import type { Node, Profile } from './profiles.ts';

export type Conforming = {
  issues: Issue[];
  max: number;
  terms: Terminology;
  profile: (url: string) => Profile | undefined;
  /** The outermost resource. */
  root: Json;
  /** Profiles under way, so that those which name each other end. */
  depth: number;
  /** Instances at `Bundle.entry` by fullUrl, for references that resolve within. */
  resolve: (reference: string) => Json | undefined;
};

type Value = { value: unknown; type: string | undefined; path: string };

const MAX_DEPTH = 12;
const upper = (s: string): string => s[0].toUpperCase() + s.slice(1);

function fault(c: Conforming, path: string, code: string, reason: string, text: string, severity: Issue['severity'] = 'error'): void {
  if (c.issues.length < c.max) c.issues.push({ severity, code, reason, text, expression: [path] });
}

/** The values of an element: a choice under the name that says its type. */
function valuesOf(o: unknown, node: Node, path: string): Value[] {
  if (o === null || typeof o !== 'object') return [];
  const own = o as Json;
  if (!node.choice) {
    const v = own[node.name] ?? (own[`_${node.name}`] === undefined ? undefined : null);
    return asValues(v, undefined, `${path}.${node.name}`, Array.isArray(v));
  }
  for (const k of Object.keys(own)) {
    const plain = k.startsWith('_') ? k.slice(1) : k;
    if (plain.startsWith(node.name) && /^[A-Z]/.test(plain.slice(node.name.length))) return asValues(own[plain] ?? null, plain.slice(node.name.length), `${path}.${node.name}`, Array.isArray(own[plain]));
  }
  return [];
}

const asValues = (v: unknown, type: string | undefined, path: string, list: boolean): Value[] => (v === undefined ? [] : list ? (v as unknown[]).map((value, i) => ({ value, type, path: `${path}[${i}]` })) : [{ value: v, type, path }]);

function equal(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null || Array.isArray(a) !== Array.isArray(b)) return false;
  const ka = Object.keys(a as Json);
  return ka.length === Object.keys(b as Json).length && ka.every((k) => equal((a as Json)[k], (b as Json)[k]));
}

/** Whether a value holds at least what a pattern says. */
function matchesPattern(pattern: unknown, v: unknown): boolean {
  if (Array.isArray(pattern)) return Array.isArray(v) && pattern.every((p) => v.some((x) => matchesPattern(p, x)));
  if (pattern && typeof pattern === 'object') return v !== null && typeof v === 'object' && !Array.isArray(v) && Object.entries(pattern).every(([k, p]) => matchesPattern(p, (v as Json)[k]));
  return pattern === v;
}

const prefixed = (def: Json, prefix: string): unknown => {
  const k = Object.keys(def).find((x) => x.startsWith(prefix) && /^[A-Z]/.test(x.slice(prefix.length)));
  return k === undefined ? undefined : def[k];
};

const codingsOf = (v: unknown): Json[] => (typeof v === 'string' ? [{ code: v }] : v && typeof v === 'object' ? ((v as Json).coding ? asArray<Json>((v as Json).coding) : [v as Json]) : []);

/** Whether some coding is in the set; undefined where the set cannot be told here. */
function inSet(c: Conforming, url: string, v: unknown): boolean | undefined {
  const set = c.terms.members(url.split('|')[0]);
  if (!set) return undefined;
  return codingsOf(v).some((x) => set.has(x.system === undefined && typeof v === 'string' ? `|${x.code}` : `${x.system ?? ''}|${x.code}`));
}

function checkBinding(c: Conforming, node: Node, v: Value): void {
  const b = node.def.binding;
  if (!b?.valueSet || (b.strength !== 'required' && b.strength !== 'extensible')) return;
  if (inSet(c, String(b.valueSet), v.value) !== false) return;
  if (typeof v.value === 'object' && !codingsOf(v.value).some((x) => x.code) && b.strength !== 'required') return;
  fault(c, v.path, 'code-invalid', 'code', `No coding is a code of ${b.valueSet}.`, b.strength === 'required' ? 'error' : 'warning');
}

/** Extensions stand where their definition says. */
function checkExtension(c: Conforming, ext: Json, path: string): void {
  const url = String(ext?.url ?? '');
  let p: Profile | undefined;
  try {
    p = c.profile(url);
  } catch {
    return;
  }
  if (!p?.isExtension) return;
  checkProfile(c, p, ext, path);
}

function typeOfReference(c: Conforming, text: unknown): { type?: string; resource?: Json } {
  if (typeof text !== 'string') return {};
  if (text.startsWith('#')) {
    const inner = asArray<Json>(c.root.contained).find((x) => x?.id === text.slice(1));
    return { type: inner?.resourceType, resource: inner };
  }
  const found = c.resolve(text);
  if (found) return { type: found.resourceType, resource: found };
  return { type: /(?:^|\/)([A-Z][A-Za-z]+)\/[A-Za-z0-9\-.]{1,64}(?:\/_history\/.+)?$/.exec(text)?.[1] };
}

const BASE = 'http://hl7.org/fhir/StructureDefinition/';

/** Whether what a reference names fits one of the target profiles; what cannot be resolved is judged by its type. */
function targetFits(c: Conforming, ref: Json, targets: string[]): boolean {
  const { type, resource } = typeOfReference(c, ref.reference);
  if (type === undefined) return true;
  return targets.some((t) => {
    if (t === `${BASE}${type}` || t === `${BASE}Resource`) return true;
    let p: Profile | undefined;
    try {
      p = c.profile(t);
    } catch {
      return false;
    }
    if (!p) return !t.startsWith(BASE);
    if (p.type !== type) return false;
    return !resource || conforms(c, p, resource, 'target');
  });
}

/** Whether a value conforms, without saying why not. */
function conforms(c: Conforming, p: Profile, v: unknown, path: string): boolean {
  if (c.depth > MAX_DEPTH) return true;
  const inner: Conforming = { ...c, issues: [], max: 20, depth: c.depth + 1, root: (v as Json)?.resourceType ? (v as Json) : c.root };
  checkProfile(inner, p, v, path);
  return !inner.issues.some((i) => i.severity === 'error');
}

function checkType(c: Conforming, node: Node, v: Value): void {
  const types = asArray<Json>(node.def.type);
  if (!types.length) return;
  if (node.choice && v.type !== undefined && !types.some((t) => upper(String(t.code)) === v.type)) return fault(c, v.path, 'structure', 'type', `The value is of type ${types.map((t) => t.code).join(' or ')}.`);
  const own = node.choice ? types.filter((t) => v.type === undefined || upper(String(t.code)) === v.type) : types;
  const isResource = v.value !== null && typeof v.value === 'object' && typeof (v.value as Json).resourceType === 'string';
  for (const t of own) {
    if (t.code === 'Reference' && t.targetProfile?.length && v.value && typeof v.value === 'object' && !targetFits(c, v.value as Json, t.targetProfile)) fault(c, v.path, 'value', 'reference-target', `The reference does not lead to what ${node.id} allows: ${t.targetProfile.map((x: string) => x.slice(x.lastIndexOf('/') + 1)).join(', ')}.`);
  }
  const profiles = own.flatMap((t) => asArray<string>(t.profile)).filter((u) => !(u.startsWith(BASE) && u === `${BASE}${own[0]?.code}`));
  const known = profiles.map((u) => safely(() => c.profile(u))).filter((p): p is Profile => p !== undefined);
  if (known.length && known.length === profiles.length && v.value !== null && !(isResource && !known.some((p) => p.type === (v.value as Json).resourceType) && own.length > 1)) {
    if (known.length === 1) checkProfile({ ...c, depth: c.depth + 1 }, known[0], v.value, v.path);
    else if (!known.some((p) => conforms(c, p, v.value, v.path))) fault(c, v.path, 'structure', 'profile', `The value conforms to none of ${profiles.join(', ')}.`);
  }
}

function safely<T>(f: () => T): T | undefined {
  try {
    return f();
  } catch {
    return undefined;
  }
}

function checkValue(c: Conforming, node: Node, v: Value, resource: Json): void {
  const { def } = node;
  const fixed = prefixed(def, 'fixed');
  if (fixed !== undefined && !equal(fixed, v.value)) fault(c, v.path, 'value', 'fixed', `The value is fixed: ${JSON.stringify(fixed).slice(0, 200)}.`);
  const pattern = prefixed(def, 'pattern');
  if (pattern !== undefined && !matchesPattern(pattern, v.value)) fault(c, v.path, 'value', 'pattern', `The value holds at least ${JSON.stringify(pattern).slice(0, 200)}.`);
  if (typeof def.maxLength === 'number' && typeof v.value === 'string' && v.value.length > def.maxLength) fault(c, v.path, 'too-long', 'length', `The text has at most ${def.maxLength} characters.`);
  checkType(c, node, v);
  checkBinding(c, node, v);
  checkConstraints(c, node, v, resource);
  checkChildren(c, node, v.value, v.path, resource);
}

function checkConstraints(c: Conforming, node: Node, v: Value, resource: Json): void {
  if (v.value === null) return;
  for (const k of node.constraints) {
    const verdict = evaluate(k, v.value, node.id.replace(/:[^.]+/g, ''), resource, c.root);
    if (verdict === 'fails') fault(c, v.path, 'invariant', k.key, `${k.key}: ${k.human ?? k.expression}`, k.severity === 'error' ? 'error' : 'warning');
  }
}

/** Whether a value belongs to a slice, by its discriminators. https://hl7.org/fhir/R4/profiling.html#discriminator */
function inSlice(c: Conforming, node: Node, slice: Node, v: Value, resource: Json): boolean {
  const discriminators = asArray<Json>(node.def.slicing?.discriminator);
  if (node.choice && !discriminators.length) return fitsType(slice, v);
  if (!discriminators.length) return asArray<Json>(slice.def.type).some((t) => asArray<string>(t.profile).some((u) => { const p = safely(() => c.profile(u)); return p ? conforms(c, p, v.value, v.path) : false; }));
  return discriminators.every((d) => meets(c, slice, v, String(d.type), String(d.path), resource));
}

const fitsType = (slice: Node, v: Value): boolean => asArray<Json>(slice.def.type).some((t) => (v.type !== undefined ? upper(String(t.code)) === v.type : (v.value as Json)?.resourceType === t.code || t.code === 'Resource'));

/** What a node says of a child, in itself or by the profile of its type. */
function childAt(c: Conforming, node: Node | undefined, name: string): Node | undefined {
  const own = node?.children.find((n) => n.name === name);
  if (own || !node) return own;
  for (const u of asArray<Json>(node.def.type).flatMap((t) => asArray<string>(t.profile))) {
    const below = safely(() => c.profile(u))?.root.children.find((n) => n.name === name);
    if (below) return below;
  }
  return undefined;
}

/** Follows a discriminator's path in the slice and in the value. */
function meets(c: Conforming, slice: Node, v: Value, type: string, path: string, resource: Json): boolean {
  let nodes: Node | undefined = slice;
  let values: Value[] = [v];
  for (const step of path === '$this' ? [] : path.replace(/^\$this\./, '').split('.')) {
    if (step === 'resolve()') {
      values = values.flatMap((x) => { const r = typeOfReference(c, (x.value as Json)?.reference).resource; return r ? [{ value: r, type: undefined, path: x.path }] : []; });
      continue;
    }
    const ext = /^extension\('(.+)'\)$/.exec(step);
    const name = ext ? 'extension' : step.replace(/\.?ofType\(.*/, '');
    nodes = ext ? nodes?.children.find((n) => n.name === 'extension')?.slices.find((n) => asArray<Json>(n.def.type).some((t) => asArray<string>(t.profile).includes(ext[1]))) : childAt(c, nodes, name);
    const at: Node = nodes ?? { id: '', name, choice: false, def: {}, children: [], slices: [], constraints: [] };
    values = values.flatMap((x) => valuesOf(x.value, at.name === name ? at : { ...at, name }, x.path).concat(at.choice || nodes ? [] : valuesOf(x.value, { ...at, name, choice: true }, x.path)));
    if (ext) values = values.filter((x) => (x.value as Json)?.url === ext[1]);
  }
  switch (type) {
    case 'exists': return (Number(nodes?.def.max ?? 1) === 0) === (values.length === 0);
    case 'type': return values.some((x) => fitsType(nodes ?? slice, x) || targetType(c, slice, x));
    case 'profile': return values.some((x) => (profilesAt(nodes ?? slice).length === 0 && fitsType(nodes ?? slice, x)) || profilesAt(nodes ?? slice).some((u) => { if (u === `${BASE}${(x.value as Json)?.resourceType}`) return true; const p = safely(() => c.profile(u)); return p ? conforms(c, p, x.value, x.path) : false; }));
    // A slice that says nothing of a discriminator takes any value there.
    default: return (nodes === undefined || expected(nodes) === undefined) && path !== 'url' ? true : values.some((x) => meetsValue(c, nodes, slice, path, x, resource));
  }
}

const profilesAt = (n: Node): string[] => asArray<Json>(n.def.type).flatMap((t) => [...asArray<string>(t.profile), ...asArray<string>(t.targetProfile)]);
const targetType = (c: Conforming, slice: Node, x: Value): boolean => asArray<Json>(slice.def.type).some((t) => asArray<string>(t.targetProfile).some((u) => (x.value as Json)?.resourceType === (safely(() => c.profile(u))?.type ?? u.slice(u.lastIndexOf('/') + 1))));

/** Value or pattern: what the slice fixes there, in itself, its parents or below; else its required binding. */
function meetsValue(c: Conforming, node: Node | undefined, slice: Node, path: string, x: Value, resource: Json): boolean {
  const asked = node && expected(node);
  if (asked !== undefined) return asked(c, x, resource);
  // An extension's url comes from its profile.
  if (path === 'url') return profilesAt(slice).includes(String(x.value));
  return false;
}

function expected(node: Node): ((c: Conforming, x: Value, resource: Json) => boolean) | undefined {
  const fixed = prefixed(node.def, 'fixed');
  if (fixed !== undefined) return (_c, x) => equal(fixed, x.value);
  const pattern = prefixed(node.def, 'pattern');
  if (pattern !== undefined) return (_c, x) => matchesPattern(pattern, x.value);
  const below = node.children.map((n) => ({ n, e: expected(n) })).filter((b) => b.e !== undefined);
  if (below.length) return (c, x, r) => below.every(({ n, e }) => valuesOf(x.value, n, x.path).some((y) => e?.(c, y, r)));
  const b = node.def.binding;
  if (b?.strength === 'required' && b.valueSet) return (c, x) => inSet(c, String(b.valueSet), x.value) !== false;
  return undefined;
}

const maximum = (def: Json): number => (def.max === undefined || def.max === '*' ? Number.POSITIVE_INFINITY : Number(def.max));

function checkCount(c: Conforming, node: Node, n: number, path: string): void {
  const label = node.id.slice(node.id.lastIndexOf('.') + 1);
  if (n < (node.def.min ?? 0)) fault(c, path, 'required', 'required', `\`${label}\` stands at least ${node.def.min} time${node.def.min > 1 ? 's' : ''}.`);
  if (n > maximum(node.def)) fault(c, path, 'structure', 'cardinality', maximum(node.def) === 0 ? `\`${label}\` does not stand here.` : `\`${label}\` stands at most ${node.def.max} time${node.def.max === '1' ? '' : 's'}.`);
}

function checkSlices(c: Conforming, node: Node, values: Value[], path: string, resource: Json): void {
  const found = new Map<Node, Value[]>(node.slices.map((s) => [s, []]));
  for (const v of values) {
    const slice = node.slices.find((s) => inSlice(c, node, s, v, resource));
    if (slice) found.get(slice)?.push(v);
    else if (node.def.slicing?.rules === 'closed') fault(c, v.path, 'structure', 'slice', `The value belongs to none of the slices of ${node.id}, which are closed.`);
  }
  for (const [slice, own] of found) {
    checkCount(c, slice, own.length, `${path}.${node.name}`);
    for (const v of own) checkValue(c, slice, v, resource);
  }
}

function checkChildren(c: Conforming, node: Node, o: unknown, path: string, resource: Json): void {
  const inner = o && typeof o === 'object' && typeof (o as Json).resourceType === 'string' ? (o as Json) : resource;
  for (const child of node.children) {
    const values = valuesOf(o, child, path);
    checkCount(c, child, values.length, `${path}.${child.name}`);
    for (const v of values) checkValue(c, child, v, inner);
    if (child.slices.length) checkSlices(c, child, values, path, inner);
  }
}

/** Holds a value against a profile. */
export function checkProfile(c: Conforming, p: Profile, v: unknown, path: string): void {
  if (c.depth > MAX_DEPTH) return fault(c, path, 'too-costly', 'profile-depth', 'The profiles name each other too deep; the rest is not checked.', 'warning');
  const resource = typeof (v as Json)?.resourceType === 'string' ? (v as Json) : c.root;
  checkConstraints(c, p.root, { value: v, type: undefined, path }, resource);
  checkChildren({ ...c, depth: c.depth + 1 }, p.root, v, path, resource);
}

/** Every extension of an instance against its definition, where that is known. */
export function checkExtensions(c: Conforming, node: unknown, path: string, depth = 0): void {
  if (depth > 60 || node === null || typeof node !== 'object') return;
  if (Array.isArray(node)) {
    for (let i = 0; i < node.length; i++) checkExtensions(c, node[i], `${path}[${i}]`, depth + 1);
    return;
  }
  const o = node as Resource;
  for (const k of Object.keys(o)) {
    const v = o[k];
    if (typeof v !== 'object' || v === null) continue;
    const at = `${path}.${k.startsWith('_') ? k.slice(1) : k}`;
    if ((k === 'extension' || k === 'modifierExtension') && Array.isArray(v)) for (let i = 0; i < v.length; i++) checkExtension(c, v[i], `${at}[${i}]`);
    checkExtensions(c, v, at, depth + 1);
  }
}
