// Membership, expansion and subsumption over terminology/ and the base definitions; every walk is bounded.
import { join } from 'node:path';
import { tooCostly, unsupportedParameter } from '../fhir/errors.ts';
import { codeSystems, expansions, jsonFiles, ROOT, valueSets } from '../fhir/packs.ts';
import { asArray, type Json } from '../fhir/types.ts';

export type Concept = { system: string; code: string; display?: string };

const MAX_EXPANSION = 5_000;
const MAX_DEPTH = 20;

export type Terminology = {
  /** Codes of a value set; throws where it is unknown or too large for a search. */
  valueSet(url: string): { system: string; code: string }[];
  closure(direction: 'above' | 'below', system: string, code: string): string[];
  /** The display of a code, where its system is known here. */
  display(system: string, code: string): string | undefined;
  /** A concept of a code system, with what it says of itself. */
  concept(system: string, code: string): Json | undefined;
  /** The codes of a value set that is given, not named. */
  expandDefinition(valueSet: Json): Concept[] | undefined;
  codeSystem(url: string): Json | undefined;
  valueSetDefinition(url: string): Json | undefined;
  /** Undefined where the value set is unknown or cannot be expanded here. */
  expand(url: string): Concept[] | undefined;
  /** `system|code` and `|code` of each member, for asking often; undefined as above. */
  members(url: string): Set<string> | undefined;
};

function eachConcept(list: Json[] | undefined, visit: (c: Json, parents: string[]) => void, parents: string[] = []): void {
  for (const c of asArray<Json>(list)) {
    visit(c, parents);
    if (c.concept) eachConcept(c.concept, visit, [...parents, c.code]);
  }
}

