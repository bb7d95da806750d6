// Invariants: FHIRPath, with the frequent ones written out by hand (a test holds both together over HL7's examples).
// https://hl7.org/fhir/R4/fhirpath.html
import fhirpath from 'fhirpath';
import model from 'fhirpath/fhir-context/r4';
import { interval } from '../fhir/dates.ts';
import { asArray, type Json } from '../fhir/types.ts';
import type { Constraint } from './profiles.ts';

type Native = (o: Json, resource: Json) => boolean;

const has = (x: unknown): boolean => x !== undefined && x !== null && !(Array.isArray(x) && x.length === 0);

/** A period whose ends cannot be compared to the day is not said to be wrong. */
function periodOrder(o: Json): boolean {
  const s = interval(o.start);
  const e = interval(o.end);
  return !s || !e || s.lo <= e.hi;
}

/** Key → the same, by hand. Keys are unique in R4. */
export const natives: Record<string, Native> = {
  'per-1': periodOrder,
  'att-1': (o) => !has(o.data) || has(o.contentType),
  'cpt-2': (o) => !has(o.value) || has(o.system),
  'qty-3': (o) => !has(o.code) || has(o.system),
  'pat-1': (o) => has(o.name) || has(o.telecom) || has(o.address) || has(o.organization),
  'sev-1': (o) => !has(o.name) || !has(o.query),
  'ppc-1': (o) => has(o.policy) || has(o.policyRule),
  'org-1': (o) => has(o.identifier) || has(o.name),
  'org-2': (o) => o.use !== 'home',
  'org-3': (o) => o.use !== 'home',
  'lst-1': (o) => !has(o.emptyReason) || !has(o.entry),
  'lst-2': (o) => o.mode === 'changes' || asArray<Json>(o.entry).every((e) => !has(e.deleted)),
  'lst-3': (o) => o.mode === 'working' || asArray<Json>(o.entry).every((e) => !has(e.date)),
  // Their scope is compared to the literal 'something' in 4.0.1: they never fire.
  'ppc-2': () => true, 'ppc-3': () => true, 'ppc-4': () => true, 'ppc-5': () => true,
  'dom-2': (o) => asArray<Json>(o.contained).every((c) => !has(c?.contained)),
  'dom-4': (o) => asArray<Json>(o.contained).every((c) => !has(c?.meta?.versionId) && !has(c?.meta?.lastUpdated)),
  'dom-5': (o) => asArray<Json>(o.contained).every((c) => !has(c?.meta?.security)),
  'dmp-doc-2': (o) => asArray<Json>(o.content).every((c) => has(c?.attachment?.data) || has(c?.attachment?.url)),
  'dmp-pat-1': (o) => has(o.identifier) || asArray<Json>(o.name).some((n) => has(n?.family)),
  'dom-3': containedUsed,
  // References are followed where they stand (structure.ts).
  'ref-1': () => true,
};

/** Every contained resource is referred to, or refers to its container. */
function containedUsed(o: Json): boolean {
  const contained = asArray<Json>(o.contained).filter((c) => c && typeof c === 'object');
  if (!contained.length) return true;
  const text = JSON.stringify(o);
  return contained.every((c) => text.includes(`"#${c.id}"`) || JSON.stringify(c).includes('"reference":"#"'));
}

/** Expressions that fhirpath.js does not read as the specification means them; said in ADR 7. */
const LEFT_OUT = new Set(['txt-1', 'txt-2', 'ele-1', 'ext-1', 'dom-6']);

type Compiled = (o: Json, env: Json) => unknown[];
const compiled = new Map<string, Compiled | undefined>();
const MAX_COMPILED = 5_000;
const MAX_EXPRESSION = 4_000;

function compile(path: string, expression: string): Compiled | undefined {
  const key = `${path}\n${expression}`;
  if (!compiled.has(key)) {
    if (compiled.size >= MAX_COMPILED) compiled.clear();
    let f: Compiled | undefined;
    try {
      f = expression.length > MAX_EXPRESSION ? undefined : (fhirpath.compile({ base: path, expression }, model as never, { traceFn: () => {} } as never) as unknown as Compiled);
    } catch {
      f = undefined;
    }
    compiled.set(key, f);
  }
  return compiled.get(key);
}

export type Verdict = 'holds' | 'fails' | 'unknown';

/** Whether a constraint holds of an element; `path` is its path in its type. Unknown where the expression cannot be evaluated here. */
export function evaluate(c: Constraint, o: unknown, path: string, resource: Json, root: Json): Verdict {
  if (LEFT_OUT.has(c.key) || !c.expression) return 'holds';
  const native = natives[c.key];
  if (native) return typeof o !== 'object' || native(o as Json, resource) ? 'holds' : 'fails';
  return byFhirPath(c, o, path, resource, root);
}

/** The same, always by fhirpath.js. */
export function byFhirPath(c: Constraint, o: unknown, path: string, resource: Json, root: Json): Verdict {
  const f = compile(path, c.expression as string);
  if (!f) return 'unknown';
  try {
    const result = f(o as Json, { resource, rootResource: root });
    return result.length === 0 || result[0] === true ? 'holds' : result[0] === false ? 'fails' : 'holds';
  } catch {
    return 'unknown';
  }
}
