// `npm run definitions`: rebuilds profiles/base/ from HL7's public packages, reproducibly.
// Sources: hl7.fhir.r4.examples@4.0.1 and hl7.fhir.r4.expansions@4.0.1 (both CC0).
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { brotliCompressSync, constants } from 'node:zlib';

const CACHE = process.argv[2] ?? '.cache/definitions';
const OUT = 'profiles/base';
const PACKAGES = ['hl7.fhir.r4.examples@4.0.1', 'hl7.fhir.r4.expansions@4.0.1'];

type Json = Record<string, any>;

/** Brings a package into the cache once; answers its folder and its tarball's hash. */
function fetchPackage(spec: string): { folder: string; sha256: string } {
  const name = spec.replace('@4.0.1', '-4.0.1');
  const tgz = join(CACHE, `${name}.tgz`);
  const folder = join(CACHE, name);
  mkdirSync(CACHE, { recursive: true });
  if (!existsSync(tgz)) execFileSync('npm', ['pack', spec, '--pack-destination', CACHE], { stdio: 'ignore' });
  if (!existsSync(join(folder, 'package'))) {
    mkdirSync(folder, { recursive: true });
    execFileSync('tar', ['xzf', tgz, '-C', folder]);
  }
  return { folder: join(folder, 'package'), sha256: createHash('sha256').update(readFileSync(tgz)).digest('hex') };
}

function pick(o: Json, keys: string[]): Json {
  const r: Json = {};
  for (const k of keys) if (o[k] !== undefined) r[k] = o[k];
  return r;
}

const ELEMENT_KEYS = ['id', 'path', 'sliceName', 'slicing', 'short', 'min', 'max', 'contentReference', 'maxLength', 'isModifier', 'isSummary', 'mustSupport'];

function trimElement(e: Json): Json {
  const r = pick(e, ELEMENT_KEYS);
  if (e.base) r.base = e.base;
  if (e.type) r.type = e.type.map((t: Json) => trimType(t));
  if (e.binding) r.binding = pick(e.binding, ['strength', 'valueSet']);
  if (e.constraint) r.constraint = e.constraint.map((c: Json) => pick(c, ['key', 'severity', 'human', 'expression']));
  for (const k of Object.keys(e)) if (/^(fixed|pattern|minValue|maxValue)/.test(k)) r[k] = e[k];
  return r;
}

function trimType(t: Json): Json {
  const r = pick(t, ['code', 'profile', 'targetProfile']);
  for (const x of t.extension ?? []) {
    if (x.url.endsWith('structuredefinition-fhir-type')) r.code = x.valueUrl ?? x.valueUri ?? r.code;
    if (x.url.endsWith('/regex')) r.regex = x.valueString;
  }
  return r;
}

function trimStructure(sd: Json): Json {
  return {
    ...pick(sd, ['resourceType', 'id', 'url', 'version', 'name', 'title', 'status', 'fhirVersion', 'kind', 'abstract', 'context', 'type', 'baseDefinition', 'derivation']),
    snapshot: { element: sd.snapshot.element.map(trimElement) },
  };
}

const trimSearch = (sp: Json): Json =>
  pick(sp, ['resourceType', 'id', 'url', 'version', 'name', 'status', 'description', 'code', 'base', 'type', 'expression', 'target', 'multipleOr', 'multipleAnd', 'comparator', 'modifier', 'chain', 'component']);

function trimConcepts(list: Json[] | undefined): Json[] | undefined {
  return list?.map((c) => {
    const r = pick(c, ['code', 'display', 'property']);
    if (c.concept) r.concept = trimConcepts(c.concept);
    return r;
  });
}

const trimCodeSystem = (cs: Json): Json => ({
  ...pick(cs, ['resourceType', 'id', 'url', 'version', 'name', 'title', 'status', 'caseSensitive', 'content', 'hierarchyMeaning']),
  concept: trimConcepts(cs.concept),
});

const trimValueSet = (vs: Json): Json => pick(vs, ['resourceType', 'id', 'url', 'version', 'name', 'title', 'status', 'compose']);

