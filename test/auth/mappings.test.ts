// One mapping per issuer: what each kind of token makes of a caller, what an issuer may not assert, tokens bound to a certificate, rotation.
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createHash, randomUUID, type webcrypto } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import * as callers from '../../seed/callers.ts';
import { consent } from '../../seed/consents.ts';
import { writeClients } from '../../server/auth/development.ts';
import type { Json } from '../../server/fhir/types.ts';
import { dispatch } from '../../server/interaction/dispatch.ts';
import type { Caller } from '../../server/policy/caller.ts';
import { freePort, temporaryFolder, type TestServer, testServer } from '../support/server.ts';

let s: TestServer;
let provider: Server;
let origin: string;
let jwks: { keys: Json[] } = { keys: [] };
const keys = new Map<string, webcrypto.CryptoKey>();

async function addKey(kid: string): Promise<void> {
  const { privateKey, publicKey } = await generateKeyPair('PS256', { extractable: true });
  keys.set(kid, privateKey);
  jwks = { keys: [...jwks.keys, { ...(await exportJWK(publicKey)), kid, alg: 'PS256', use: 'sig' }] };
}

/** A token of one of the issuers, all of which sign with the same keys under names of their own. */
const token = (issuer: string, claims: Json, kid = 'k1'): Promise<string> =>
  new SignJWT(claims).setProtectedHeader({ alg: 'PS256', kid, typ: 'at+jwt' }).setIssuer(`${origin}/${issuer}`).setAudience(s.base).setIssuedAt().setExpirationTime('5m').setJti(randomUUID()).sign(keys.get(kid) as webcrypto.CryptoKey);
const get = async (t: string, path: string, headers: Record<string, string> = {}) => {
  const a = await fetch(`${s.base}/${path}`, { headers: { Authorization: `Bearer ${t}`, ...headers } });
  return { status: a.status, body: (await a.json()) as Json };
};
const seed = (caller: Caller, method: string, path: string, body: Json) => dispatch(s.running.services, { caller, requestId: 'test', now: Date.now() }, { method, path, query: [], headers: {}, body: body as never });
const identifier = async (type: string, id: string): Promise<string> => JSON.parse((await s.running.deps.store.read(type, id))?.text ?? '{}').identifier[0].value;

beforeAll(async () => {
  const port = await freePort();
  origin = `http://127.0.0.1:${port}`;
  provider = createServer((_req, res) => void res.setHeader('Content-Type', 'application/json').end(JSON.stringify(jwks))).listen(port, '127.0.0.1');
  await addKey('k1');
  const file = join(temporaryFolder(), 'issuers.json');
  const issuer = (mapping: string, kinds: string[], more: Json = {}): Json => ({ issuer: `${origin}/${mapping}`, jwks: `${origin}/jwks`, mapping, kinds, refreshSeconds: 1, ...more });
  writeFileSync(file, JSON.stringify([issuer('iua', ['professional'], { modes: ['normal', 'bris_de_glace'] }), issuer('franceconnect', ['patient']), issuer('smart', ['patient', 'professional', 'system'])]));
  s = await testServer({ env: { ISSUERS: file, TRUSTED_PROXIES: '127.0.0.1' } });
  const person = { resourceType: 'Patient', id: 'fc', name: [{ use: 'official', family: 'DUPONT', given: ['Élodie', 'Marie'] }], gender: 'female', birthDate: '1980-02-03' };
  await seed(callers.registry, 'PUT', 'Patient/fc', person);
  await seed(callers.registry, 'PUT', 'Patient/other', { ...person, id: 'other', birthDate: '1980-02-04' });
  await seed(callers.patient('fc'), 'POST', 'Consent', consent('opening', 'fc', { dateTime: '2026-01-01T00:00:00Z' }));
  await seed(callers.system('chu-demo'), 'POST', 'DocumentReference', { resourceType: 'DocumentReference', status: 'current', type: { coding: [{ system: 'http://loinc.org', code: '34112-3' }] }, subject: { reference: 'Patient/fc' }, content: [{ attachment: { contentType: 'text/plain', data: 'eA==' } }] });
});
afterAll(async () => {
  await s.stop();
  provider.close();
});

