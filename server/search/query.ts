// The query string → what is asked, nothing decided. https://hl7.org/fhir/R4/search.html
import { invalidParameter, unsupportedParameter } from '../fhir/errors.ts';
import { type Param, parametersOf, STORED_TYPES } from './registry.ts';

export type Filter = {
  /** As the client wrote it, for messages and the self link. */
  name: string;
  values: string[];
} & (
  | { kind: 'param'; param: Param; modifier?: string }
  | { kind: 'chain'; param: Param; target?: string; rest: string }
  | { kind: 'has'; type: string; param: Param; rest: string }
  | { kind: 'id' }
  | { kind: 'updated' }
);

export type Include = { type: string; code: string; target?: string; iterate: boolean; wildcard: boolean };

export type Query = {
  type: string;
  filters: Filter[];
  sort: { code: string; desc: boolean }[];
  count: number | undefined;
  includes: Include[];
  revincludes: Include[];
  summary: 'true' | 'text' | 'data' | 'count' | 'false' | undefined;
  elements: string[];
  total: 'none' | 'estimate' | 'accurate' | undefined;
  cursor: string | undefined;
  /** What was not understood, under lenient handling. */
  ignored: string[];
  /** Parameters that took part, for the self link and the cursor's binding. */
  used: [string, string][];
};

const TOKEN_MODIFIERS = ['missing', 'text', 'not', 'above', 'below', 'in', 'not-in', 'of-type'];
const MODIFIERS: Record<string, string[]> = {
  token: TOKEN_MODIFIERS, string: ['missing', 'exact', 'contains', 'text'], reference: ['missing', 'identifier', 'text'],
  date: ['missing'], uri: ['missing', 'above', 'below'], composite: ['missing'],
};
const RESULT_ONLY = new Set(['_format', '_pretty']);
const MAX_CHAIN = 4;

/** Splits on a separator that no backslash escapes; the escapes stay for the next split. */
export function split(text: string, separator: string): string[] {
  const out: string[] = [];
  let from = 0;
  for (let i = 0; i < text.length; i++) {
    if (text[i] === '\\') i++;
    else if (text[i] === separator) {
      out.push(text.slice(from, i));
      from = i + 1;
    }
  }
  out.push(text.slice(from));
  return out;
}

export const unescaped = (text: string): string => text.replace(/\\([\\,$|])/g, '$1');

function filter(type: string, name: string, value: string): Filter {
  const values = split(value, ',');
  if (values.some((v) => v === '')) throw invalidParameter(`The parameter \`${name}\` has an empty value.`);
  if (name === '_id') return { name, values, kind: 'id' };
  if (name === '_lastUpdated') return { name, values, kind: 'updated' };
  if (name.startsWith('_has:')) return has(name, values);
  const dot = name.indexOf('.');
  const head = dot < 0 ? name : name.slice(0, dot);
  const colon = head.indexOf(':');
  const code = colon < 0 ? head : head.slice(0, colon);
  const modifier = colon < 0 ? undefined : head.slice(colon + 1);
  const param = parametersOf(type).get(code);
  if (!param) throw unsupportedParameter(`The search parameter \`${code}\` is not known for ${type}.`);
  if (dot >= 0) return chain(name, values, param, modifier, name.slice(dot + 1));
  if (modifier !== undefined) checkModifier(name, param, modifier);
  return { name, values, kind: 'param', param, modifier };
}

function chain(name: string, values: string[], param: Param, target: string | undefined, rest: string): Filter {
  if (param.type !== 'reference') throw unsupportedParameter(`\`${name}\` chains through \`${param.code}\`, which is not a reference.`);
  if (target !== undefined && !param.targets.includes(target)) throw unsupportedParameter(`\`${name}\`: \`${param.code}\` does not lead to \`${target}\`.`);
  if (name.split('.').length > MAX_CHAIN) throw unsupportedParameter(`\`${name}\` chains deeper than ${MAX_CHAIN - 1} hops.`);
  return { name, values, kind: 'chain', param, target, rest };
}