/** Expansion as { system: codes[] }: what membership needs and no more. */
function trimExpansion(vs: Json): Json {
  const bySystem: Record<string, string[]> = {};
  const walk = (list: Json[] | undefined) => {
    for (const c of list ?? []) {
      if (c.code && !c.abstract) {
        bySystem[c.system] ??= [];
        bySystem[c.system].push(c.code);
      }
      walk(c.contains);
    }
  };
  walk(vs.expansion?.contains);
  return bySystem;
}

/** One definition a line, so that a reader parses only what it uses. */
function pack(name: string, lines: [string, unknown][]): { lines: number; bytes: number } {
  const text = lines
    .sort((a, b) => (a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : 0))
    .map(([key, value]) => `${key}\t${JSON.stringify(value)}`)
    .join('\n');
  const packed = brotliCompressSync(Buffer.from(text), {
    params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_LGWIN]: 24, [constants.BROTLI_PARAM_SIZE_HINT]: text.length },
  });
  writeFileSync(join(OUT, `${name}.br`), packed);
  return { lines: lines.length, bytes: packed.length };
}

function build(): void {
  const [examples, expansions] = PACKAGES.map(fetchPackage);
  const structures: [string, unknown][] = [];
  const search: [string, unknown][] = [];
  const codes: [string, unknown][] = [];
  const sets: [string, unknown][] = [];
  const compartments: [string, unknown][] = [];
  for (const f of readdirSync(examples.folder).sort()) {
    if (!/^(StructureDefinition|SearchParameter|CodeSystem|ValueSet|CompartmentDefinition)-/.test(f)) continue;
    const r: Json = JSON.parse(readFileSync(join(examples.folder, f), 'utf8'));
    if (r.resourceType === 'StructureDefinition' && r.snapshot && r.url?.startsWith('http://hl7.org/fhir/StructureDefinition/')) structures.push([r.url, trimStructure(r)]);
    if (r.resourceType === 'SearchParameter' && r.expression && r.url?.startsWith('http://hl7.org/fhir/SearchParameter/')) search.push([r.url, trimSearch(r)]);
    if (r.resourceType === 'CodeSystem' && r.content === 'complete') codes.push([r.url, trimCodeSystem(r)]);
    if (r.resourceType === 'ValueSet' && r.compose) sets.push([r.url, trimValueSet(r)]);
    if (r.resourceType === 'CompartmentDefinition' && r.url?.startsWith('http://hl7.org/fhir/CompartmentDefinition/')) compartments.push([r.code, { code: r.code, resource: r.resource.filter((x: Json) => x.param) }]);
  }
  const required = new Set<string>();
  for (const [, sd] of structures) for (const e of (sd as Json).snapshot.element) if (e.binding?.valueSet) required.add(e.binding.valueSet.split('|')[0]);
  const expanded: [string, unknown][] = [];
  for (const f of readdirSync(expansions.folder).sort()) {
    if (!f.startsWith('ValueSet-') || !f.endsWith('.json')) continue;
    const r: Json = JSON.parse(readFileSync(join(expansions.folder, f), 'utf8'));
    if (required.has(r.url) && r.expansion?.contains) expanded.push([r.url, trimExpansion(r)]);
  }
  mkdirSync(OUT, { recursive: true });
  const packs = { structures: pack('structures', structures), search: pack('search', search), codesystems: pack('codesystems', codes), valuesets: pack('valuesets', sets), compartments: pack('compartments', compartments), expansions: pack('expansions', expanded) };
  const notice = {
    notice: 'Trimmed from HL7 FHIR R4 (4.0.1) definitions, CC0. Text, mappings and comments are left out. Built by `npm run definitions`.',
    sources: Object.fromEntries(PACKAGES.map((p, i) => [p, [examples, expansions][i].sha256])),
    packs,
  };
  writeFileSync(join(OUT, 'NOTICE.json'), `${JSON.stringify(notice, null, 2)}\n`);
  process.stdout.write(`${JSON.stringify(packs)}\n`);
}

build();