describe('FranceConnect: to a Patient by the identity that the registry wrote', () => {
  const pivot = { family_name: 'DUPONT', given_name: 'Élodie Marie', birthdate: '1980-02-03', gender: 'female', scope: 'patient/*.rs' };
  it('on one exact match', async () => {
    const a = await get(await token('franceconnect', pivot), 'DocumentReference?patient=fc');
    expect([a.status, a.body.total]).toEqual([200, 1]);
    expect((await get(await token('franceconnect', pivot), 'Patient/other')).status).toBe(404);
  });
  it.each([['another birth date', { birthdate: '1980-02-05' }], ['another gender', { gender: 'male' }], ['one given name of two', { given_name: 'Élodie' }], ['no birth date', { birthdate: undefined }]])('not on %s', async (_name, over) => {
    expect((await get(await token('franceconnect', { ...pivot, ...over }), 'Patient/fc')).status).toBe(401);
  });
  it('nor on two', async () => {
    await seed(callers.registry, 'PUT', 'Patient/twin', { resourceType: 'Patient', id: 'twin', name: [{ use: 'official', family: 'JUMEAU', given: ['Ange'] }], birthDate: '1990-01-01' });
    await seed(callers.registry, 'PUT', 'Patient/twin2', { resourceType: 'Patient', id: 'twin2', name: [{ use: 'official', family: 'JUMEAU', given: ['Ange'] }], birthDate: '1990-01-01' });
    expect((await get(await token('franceconnect', { family_name: 'JUMEAU', given_name: 'Ange', birthdate: '1990-01-01', scope: 'patient/*.rs' }), 'Patient/twin')).status).toBe(401);
  });
});

describe('IHE IUA', () => {
  const claims = async (over: Json = {}): Promise<Json> => ({
    scope: 'user/*.rs',
    extensions: { ihe_iua: { subject_name: 'Dr Garnier', national_provider_identifier: await identifier('Practitioner', 'dr-garnier'), subject_organization_id: await identifier('Organization', 'chu-demo'), subject_role: [{ code: '10' }, { code: 'SM59' }, { code: 'SA01' }], purpose_of_use: [{ code: 'TREAT' }], ...over } },
  });
  it('names the practitioner, the organisation, the role and the purpose', async () => {
    const normal = await get(await token('iua', await claims()), 'DocumentReference?patient=fc');
    expect([normal.status, normal.body.total]).toEqual([200, 0]);
    const glass = await get(await token('iua', await claims({ purpose_of_use: [{ code: 'BTG' }], reason: 'coma' })), 'DocumentReference?patient=fc');
    expect([glass.status, glass.body.total]).toEqual([200, 1]);
  });
  it.each([['without a reason', { purpose_of_use: [{ code: 'BTG' }] }], ['a mode that the issuer may not assert', { purpose_of_use: [{ code: 'centre_15' }] }], ['without profession', { subject_role: [{ code: 'SA01' }] }], ['an unknown organisation', { subject_organization_id: '999999999' }], ['an unknown practitioner', { national_provider_identifier: '10000000000' }]])('is refused %s', async (_name, over) => {
    expect((await get(await token('iua', await claims(over)), 'DocumentReference?patient=fc')).status).toBe(401);
  });
});

describe('SMART: fhirUser and launch context', () => {
  it('a patient, narrowed to the context', async () => {
    expect((await get(await token('smart', { fhirUser: 'Patient/fc', scope: 'patient/*.rs launch/patient openid', patient: 'fc' }), 'DocumentReference?patient=fc')).body.total).toBe(1);
    expect((await get(await token('smart', { fhirUser: 'Patient/fc', scope: 'patient/*.rs', patient: 'other' }), 'DocumentReference?patient=fc')).body.total).toBe(0);
  });
  it('a professional says profession, organisation and sector', async () => {
    const user = { fhirUser: `${s.base}/Practitioner/dr-garnier`, scope: 'user/*.rs' };
    expect((await get(await token('smart', user), 'Practitioner/dr-garnier')).status).toBe(401);
    expect((await get(await token('smart', { ...user, profession: '10', organization: 'Organization/chu-demo', sector: 'SA01' }), 'Practitioner/dr-garnier')).status).toBe(200);
  });
  it.each([['no fhirUser', {}], ['a kind that the issuer may not assert', { fhirUser: 'RelatedPerson/x' }], ['nothing that is a caller', { fhirUser: 'Organization/chu-demo' }]])('is refused with %s', async (_name, claims) => {
    expect((await get(await token('smart', { scope: 'patient/*.rs', ...claims }), 'Patient/fc')).status).toBe(401);
  });
});

