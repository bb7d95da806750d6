// Non-interference: two worlds that look alike to a caller answer alike, byte for byte, whatever third parties hide in one of them.
// A List here has neither title nor date: S3 drops them where an entry is hidden, which tells so much and no more.
// What the caller sees is stated here from the rulings (a masked document is seen by no professional but its author), not from `residual`.
import fc from 'fast-check';
import { randomUUID } from 'node:crypto';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readConfig } from '../../server/config.ts';
import type { Deps } from '../../server/access/deps.ts';
import type { Json, Resource } from '../../server/fhir/types.ts';
import { dispatch } from '../../server/interaction/dispatch.ts';
import { failure } from '../../server/interaction/failure.ts';
import type { Services } from '../../server/interaction/context.ts';
import { outcome } from '../../server/fhir/errors.ts';
import type { Caller } from '../../server/policy/caller.ts';
import { makeDeps, makeServices } from '../../server/start.ts';
import { mongoStore } from '../../server/store/mongo/store.ts';
import { sqliteStore } from '../../server/store/sqlite/store.ts';
import type { Store } from '../../server/store/port.ts';
import * as callers from '../../seed/callers.ts';
import { consent } from '../../seed/consents.ts';
import { seedDirectory } from '../../seed/demo.ts';

const LABEL = (code: string): Json => ({ coding: [{ system: 'https://mos.esante.gouv.fr/NOS/TRE_A07-StatutVisibiliteDocument/FHIR/TRE-A07-StatutVisibiliteDocument', code }] });

export type World = { store: Store; services: Services; deps: Deps; folder: string; clock: { now: number; prefix: string; ordinal: number } };

async function world(): Promise<World> {
  // In memory where there is a folder for it: durability is not what is asked here.
  const folder = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'dmp-'));
  const clock = { now: Date.parse('2026-05-01T00:00:00Z'), prefix: 'seed', ordinal: 0 };
  const url = process.env.TEST_MONGODB_URL;
  const store = url ? await mongoStore(`${url.replace(/\/[^/]*$/, '')}/n${randomUUID().slice(0, 8)}`, 'w', { acceptStandalone: true }) : sqliteStore(folder, 'w');
  const config = readConfig({ DATA_DIR: folder, SEED: 'none', LOG_LEVEL: 'silent' });
  const deps = await makeDeps(config, store, { now: () => clock.now, newId: () => `${clock.prefix}-${clock.ordinal++}` });
  deps.cursorKey = Buffer.alloc(32, 7);
  const services = makeServices(config, deps, undefined, 0);
  const w = { store, services, deps, folder, clock };
  await seedDirectory(services, 1);
  return w;
}

async function close(w: World): Promise<void> {
  await w.store.close();
  rmSync(w.folder, { recursive: true, force: true });
}

export type Call = { caller: Caller; method: string; path: string; query?: [string, string][]; body?: unknown; headers?: Record<string, string> };

/** Runs a request; ids come from its number and their ordinal in it. */
async function ask(w: World, number: string, at: number, c: Call): Promise<string> {
  w.clock.now = at;
  w.clock.prefix = number;
  w.clock.ordinal = 0;
  try {
    const patch = Array.isArray(c.body) ? { patch: c.body } : c.body ? { body: c.body as Resource } : {};
    const r = await dispatch(w.services, { caller: c.caller, requestId: number, now: at }, { method: c.method, path: c.path, query: c.query ?? [], headers: { 'if-match': undefined, ...c.headers }, ...patch });
    let bytes = '';
    if (r.stream) for await (const chunk of r.stream) bytes += String(chunk);
    return JSON.stringify([r.status, r.headers, r.text ?? r.resource ?? bytes]);
  } catch (e) {
    const f = failure(e);
    if (f.status >= 500) throw e;
    return JSON.stringify([f.status, f.headers, outcome(f.issues)]);
  }
}

/** As a client would send it: what is undefined is not there. */
const document = (patient: string, n: number, over: Json = {}): Resource => JSON.parse(JSON.stringify({
  resourceType: 'DocumentReference', status: 'current', type: { coding: [{ system: 'http://loinc.org', code: '34112-3' }] }, subject: { reference: `Patient/${patient}` }, date: `2026-0${(n % 4) + 1}-1${n % 9}T00:00:00Z`,
  masterIdentifier: { system: 'urn:m', value: `m${n}` }, content: [{ attachment: { contentType: 'text/plain', data: Buffer.from(`text ${n}`).toString('base64') } }], ...over,
}));

const doctor = callers.professional('dr-martin');
const hospital = callers.system('chu-demo');

