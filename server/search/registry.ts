// Search parameters of the served types, from the definitions' expressions and this server's own (profiles/search).
import { join } from 'node:path';
import { compartments, jsonFiles, ROOT, searchParameters } from '../fhir/packs.ts';
import { DIRECTORY_TYPES, GATED_TYPES, type Json } from '../fhir/types.ts';
import { compilePath, type Path } from './path.ts';

export type ParamType = 'token' | 'string' | 'date' | 'reference' | 'uri' | 'composite';

export type Param = {
  code: string;
  type: ParamType;
  url: string;
  definition: Json;
  path: Path;
  /** Served types that a reference may name. */
  targets: string[];
  /** Composite: each component's parameter, its path relative to the composite's value. */
  components: { param: Param; path: Path }[];
};

export const STORED_TYPES: string[] = [...DIRECTORY_TYPES, ...GATED_TYPES];
const SERVED = new Set(STORED_TYPES);
const UNSERVED_CODES = new Set(['_content', '_text', '_query', '_filter']);

const registry = new Map<string, Map<string, Param>>();
let byUrl: Map<string, Json> | undefined;

function definitions(): Map<string, Json> {
  if (!byUrl) {
    byUrl = new Map();
    for (const url of searchParameters.keys()) {
      if (/-extensions-|\/example/.test(url)) continue;
      const sp = searchParameters.get(url) as Json;
      if (!UNSERVED_CODES.has(sp.code)) byUrl.set(url, sp);
    }
    for (const sp of jsonFiles(join(ROOT, 'profiles', 'search'))) byUrl.set(sp.url, sp);
  }
  return byUrl;
}

function build(sp: Json, type: string): Param | undefined {
  const path = compilePath(sp.expression, type);
  if (!path) return undefined;
  const param: Param = { code: sp.code, type: sp.type, url: sp.url, definition: sp, path, targets: (sp.target ?? []).filter((t: string) => SERVED.has(t)), components: [] };
  if (sp.type === 'composite') {
    for (const c of sp.component) {
      const d = definitions().get(c.definition);
      const inner = d && build(d, type);
      // R4 gives `relationship` the components' expressions crossed: the component's own path below the composite is right.
      const own = d?.expression.startsWith(`${sp.expression}.`) ? d.expression.slice(sp.expression.length + 1) : c.expression;
      const p = compilePath(`${type}.${own}`, type);
      if (inner && p) param.components.push({ param: inner, path: p });
    }
  }
  return param;
}

/** Parameters of a type by code, built when first asked for. */
export function parametersOf(type: string): Map<string, Param> {
  let map = registry.get(type);
  if (!map) {
    map = new Map();
    for (const sp of definitions().values()) {
      if (!sp.base.includes(type) && !sp.base.includes('Resource') && !sp.base.includes('DomainResource')) continue;
      const p = build(sp, type);
      if (p) map.set(sp.code, p);
    }
    if (map.has('relatesto')) map.set('relatesTo', map.get('relatesto') as Param);
    registry.set(type, map);
  }
  return map;
}

/** Own definitions, to publish. */
export const searchDefinitions = (): Json[] => [...definitions().values()];

/** Reference parameters that put a resource of `type` into a Patient's compartment. https://hl7.org/fhir/R4/compartmentdefinition-patient.html */
export function compartmentParams(compartment: string, type: string): string[] {
  const c = compartments.get(compartment);
  return (c?.resource as { code: string; param: string[] }[] | undefined)?.find((r) => r.code === type)?.param ?? [];
}
