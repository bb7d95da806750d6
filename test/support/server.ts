// A server of a test's own: real HTTP, its own store, its own clock if asked.
import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { developmentKey, sign } from '../../server/auth/development.ts';
import { readConfig } from '../../server/config.ts';
import { type Running, start } from '../../server/start.ts';
import type { Json, World } from '../../server/fhir/types.ts';
import * as callers from '../../seed/callers.ts';
import { consent, type ConsentOptions } from '../../seed/consents.ts';
import { seedDirectory } from '../../seed/demo.ts';
import type { Caller } from '../../server/policy/caller.ts';
import type { ConsentKind } from '../../server/policy/consent.ts';

export type Answer = { status: number; headers: Headers; body: any; text: string };
export type Client = {
  caller: Caller;
  token: string;
  send(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<Answer>;
  get(path: string, headers?: Record<string, string>): Promise<Answer>;
  post(path: string, body: unknown, headers?: Record<string, string>): Promise<Answer>;
  put(path: string, body: unknown, headers?: Record<string, string>): Promise<Answer>;
  patch(path: string, body: unknown, headers?: Record<string, string>): Promise<Answer>;
  delete(path: string, headers?: Record<string, string>): Promise<Answer>;
};

export type TestServer = { running: Running; base: string; dataDir: string; as(caller: Caller, ttl?: number): Promise<Client>; tokenOf(caller: Caller, ttl?: number): Promise<string>; stop(): Promise<void> };

export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const s = createServer();
    s.once('error', reject);
    s.listen(0, '127.0.0.1', () => {
      const { port } = s.address() as { port: number };
      s.close(() => resolve(port));
    });
  });
}

export const temporaryFolder = (): string => mkdtempSync(join(tmpdir(), 'dmp-'));

export function dmpClaims(c: Caller): Json {
  return { kind: c.kind, ...(c.kind === 'system' ? { system: c.ref.replace(/^system:/, '') } : {}), organization: c.organization, sector: c.sector, profession: c.profession, specialty: c.specialty, mode: c.mode, reason: c.reason, roles: c.roles, secret: c.secret };
}

const JSON_TYPE = 'application/fhir+json';

function clientOf(base: string, caller: Caller, token: string): Client {
  async function send(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<Answer> {
    const raw = body === undefined || typeof body === 'string' || body instanceof Uint8Array ? (body as string | undefined) : JSON.stringify(body);
    const res = await fetch(path.startsWith('http') ? path : `${base}${path && !path.startsWith('/') ? '/' : ''}${path}`, {
      method, body: raw, headers: { ...(token ? { Authorization: `Bearer ${token}` } : {}), ...(raw === undefined ? {} : { 'Content-Type': JSON_TYPE }), ...headers },
    });
    const text = await res.text();
    let parsed: unknown;
    try {
      parsed = JSON.parse(text);
    } catch {
      parsed = undefined;
    }
    return { status: res.status, headers: res.headers, body: parsed, text };
  }
  return {
    caller, token, send,
    get: (p, h) => send('GET', p, undefined, h), post: (p, b, h) => send('POST', p, b, h), put: (p, b, h) => send('PUT', p, b, h),
    patch: (p, b, h) => send('PATCH', p, b, { 'Content-Type': Array.isArray(b) ? 'application/json-patch+json' : JSON_TYPE, ...h }), delete: (p, h) => send('DELETE', p, undefined, h),
  };
}

/** Starts a server. `directory`: the fictitious professionals and organisations are loaded. */
export async function testServer(o: { env?: Record<string, string>; world?: World; directory?: boolean; dataDir?: string } = {}): Promise<TestServer> {
  const port = await freePort();
  const dataDir = o.dataDir ?? temporaryFolder();
  const mongo = process.env.TEST_MONGODB_URL ? { MONGODB_URL: `${process.env.TEST_MONGODB_URL.replace(/\/[^/]*$/, '')}/t${randomUUID().slice(0, 8)}`, MONGODB_STANDALONE: 'accept' } : {};
  const config = readConfig({ PORT: String(port), DATA_DIR: dataDir, SEED: 'none', LOG_LEVEL: 'silent', ...mongo, ...o.env });
  const running = await start(config, { world: o.world, beforeListen: ({ services }) => (o.directory === false ? Promise.resolve() : seedDirectory(services, 1)) });
  const key = await developmentKey(dataDir);
  const tokenOf = (c: Caller, ttl = 3600): Promise<string> =>
    sign(key, config.base, { dmp: dmpClaims(c), ...(/^(Patient|RelatedPerson|Practitioner|Device)\//.test(c.ref) ? { fhirUser: c.ref } : {}), scope: c.scopes.join(' '), ...(c.launchPatient ? { patient: c.launchPatient } : {}), ...(c.name ? { name: c.name } : {}), client_id: c.client }, { ttl, now: o.world?.now() ?? Date.now(), jti: randomUUID() });
  return {
    running, base: config.base, dataDir, tokenOf,
    // Where the server is known by another name, it is still called where it listens.
    as: async (c, ttl) => clientOf(`http://127.0.0.1:${port}/fhir`, c, await tokenOf(c, ttl)),
    async stop() {
      await running.stop();
      if (!o.dataDir) rmSync(dataDir, { recursive: true, force: true });
    },
  };
}

export const anonymous = (base: string): Client => clientOf(base, callers.registry, '');

/** A record of a new patient, open; domain verbs over it. */
export type Rec = { id: string; patient: Client; registry: Client; consent(kind: ConsentKind, o?: Partial<ConsentOptions>): Promise<Answer>; deposit(by: Client, over?: Json): Promise<Answer> };

let counter = 0;

export const documentBody = (patient: string, over: Json = {}): Json => ({
  resourceType: 'DocumentReference', status: 'current', type: { coding: [{ system: 'http://loinc.org', code: '34112-3' }] },
  category: [{ coding: [{ system: 'https://mos.esante.gouv.fr/NOS/TRE_A03-ClasseDocument/FHIR/TRE-A03-ClasseDocument', code: '10' }] }],
  subject: { reference: `Patient/${patient}` }, date: '2026-01-15T10:00:00Z',
  content: [{ attachment: { contentType: 'text/plain', data: Buffer.from(`document ${counter++}`).toString('base64'), title: 'A document' } }], ...over,
});

export async function openRecord(s: TestServer, o: { id?: string; open?: boolean; patient?: Json } = {}): Promise<Rec> {
  const registry = await s.as(callers.registry);
  const id = o.id ?? `p${randomUUID().slice(0, 13)}`;
  const made = await registry.put(`Patient/${id}`, { resourceType: 'Patient', id, active: true, name: [{ family: 'Essai', given: ['Camille'] }], gender: 'female', birthDate: '1970-01-01', ...o.patient });
  if (made.status !== 201) throw new Error(made.text);
  const patient = await s.as(callers.patient(id));
  const rec: Rec = {
    id, patient, registry,
    consent: (kind, c = {}) => patient.post('Consent', consent(kind, id, { dateTime: new Date(s.running.deps.world.now() - 1000).toISOString(), ...c })),
    deposit: (by, over) => by.post('DocumentReference', documentBody(id, over)),
  };
  if (o.open !== false) {
    const opened = await rec.consent('opening');
    if (opened.status !== 201) throw new Error(opened.text);
  }
  return rec;
}

export const reasons = (a: Answer): string[] => (a.body?.issue ?? []).map((i: Json) => i.details?.coding?.[0]?.code);
export const idsOf = (a: Answer): string[] => (a.body?.entry ?? []).filter((e: Json) => e.search?.mode !== 'outcome').map((e: Json) => e.resource.id);
