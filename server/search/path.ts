// The subset of FHIRPath that search parameters use, compiled to closures. https://hl7.org/fhir/R4/fhirpath.html
import type { Json } from '../fhir/types.ts';

/** A function from a resource to the values of an expression. */
export type Path = (resource: Json) => unknown[];
type Step = (values: unknown[]) => unknown[];

const children = (name: string): Step => (values) => {
  const out: unknown[] = [];
  for (const v of values) {
    if (v === null || typeof v !== 'object') continue;
    const o = v as Json;
    const child = o[name] ?? choice(o, name);
    if (Array.isArray(child)) for (const c of child) c !== null && c !== undefined && out.push(c);
    else if (child !== undefined && child !== null) out.push(child);
  }
  return out;
};

/** `value` finds `valueCode`: https://hl7.org/fhir/R4/formats.html#choice */
function choice(o: Json, name: string): unknown {
  for (const k of Object.keys(o)) {
    if (k.length > name.length && k.startsWith(name)) {
      const c = k.charCodeAt(name.length);
      if (c >= 65 && c <= 90) return o[k];
    }
  }
  return undefined;
}

/** `resolve() is Type`, decided from the reference's text or the contained resource it names. */
const referenceTo = (type: string, resource: () => Json): Step => (values) =>
  values.filter((v) => {
    const text = (v as Json)?.reference;
    if (typeof text !== 'string') return (v as Json)?.type === type;
    if (text.startsWith('#')) return (resource().contained ?? []).some((c: Json) => c.id === text.slice(1) && c.resourceType === type);
    return new RegExp(`(^|/)${type}/`).test(text);
  });

const where = (field: string, value: string): Step => (values) => values.filter((v) => (v as Json)?.[field] === value);

type Parsed = { steps: Step[]; end: boolean };

/** Compiles one branch of a union; undefined where it is about another type or beyond the subset. */
function branch(expression: string, type: string, resource: () => Json): Parsed | undefined {
  let text = expression.trim();
  const cast = /^\((.+) as ([A-Za-z]+)\)$/.exec(text) ?? /^(.+) as ([A-Za-z]+)$/.exec(text);
  let suffix = '';
  if (cast) {
    text = cast[1];
    suffix = cast[2][0].toUpperCase() + cast[2].slice(1);
  }
  const head = /^(Resource|DomainResource|[A-Z][A-Za-z]+)\./.exec(text);
  if (!head || !(head[1] === type || head[1] === 'Resource' || head[1] === 'DomainResource')) return undefined;
  text = text.slice(head[0].length);
  if (suffix) text += suffix;
  const steps: Step[] = [];
  while (text) {
    const m = /^where\(resolve\(\) is ([A-Za-z]+)\)/.exec(text) ?? /^where\(([a-z]+)='([^']*)'\)/.exec(text) ?? /^extension\('([^']*)'\)/.exec(text) ?? /^([A-Za-z]+)(?=\.|$)/.exec(text);
    if (!m) throw new Error(`Search expression beyond the subset: ${expression}`);
    if (m[0].startsWith('where(resolve')) steps.push(referenceTo(m[1], resource));
    else if (m[0].startsWith('where(')) steps.push(where(m[1], m[2]));
    else if (m[0].startsWith('extension(')) steps.push(children('extension'), where('url', m[1]), children('value'));
    else steps.push(children(m[1]));
    text = text.slice(m[0].length).replace(/^\./, '');
  }
  return { steps, end: true };
}

/** Compiles an expression for one resource type; undefined where no branch concerns it. */
export function compilePath(expression: string, type: string): Path | undefined {
  if (expression.includes(`${type}.deceased.exists() and`)) return (r) => [r.deceasedBoolean === true || r.deceasedDateTime !== undefined];
  let current: Json = {};
  const branches = splitUnion(expression).map((e) => branch(e, type, () => current)).filter((b) => b !== undefined);
  if (!branches.length) return undefined;
  return (resource) => {
    current = resource;
    const out: unknown[] = [];
    for (const b of branches) {
      let values: unknown[] = [resource];
      for (const step of b.steps) values = step(values);
      for (const v of values) out.push(v);
    }
    return out;
  };
}

const splitUnion = (expression: string): string[] => expression.split(/\s+\|\s+/);
