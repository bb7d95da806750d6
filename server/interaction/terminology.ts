// Terminology operations: $expand, $validate-code, $lookup, $subsumes, $translate. https://hl7.org/fhir/R4/terminology-service.html
import * as errors from '../fhir/errors.ts';
import { asArray, type Json } from '../fhir/types.ts';
import type { Context, Request, Response } from './context.ts';
import { parametersIn, resourceIn } from './parameters.ts';

type Call = { type?: string; id?: string; req: Request };
type Get = (name: string) => string | undefined;

const out = (parameter: Json[]): Response => ({ status: 200, headers: {}, resource: { resourceType: 'Parameters', parameter } });
const unknown = (what: string, url: string): errors.FhirError => new errors.FhirError(404, [{ severity: 'error', code: 'not-found', reason: 'unknown-terminology', text: `The ${what} \`${url.slice(0, 200)}\` is not known here.` }]);
const missing = (name: string): errors.FhirError => errors.invalidParameter(`\`${name}\` is needed.`);

/** The canonical URL asked about: given, or that of the instance. */
function canonical(ctx: Context, call: Call, get: Get, names: string[]): string {
  if (call.id !== undefined) {
    const d = ctx.services.definition(call.type as string, call.id);
    if (!d) throw errors.notFound(call.type as string, call.id);
    return d.url;
  }
  const url = names.map(get).find((v) => v !== undefined);
  if (url === undefined) throw missing(names[0]);
  return url.split('|')[0];
}

const MAX_CODES = 5_000;

/** https://hl7.org/fhir/R4/valueset-operation-expand.html */
export async function expand(ctx: Context, call: Call): Promise<Response> {
  const get = parametersIn(call.req);
  const given = resourceIn(call.req, 'valueSet');
  const url = given ? String(given.url ?? 'the given value set') : canonical(ctx, call, get, ['url']);
  const whole = given ? ctx.settings.terms.expandDefinition(given) : ctx.settings.terms.expand(url);
  if (!whole) throw unknown('value set (or a code system that it needs)', url);
  const filter = get('filter')?.toLowerCase();
  const matched = filter ? whole.filter((c) => c.code.toLowerCase().includes(filter) || (c.display ?? ctx.settings.terms.display(c.system, c.code) ?? '').toLowerCase().includes(filter)) : whole;
  const whole_number = (name: string, fallback: number): number => {
    const v = get(name);
    if (v !== undefined && !/^\d{1,9}$/.test(v)) throw errors.invalidParameter(`\`${name}\` is a whole number.`);
    return v === undefined ? fallback : Number(v);
  };
  const offset = whole_number('offset', 0);
  const count = get('count') === undefined ? undefined : whole_number('count', 0);
  if (count === undefined && matched.length > MAX_CODES) throw errors.tooCostly(`The expansion holds ${matched.length} codes; ask for a page (\`count\`, \`offset\`).`);
  const page = matched.slice(offset, offset + Math.min(count ?? MAX_CODES, MAX_CODES));
  const contains = page.map((c) => ({ system: c.system, code: c.code, ...((c.display ?? ctx.settings.terms.display(c.system, c.code)) ? { display: c.display ?? ctx.settings.terms.display(c.system, c.code) } : {}) }));
  const definition = given ?? ctx.settings.terms.valueSetDefinition(url) ?? { resourceType: 'ValueSet', url, status: 'active' };
  const { compose: _c, ...head } = definition;
  return { status: 200, headers: {}, resource: { ...head, resourceType: 'ValueSet', expansion: { timestamp: new Date(ctx.ask.now).toISOString(), total: matched.length, offset, ...(contains.length ? { contains } : {}) } } };
}

/** A coding from `code`+`system`, `coding`, or `codeableConcept`. */
function codingsIn(call: Call, get: Get): Json[] {
  const parameter = (name: string): Json | undefined => (call.req.body?.resourceType === 'Parameters' ? asArray<Json>(call.req.body.parameter).find((p) => p.name === name) : undefined);
  const concept = parameter('codeableConcept')?.valueCodeableConcept;
  if (concept) return asArray<Json>(concept.coding);
  const coding = parameter('coding')?.valueCoding;
  if (coding) return [coding];
  const code = get('code');
  return code === undefined ? [] : [{ system: get('system'), code, display: get('display') }];
}