/** What third parties hide: each masked to professionals from its first instant. */
export type Hidden = { kind: 'deposit' | 'relates' | 'shown-relates' | 'list' | 'relabel' | 'delete' | 'consent'; n: number };
export type Step = { what: string; n: number };
export type Sequence = { hidden: Hidden[][]; steps: Step[] };

const READS = ['read', 'vread', 'history', 'search', 'count', 'page', 'sorted', 'include', 'revinclude', 'relatesto', 'relation', 'identifier', 'byid', 'compartment', 'lists', 'list', 'consents', 'binary', 'batch', 'status', 'events', 'missing', 'chain', 'summary', 'docref', 'rubric', 'history-of-access'] as const;
const WRITES = ['deposit', 'replay', 'replace', 'patch', 'put', 'delete', 'conditional-create', 'conditional-delete', 'make-list'] as const;
const sequences: fc.Arbitrary<Sequence> = fc.record({
  steps: fc.array(fc.record({ what: fc.constantFrom<string>(...READS, ...WRITES), n: fc.nat(5) }), { minLength: 8, maxLength: 10 }),
  hidden: fc.array(fc.array(fc.record({ kind: fc.constantFrom('deposit', 'deposit', 'relates', 'shown-relates', 'shown-relates', 'list', 'relabel', 'delete', 'consent') as fc.Arbitrary<Hidden['kind']>, n: fc.nat(5) }), { maxLength: 2 }), { minLength: 10, maxLength: 10 }),
});

/** The n-th thing that the caller may name: seen, or a hidden one's id, or one never given. */
const nameOf = (ids: string[], n: number): string => ids[n % ids.length];

function callOf(s: Step, p: string, known: { docs: string[]; lists: string[]; binaries: string[] }): Call {
  const id = nameOf(known.docs, s.n);
  const get = (path: string, query: [string, string][] = []): Call => ({ caller: doctor, method: 'GET', path, query });
  const search = (...more: [string, string][]): Call => get('DocumentReference', [['patient', p], ...more]);
  switch (s.what) {
    case 'read': return get(`DocumentReference/${id}`);
    case 'vread': return get(`DocumentReference/${id}/_history/${1 + (s.n % 2)}`);
    case 'history': return get(`DocumentReference/${id}/_history`);
    case 'count': return search(['_summary', 'count']);
    case 'page': return search(['_count', String(1 + (s.n % 2))], ['_total', 'accurate']);
    case 'sorted': return search(['_sort', s.n % 2 ? '-_lastUpdated' : 'identifier']);
    case 'include': return search(['_include', 'DocumentReference:*'], ['_include:iterate', 'DocumentReference:relatesto']);
    case 'revinclude': return search(['_revinclude', 'DocumentReference:relatesto'], ['_revinclude', 'List:item']);
    case 'relatesto': return search(['relatesto', `DocumentReference/${id}`]);
    case 'relation': return search(['relation', 'appends']);
    case 'identifier': return get('DocumentReference', [['identifier', `urn:m|m${s.n}`]]);
    case 'byid': return get('DocumentReference', [['_id', id]]);
    case 'compartment': return get(`Patient/${p}/DocumentReference`);
    case 'lists': return get('List', [['patient', p], ...(s.n % 2 ? ([['_sort', 'date']] as [string, string][]) : [])]);
    case 'list': return get(`List/${nameOf(known.lists, s.n)}`);
    case 'consents': return get('Consent', [['patient', p]]);
    case 'binary': return get(`Binary/${nameOf(known.binaries, s.n)}`);
    case 'batch': return { caller: doctor, method: 'POST', path: '', body: { resourceType: 'Bundle', type: 'batch', entry: [{ request: { method: 'GET', url: `DocumentReference/${id}` } }, { request: { method: 'GET', url: `DocumentReference?patient=${p}` } }] } };
    case 'status': return get(`Patient/${p}/$dmp-status`);
    case 'events': return get('AuditEvent', [['patient', p]]);
    case 'missing': return search(['relatesto:missing', s.n % 2 ? 'true' : 'false']);
    case 'summary': return get(`Patient/${p}/$summary-sheet`);
    case 'docref': return get('DocumentReference/$docref', [['patient', p], ['_count', '2']]);
    case 'rubric': return search(['type:in', 'https://fhir.dmp.example/ValueSet/dmp-rubric-comptes-rendus']);
    case 'history-of-access': return get(`Patient/${p}/$access-history`);
    case 'chain': return search(['relatesto.status', 'current']);
    case 'deposit': return { caller: doctor, method: 'POST', path: 'DocumentReference', body: document(p, 50 + s.n, s.n % 2 ? { relatesTo: [{ code: 'appends', target: { reference: `DocumentReference/${id}` } }] } : {}) };
    case 'replay': return { caller: doctor, method: 'POST', path: 'DocumentReference', body: document(p, s.n) };
    case 'replace': return { caller: doctor, method: 'POST', path: 'DocumentReference', body: document(p, 60 + s.n, { relatesTo: [{ code: 'replaces', target: { reference: `DocumentReference/${id}` } }] }) };
    case 'patch': return { caller: doctor, method: 'PATCH', path: `DocumentReference/${id}`, body: [{ op: 'replace', path: '/status', value: 'superseded' }] };
    case 'put': return { caller: doctor, method: 'PUT', path: `DocumentReference/${id}`, body: { ...document(p, s.n, { content: [{ attachment: { contentType: 'text/plain' } }] }), id }, headers: { 'if-match': 'W/"3"' } };
    case 'delete': return { caller: doctor, method: 'DELETE', path: `DocumentReference/${id}` };
    case 'conditional-create': return { caller: doctor, method: 'POST', path: 'DocumentReference', body: document(p, 70 + s.n), headers: { 'if-none-exist': `patient=${p}&identifier=urn:m|m${s.n}` } };
    case 'conditional-delete': return { caller: doctor, method: 'DELETE', path: 'DocumentReference', query: [['patient', p], ['identifier', `urn:m|m${s.n}`]] };
    case 'make-list': return { caller: doctor, method: 'POST', path: 'List', body: { resourceType: 'List', status: 'current', mode: 'working', subject: { reference: `Patient/${p}` }, entry: [{ item: { reference: `DocumentReference/${id}` } }] } };
    default: return search();
  }
}

