// Definitions that the server publishes: the base ones from the packs, its own from profiles/ and terminology/.
import { join } from 'node:path';
import { codeSystems, jsonFiles, ROOT, structures, valueSets } from '../fhir/packs.ts';
import type { Json } from '../fhir/types.ts';
import { searchDefinitions } from '../search/registry.ts';

export type Definitions = {
  all(type: string): Json[];
  supportedProfiles: Record<string, string[]>;
};

const own = (type: string): Json[] => [...jsonFiles(join(ROOT, 'profiles', type.toLowerCase())), ...jsonFiles(join(ROOT, 'terminology', type.toLowerCase()))].filter((d) => d.resourceType === type);

const BASE: Record<string, { keys(): string[]; get(url: string): Json | undefined }> = { StructureDefinition: structures, CodeSystem: codeSystems, ValueSet: valueSets };

export function definitionsFrom(): Definitions {
  const cache = new Map<string, Json[]>();
  const all = (type: string): Json[] => {
    let list = cache.get(type);
    if (!list) {
      const pack = BASE[type];
      list = [...own(type), ...(type === 'SearchParameter' ? searchDefinitions() : pack ? pack.keys().map((k) => pack.get(k) as Json) : [])];
      cache.set(type, list);
    }
    return list;
  };
  const supportedProfiles: Record<string, string[]> = {};
  for (const p of own('StructureDefinition')) {
    supportedProfiles[p.type] ??= [];
    supportedProfiles[p.type].push(p.url);
  }
  return { all, supportedProfiles };
}