it('a token bound to a certificate serves its holder, whose certificate a trusted proxy passes on (RFC 8705, RFC 9440)', async () => {
  const der = Buffer.from('a certificate');
  const bound = await token('smart', { fhirUser: 'Patient/fc', scope: 'patient/*.rs', cnf: { 'x5t#S256': createHash('sha256').update(der).digest('base64url') } });
  const header = (bytes: Buffer): Record<string, string> => ({ 'X-Forwarded-For': '192.0.2.7', 'Client-Cert': `:${bytes.toString('base64')}:` });
  expect((await get(bound, 'Patient/fc', header(der))).status).toBe(200);
  expect((await get(bound, 'Patient/fc', header(Buffer.from('another')))).status).toBe(401);
  expect((await get(bound, 'Patient/fc')).status).toBe(401);
});

it('keys rotate without a failed request', async () => {
  const claims = { fhirUser: 'Patient/fc', scope: 'patient/*.rs' };
  const statuses: number[] = [];
  let kid = 'k1';
  let going = true;
  const reading = (async () => {
    while (going) statuses.push((await get(await token('smart', claims, kid), 'Patient/fc')).status);
  })();
  await addKey('k2');
  // The issuer publishes ahead of use; the server looks every second here.
  await new Promise((r) => setTimeout(r, 1_500));
  kid = 'k2';
  await new Promise((r) => setTimeout(r, 300));
  jwks = { keys: jwks.keys.filter((k) => k.kid === 'k2') };
  await new Promise((r) => setTimeout(r, 1_300));
  going = false;
  await reading;
  expect(new Set(statuses)).toEqual(new Set([200]));
  expect(statuses.length).toBeGreaterThan(20);
  expect((await get(await token('smart', claims, 'k1'), 'Patient/fc')).status).toBe(401);
});

describe('SMART Backend Services at the development issuer', () => {
  let dev: TestServer;
  const made = new Map<string, webcrypto.CryptoKey>();
  beforeAll(async () => {
    dev = await testServer();
    const clients = [];
    for (const alg of ['RS384', 'ES384']) {
      const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true });
      made.set(alg, privateKey);
      clients.push({ client_id: alg, name: alg, scope: 'system/*.cruds', dmp: { kind: 'system', system: 'chu-demo', organization: 'Organization/chu-demo', sector: 'SA01' }, jwks: { keys: [{ ...(await exportJWK(publicKey)), kid: alg, alg, use: 'sig' }] } });
    }
    writeClients(dev.dataDir, clients as never);
  });
  afterAll(() => dev.stop());
  const endpoint = (): string => `${new URL(dev.base).origin}/auth/token`;
  const assertion = (alg: string, over: Json = {}): Promise<string> => new SignJWT({ iss: alg, sub: alg, aud: endpoint(), jti: randomUUID(), exp: Math.floor(Date.now() / 1000) + 60, ...over }).setProtectedHeader({ alg, kid: alg }).setIssuedAt().sign(made.get(alg) as webcrypto.CryptoKey);
  const ask = async (client_assertion: string, over: Record<string, string> = {}) => {
    const form = new URLSearchParams({ grant_type: 'client_credentials', client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer', client_assertion, scope: 'system/DocumentReference.rs', ...over });
    const a = await fetch(endpoint(), { method: 'POST', body: form });
    return { status: a.status, body: (await a.json()) as Json };
  };
  it.each(['RS384', 'ES384'])('gives a token against an assertion signed with %s', async (alg) => {
    const a = await ask(await assertion(alg));
    expect([a.status, a.body.token_type, a.body.scope]).toEqual([200, 'bearer', 'system/DocumentReference.rs']);
    const use = async (path: string) => (await fetch(`${dev.base}/${path}`, { headers: { Authorization: `Bearer ${a.body.access_token}` } })).status;
    expect([await use('DocumentReference/none'), await use('Organization')]).toEqual([404, 403]);
  });
  it('and refuses the rest', async () => {
    const once = await assertion('ES384');
    expect((await ask(once)).status).toBe(200);
    expect((await ask(once)).body.error).toBe('invalid_client');
    expect((await ask(await assertion('ES384', { aud: 'https://elsewhere.example' }))).status).toBe(401);
    expect((await ask(await assertion('ES384', { sub: 'RS384' }))).status).toBe(401);
    expect((await ask(await assertion('ES384', { exp: 1 }))).status).toBe(401);
    expect((await ask(await assertion('ES384'), { grant_type: 'password' })).body.error).toBe('unsupported_grant_type');
    expect((await ask(await assertion('ES384'), { scope: 'system/Everything.cruds2' })).body.error).toBe('invalid_scope');
    expect((await ask('nonsense')).status).toBe(401);
  });
});