/** Third parties at work in world B alone. Only what no professional but its author sees is touched. */
async function hide(b: World, p: string, number: string, at: number, h: Hidden, own: string[], seen: { docs: string[]; lists: string[] }): Promise<void> {
  const masked = (over: Json = {}): Resource => document(p, h.n, { securityLabel: [LABEL('MASQUE_PS')], ...over });
  const deposit = async (over: Json = {}): Promise<void> => {
    const made = JSON.parse(await ask(b, number, at, { caller: hospital, method: 'POST', path: 'DocumentReference', body: masked({ masterIdentifier: { system: 'urn:m', value: `m${h.n}` }, content: [{ attachment: { contentType: 'text/plain', data: Buffer.from(number).toString('base64') } }], ...over }) }));
    if (made[0] === 201) own.push(JSON.parse(made[2]).id);
  };
  const some = own[h.n % Math.max(1, own.length)];
  switch (h.kind) {
    case 'deposit': return deposit();
    case 'relates': return deposit({ masterIdentifier: undefined, relatesTo: [{ code: 'appends', target: { reference: `DocumentReference/${seen.docs[0]}` } }] });
    case 'list': {
      if (!some) return;
      const current = JSON.parse(await ask(b, `${number}r`, at, { caller: hospital, method: 'GET', path: `List/${seen.lists[0]}` }));
      if (current[0] !== 200) return;
      const list = JSON.parse(current[2]);
      await ask(b, number, at, { caller: hospital, method: 'PUT', path: `List/${list.id}`, body: { ...list, entry: [...list.entry, { item: { reference: `DocumentReference/${some}` } }] } });
      return;
    }
    case 'relabel': if (some) await ask(b, number, at, { caller: hospital, method: 'PATCH', path: `DocumentReference/${some}`, body: [{ op: 'replace', path: '/status', value: 'superseded' }] }); return;
    case 'delete': if (some) await ask(b, number, at, { caller: hospital, method: 'DELETE', path: `DocumentReference/${some}` }); return;
    case 'consent': if (some) await ask(b, number, at, { caller: callers.patient(p), method: 'POST', path: 'Consent', body: { ...consent('authorisation', p, { dateTime: '2026-04-01T00:00:00Z', actors: ['Practitioner/dr-martin'] }), provision: { type: 'deny', data: [{ meaning: 'instance', reference: { reference: `DocumentReference/${some}` } }], actor: [{ role: { coding: [{ system: 'http://terminology.hl7.org/CodeSystem/v3-ParticipationType', code: 'IRCP' }] }, reference: { reference: 'Practitioner/dr-martin' } }] } } });
  }
}