function has(name: string, values: string[]): Filter {
  const [, type, code, ...rest] = name.split(':');
  const param = STORED_TYPES.includes(type) ? parametersOf(type).get(code ?? '') : undefined;
  if (param?.type !== 'reference' || rest.length === 0) throw unsupportedParameter(`\`${name}\` is not a reverse chain of the form _has:Type:reference:parameter.`);
  return { name, values, kind: 'has', type, param, rest: rest.join(':') };
}

function checkModifier(name: string, param: Param, modifier: string): void {
  const known = MODIFIERS[param.type] ?? [];
  if (known.includes(modifier) || (param.type === 'reference' && param.targets.includes(modifier))) return;
  throw unsupportedParameter(`The modifier in \`${name}\` is not supported for a ${param.type} parameter.`);
}

/** The filter that a chained name stands for on the type it reaches. */
export const filterOn = (type: string, name: string, values: string[]): Filter => ({ ...filter(type, name, 'x'), values });

function include(value: string, iterate: boolean): Include {
  const [type, code, target] = value.split(':');
  if (value === '*') return { type: '*', code: '*', iterate, wildcard: true };
  if (!STORED_TYPES.includes(type)) throw invalidParameter(`\`${value}\` names no served type to include from.`);
  if (code === '*') return { type, code, iterate, wildcard: true };
  const param = parametersOf(type).get(code ?? '');
  if (param?.type !== 'reference') throw invalidParameter(`\`${value}\` names no reference parameter to include by.`);
  return { type, code: param.code, target, iterate, wildcard: false };
}

function oneOf<T extends string>(name: string, value: string, allowed: readonly T[]): T {
  if (!(allowed as readonly string[]).includes(value)) throw invalidParameter(`\`${name}\` is one of ${allowed.join(', ')}, not \`${value.slice(0, 64)}\`.`);
  return value as T;
}

function sorts(type: string, value: string): Query['sort'] {
  return value.split(',').map((part) => {
    const desc = part.startsWith('-');
    const code = desc ? part.slice(1) : part;
    if (code !== '_id' && code !== '_lastUpdated') {
      const p = parametersOf(type).get(code);
      if (!p || p.type === 'composite') throw unsupportedParameter(`Sorting by \`${code.slice(0, 64)}\` is not supported for ${type}.`);
    }
    return { code, desc };
  });
}

function result(q: Query, name: string, value: string): boolean {
  switch (name) {
    case '_count':
      if (!/^\d{1,9}$/.test(value)) throw invalidParameter(`\`_count\` is a number, not \`${value.slice(0, 64)}\`.`);
      q.count = Number(value);
      return true;
    case '_sort': q.sort = sorts(q.type, value); return true;
    case '_include': case '_include:iterate': case '_include:recurse': q.includes.push(include(value, name !== '_include')); return true;
    case '_revinclude': case '_revinclude:iterate': case '_revinclude:recurse': q.revincludes.push(include(value, name !== '_revinclude')); return true;
    case '_summary': q.summary = oneOf(name, value, ['true', 'text', 'data', 'count', 'false'] as const); return true;
    case '_elements': q.elements = value.split(',').map((e) => e.trim()).filter(Boolean); return true;
    case '_total': q.total = oneOf(name, value, ['none', 'estimate', 'accurate'] as const); return true;
    case '_cursor': q.cursor = value; return true;
    default: return RESULT_ONLY.has(name);
  }
}

/** Parses a search on a type. Under strict handling what is not understood is a 400, else it is kept in `ignored`. */
export function parseQuery(type: string, params: [string, string][], strict: boolean): Query {
  const q: Query = { type, filters: [], sort: [], count: undefined, includes: [], revincludes: [], summary: undefined, elements: [], total: undefined, cursor: undefined, ignored: [], used: [] };
  for (const [name, value] of params) {
    try {
      if (!result(q, name, value)) q.filters.push(filter(type, name, value));
      if (name !== '_cursor') q.used.push([name, value]);
    } catch (e) {
      const known = e instanceof Error && (e as { reason?: string }).reason === 'unsupported-parameter';
      if (strict || !known) throw e;
      q.ignored.push((e as Error).message);
    }
  }
  return q;
}