/** `folder`: later versions that replace what is built in; `more`: others beside, for tests and oracles. */
export function terminologyOf(folder: string | undefined, more: Json[] = []): Terminology {
  const systems = new Map<string, Json>();
  const sets = new Map<string, Json>();
  for (const dir of [join(ROOT, 'terminology', 'codesystem'), join(ROOT, 'terminology', 'valueset'), ...(folder ? [folder] : [])]) {
    for (const d of jsonFiles(dir)) {
      if (d.resourceType === 'CodeSystem') systems.set(d.url, d);
      if (d.resourceType === 'ValueSet') sets.set(d.url, d);
    }
  }
  for (const d of more) {
    if (d.resourceType === 'CodeSystem') systems.set(d.url, d);
    if (d.resourceType === 'ValueSet') sets.set(d.url, d);
  }
  const codeSystem = (url: string): Json | undefined => systems.get(url) ?? codeSystems.get(url);
  const valueSetDefinition = (url: string): Json | undefined => sets.get(url) ?? valueSets.get(url);
  const concepts = new Map<string, Map<string, Json>>();
  const memberships = new Map<string, Set<string> | undefined>();
  const displays = new Map<string, Map<string, string | undefined>>();
  const expanded = new Map<string, Concept[] | undefined>();

  function included(inc: Json, depth: number, seen: Set<string>): Concept[] | undefined {
    let out: Concept[] | undefined;
    if (inc.system) {
      if (inc.concept) out = asArray<Json>(inc.concept).map((c) => ({ system: inc.system, code: c.code, display: c.display }));
      else {
        const cs = codeSystem(inc.system);
        if (!cs || cs.content === 'not-present' || inc.filter?.some((f: Json) => f.op !== 'is-a' || f.property !== 'concept')) return undefined;
        const roots: string[] | undefined = inc.filter?.map((f: Json) => f.value);
        out = [];
        eachConcept(cs.concept, (c, parents) => {
          if (!roots || roots.every((r) => r === c.code || parents.includes(r))) out?.push({ system: inc.system, code: c.code, display: c.display });
        });
      }
    }
    for (const url of asArray<string>(inc.valueSet)) {
      const other = expandAt(url.split('|')[0], depth + 1, seen);
      if (!other) return undefined;
      const keys = new Set(other.map((c) => `${c.system}|${c.code}`));
      out = out ? out.filter((c) => keys.has(`${c.system}|${c.code}`)) : other;
    }
    return out;
  }

  function composed(vs: Json, depth: number, path: Set<string>): Concept[] | undefined {
    const parts = asArray<Json>(vs.compose?.include).map((i) => included(i, depth, path));
    if (!parts.length || !parts.every((p) => p !== undefined)) return undefined;
    const gone = new Set(asArray<Json>(vs.compose?.exclude).flatMap((e) => included(e, depth, path) ?? []).map((c) => `${c.system}|${c.code}`));
    return parts.flat().filter((c): c is Concept => c !== undefined && !gone.has(`${c.system}|${c.code}`));
  }

  function expandAt(url: string, depth: number, seen: Set<string>): Concept[] | undefined {
    if (expanded.has(url)) return expanded.get(url);
    if (depth > MAX_DEPTH || seen.has(url)) return undefined;
    const path = new Set(seen).add(url);
    const packed = sets.has(url) ? undefined : expansions.get(url);
    let out: Concept[] | undefined;
    if (packed) out = Object.entries(packed).flatMap(([system, codes]) => (codes as string[]).map((code) => ({ system, code })));
    else {
      const vs = valueSetDefinition(url);
      out = vs && composed(vs, depth, path);
    }
    if (depth === 0) expanded.set(url, out);
    return out;
  }

  const expand = (url: string): Concept[] | undefined => expandAt(url.split('|')[0], 0, new Set());

  return {
    codeSystem, valueSetDefinition, expand,
    members(url) {
      if (!memberships.has(url)) {
        const list = expand(url);
        memberships.set(url, list && new Set(list.flatMap((x) => [`${x.system}|${x.code}`, `|${x.code}`])));
      }
      return memberships.get(url);
    },
    valueSet(url) {
      const list = expand(url);
      if (!list) throw unsupportedParameter(`The value set \`${url.slice(0, 200)}\` is not known here.`);
      if (list.length > MAX_EXPANSION) throw tooCostly(`The value set \`${url.slice(0, 200)}\` holds more than ${MAX_EXPANSION} codes.`);
      return list;
    },
    concept(system, code) {
      let own = concepts.get(system);
      if (!own) {
        concepts.set(system, (own = new Map()));
        eachConcept(codeSystem(system)?.concept, (c) => own?.set(c.code, c));
      }
      return own.get(code);
    },
    expandDefinition: (vs) => composed(vs, 0, new Set()),
    display(system, code) {
      let own = displays.get(system);
      if (!own) {
        displays.set(system, (own = new Map()));
        eachConcept(codeSystem(system)?.concept, (c) => own?.set(c.code, c.display));
        for (const vs of sets.values()) for (const i of asArray<Json>(vs.compose?.include)) if (i.system === system) for (const c of asArray<Json>(i.concept)) if (c.display && !own.has(c.code)) own.set(c.code, c.display);
      }
      return own.get(code);
    },
    closure(direction, system, code) {
      const out = new Set([code]);
      eachConcept(codeSystem(system)?.concept, (c, parents) => {
        if (direction === 'below' && parents.includes(code)) out.add(c.code);
        if (direction === 'above' && c.code === code) for (const p of parents) out.add(p);
      });
      return [...out];
    },
  };
}

const FILES: Record<string, string> = { CodeSystem: 'a code system', ValueSet: 'a value set', ConceptMap: 'a concept map' };

/** What is wrong with a folder of later versions: said at start, all at once. */
export function terminologyMistakes(folder: string): string[] {
  const mistakes: string[] = [];
  let files: Json[];
  try {
    files = jsonFiles(folder);
  } catch (e) {
    return [`TERMINOLOGY_DIR: ${e instanceof Error ? e.message : String(e)}`];
  }
  if (!files.length) return [`TERMINOLOGY_DIR holds no JSON file: \`${folder}\`.`];
  const terms = terminologyOf(folder);
  for (const d of files) {
    const name = `${String(d.resourceType)} \`${String(d.url ?? d.id ?? '?').slice(0, 200)}\``;
    if (!FILES[d.resourceType]) mistakes.push(`TERMINOLOGY_DIR: ${name} is neither ${Object.values(FILES).join(', ')}.`);
    else if (!d.url || !d.version) mistakes.push(`TERMINOLOGY_DIR: ${name} has a url and a version.`);
    else if (d.resourceType === 'CodeSystem' && d.content === 'complete' && new Set(asArray<Json>(d.concept).map((c) => c.code)).size !== asArray(d.concept).length) mistakes.push(`TERMINOLOGY_DIR: ${name} holds a code twice.`);
    else if (d.resourceType === 'ValueSet' && terms.expand(d.url) === undefined) mistakes.push(`TERMINOLOGY_DIR: ${name} cannot be expanded: a cycle, or a code system that is not known.`);
  }
  return mistakes;
}