/** https://hl7.org/fhir/R4/valueset-operation-validate-code.html and codesystem-operation-validate-code.html */
export async function validateCode(ctx: Context, call: Call): Promise<Response> {
  const get = parametersIn(call.req);
  const { terms } = ctx.settings;
  const codings = codingsIn(call, get);
  if (!codings.length) throw missing('code');
  let ok: Json | undefined;
  if (call.type === 'CodeSystem') {
    const url = canonical(ctx, call, get, ['url', 'system']);
    if (!terms.codeSystem(url)) throw unknown('code system', url);
    ok = codings.find((c) => (c.system ?? url) === url && terms.concept(url, c.code) !== undefined);
    if (ok) ok = { ...ok, system: url };
  } else {
    const url = canonical(ctx, call, get, ['url']);
    const list = terms.expand(url);
    if (!list) throw unknown('value set (or a code system that it needs)', url);
    const found = list.find((x) => codings.some((c) => c.code === x.code && (c.system === undefined || c.system === x.system)));
    ok = found && { ...codings.find((c) => c.code === found.code), system: found.system };
  }
  if (!ok) return out([{ name: 'result', valueBoolean: false }, { name: 'message', valueString: `\`${String(codings[0].code).slice(0, 64)}\` is not a code of it.` }]);
  const display = terms.display(ok.system, ok.code);
  const wrong = ok.display !== undefined && display !== undefined && ok.display !== display;
  return out([{ name: 'result', valueBoolean: !wrong }, ...(wrong ? [{ name: 'message', valueString: `The display is \`${display}\`.` }] : []), ...(display ? [{ name: 'display', valueString: display }] : [])]);
}

/** https://hl7.org/fhir/R4/codesystem-operation-lookup.html */
export async function lookup(ctx: Context, call: Call): Promise<Response> {
  const get = parametersIn(call.req);
  const { terms } = ctx.settings;
  const coding = codingsIn(call, get)[0];
  if (!coding) throw missing('code');
  const system = String(coding.system ?? '');
  const cs = terms.codeSystem(system);
  const concept = terms.concept(system, coding.code);
  const display = concept?.display ?? terms.display(system, coding.code);
  if (!concept && display === undefined) throw unknown('code', `${system}|${coding.code}`);
  return out([{ name: 'name', valueString: cs?.name ?? system }, ...(cs?.version ? [{ name: 'version', valueString: cs.version }] : []), { name: 'display', valueString: display ?? coding.code }, ...(concept?.definition ? [{ name: 'definition', valueString: concept.definition }] : []), ...asArray<Json>(concept?.designation).map((d) => ({ name: 'designation', part: [...(d.language ? [{ name: 'language', valueCode: d.language }] : []), { name: 'value', valueString: d.value }] }))]);
}

/** https://hl7.org/fhir/R4/codesystem-operation-subsumes.html */
export async function subsumes(ctx: Context, call: Call): Promise<Response> {
  const get = parametersIn(call.req);
  const { terms } = ctx.settings;
  const system = canonical(ctx, call, get, ['system']);
  if (!terms.codeSystem(system)) throw unknown('code system', system);
  const [a, b] = [get('codeA'), get('codeB')];
  if (a === undefined || b === undefined) throw missing(a === undefined ? 'codeA' : 'codeB');
  for (const c of [a, b]) if (!terms.concept(system, c)) throw unknown('code', `${system}|${c}`);
  const outcome = a === b ? 'equivalent' : terms.closure('below', system, a).includes(b) ? 'subsumes' : terms.closure('below', system, b).includes(a) ? 'subsumed-by' : 'not-subsumed';
  return out([{ name: 'outcome', valueCode: outcome }]);
}

/** https://hl7.org/fhir/R4/conceptmap-operation-translate.html */
export async function translate(ctx: Context, call: Call): Promise<Response> {
  const get = parametersIn(call.req);
  const url = call.id !== undefined || get('url') !== undefined ? canonical(ctx, call, get, ['url']) : undefined;
  const coding = codingsIn(call, get)[0];
  if (!coding) throw missing('code');
  const maps = ctx.services.definitions('ConceptMap').filter((m) => url === undefined || m.url === url);
  if (url !== undefined && !maps.length) throw unknown('concept map', url);
  const target = get('targetsystem') ?? get('target');
  const matches = maps.flatMap((m) => asArray<Json>(m.group).filter((g) => g.source === coding.system && (target === undefined || g.target === target)).flatMap((g) => asArray<Json>(g.element).filter((e) => e.code === coding.code).flatMap((e) => asArray<Json>(e.target).map((t) => ({ m, g, t })))));
  return out([
    { name: 'result', valueBoolean: matches.length > 0 }, ...(matches.length ? [] : [{ name: 'message', valueString: 'No map leads from this code.' }]),
    ...matches.map(({ m, g, t }) => ({ name: 'match', part: [{ name: 'equivalence', valueCode: t.equivalence }, { name: 'concept', valueCoding: { system: g.target, code: t.code, ...(ctx.settings.terms.display(g.target, t.code) ? { display: ctx.settings.terms.display(g.target, t.code) } : {}) } }, { name: 'source', valueUri: m.url }] })),
  ]);
}