/** A document that the caller sees in both worlds; in world B it refers to a hidden one besides, which the view leaves out. */
async function showRelated(a: World, b: World, p: string, number: string, at: number, n: number, own: string[], seen: { docs: string[]; binaries: string[] }): Promise<void> {
  const target = own[n % Math.max(1, own.length)];
  const body = (over: Json): Call => ({ caller: hospital, method: 'POST', path: 'DocumentReference', body: document(p, n, { masterIdentifier: undefined, ...over }) });
  const made = JSON.parse(await ask(a, number, at, body({})));
  if (made[0] !== 201) throw new Error(`a document that both see was refused: ${JSON.stringify(made)}`);
  const reference = { reference: `DocumentReference/${target}` };
  const related = target ? JSON.parse(await ask(b, number, at, body({ relatesTo: [{ code: 'appends', target: reference }], context: { related: [reference] } }))) : [0];
  // Deleted meanwhile: nobody refers to it any more.
  if (related[0] !== 201) await ask(b, number, at, body({}));
  const shown = JSON.parse(made[2]);
  seen.docs.push(shown.id);
  seen.binaries.push(shown.content[0].attachment.url.slice('Binary/'.length));
}

/** Plays a sequence in both worlds; answers the first step whose answers differ. */
async function play(a: World, b: World, p: string, s: Sequence): Promise<{ step: number; call: Call; a: string; b: string } | undefined> {
  let at = Date.parse('2026-05-01T00:00:00Z');
  const both = async (n: string, c: Call): Promise<[string, string]> => [await ask(a, n, at, c), await ask(b, n, at, c)];
  await both(`${p}-s0`, { caller: callers.registry, method: 'PUT', path: `Patient/${p}`, body: { resourceType: 'Patient', id: p, birthDate: '1970-01-01' } });
  for (const [i, c] of [consent('opening', p, { dateTime: '2026-01-01T00:00:00Z' }), consent('authorisation', p, { dateTime: '2026-01-01T00:00:00Z', actors: ['Practitioner/dr-martin'] })].entries()) await both(`${p}-c${i}`, { caller: callers.patient(p), method: 'POST', path: 'Consent', body: c });
  const seen = { docs: [] as string[], lists: [] as string[], binaries: [] as string[] };
  for (let i = 0; i < 2; i++) {
    const made = JSON.parse(JSON.parse((await both(`${p}-d${i}`, { caller: hospital, method: 'POST', path: 'DocumentReference', body: document(p, 20 + i) }))[0])[2]);
    seen.docs.push(made.id);
    seen.binaries.push(made.content[0].attachment.url.slice('Binary/'.length));
  }
  seen.lists.push(JSON.parse(JSON.parse((await both(`${p}-l`, { caller: hospital, method: 'POST', path: 'List', body: { resourceType: 'List', status: 'current', mode: 'working', subject: { reference: `Patient/${p}` }, entry: seen.docs.map((d) => ({ item: { reference: `DocumentReference/${d}` } })) } }))[0])[2]).id);
  const own: string[] = [];
  for (const [i, step] of s.steps.entries()) {
    at += 60_000;
    for (const [j, h] of (s.hidden[i] ?? []).entries()) {
      if (h.kind === 'shown-relates') await showRelated(a, b, p, `${p}-h${i}x${j}`, at, h.n, own, seen);
      else await hide(b, p, `${p}-h${i}x${j}`, at, h, own, seen);
    }
    at += 60_000;
    // The caller may name hidden ids too: in world A they were never given.
    const call = callOf(step, p, { docs: [...seen.docs, ...own, `${p}-h0x0-1`], lists: [...seen.lists, 'none'], binaries: [...seen.binaries, `${p}-h0x0-0`] });
    const [x, y] = await both(`${p}-r${i}`, call);
    if (x !== y) return { step: i, call, a: x, b: y };
  }
  return undefined;
}

/** Runs generated sequences over one pair of worlds. */
export async function interference(runs: number, tamper?: (b: World) => void, seed = 20261122): Promise<void> {
  const a = await world();
  const b = await world();
  tamper?.(b);
  tamper?.(a);
  let n = 0;
  try {
    await fc.assert(
      fc.asyncProperty(sequences, async (s) => {
        const difference = await play(a, b, `p${n++}`, s);
        if (difference) throw new Error(`step ${difference.step}: ${difference.call.method} ${difference.call.path}?${new URLSearchParams(difference.call.query ?? [])}\nA ${difference.a.slice(0, 1500)}\nB ${difference.b.slice(0, 1500)}`);
      }),
      { numRuns: runs, seed: Number(process.env.NONINTERFERENCE_SEED ?? seed) },
    );
  } catch (e) {
    throw e instanceof Error && e.cause instanceof Error ? new Error(`${e.message}\n${e.cause.message}`) : e;
  } finally {
    await close(a);
    await close(b);
  }
}
