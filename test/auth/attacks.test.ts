// Every attack on a token known to us: refused with 401, nothing told, an event left.
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createHmac, generateKeyPairSync, randomUUID } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import type { webcrypto } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { exportJWK, generateKeyPair, type JWK, SignJWT } from 'jose';
import * as callers from '../../seed/callers.ts';
import { developmentKey } from '../../server/auth/development.ts';
import type { Json } from '../../server/fhir/types.ts';
import { freePort, temporaryFolder, dmpClaims, type TestServer, testServer } from '../support/server.ts';

let s: TestServer;
let key: JWK;
const doctor = callers.professional('dr-martin');
beforeAll(async () => {
  s = await testServer();
  key = await developmentKey(s.dataDir);
});
afterAll(() => s.stop());

const b64 = (x: unknown): string => Buffer.from(typeof x === 'string' ? x : JSON.stringify(x)).toString('base64url');
const issuer = (): string => `${new URL(s.base).origin}/auth`;
const claims = (over: Json = {}): Json => ({ iss: issuer(), aud: s.base, sub: doctor.ref, iat: now(), exp: now() + 300, jti: randomUUID(), fhirUser: doctor.ref, scope: 'user/*.cruds', dmp: dmpClaims(doctor), ...over });
const now = (): number => Math.floor(Date.now() / 1000);

async function signed(payload: Json, header: Json = {}, by?: webcrypto.CryptoKey): Promise<string> {
  const { importJWK } = await import('jose');
  return new SignJWT(payload).setProtectedHeader({ alg: 'ES256', kid: key.kid, typ: 'at+jwt', ...header } as never).sign(by ?? ((await importJWK(key, 'ES256')) as webcrypto.CryptoKey));
}

const get = (token: string, scheme = 'Bearer') => fetch(`${s.base}/Practitioner/dr-martin`, { headers: { Authorization: `${scheme} ${token}` } });

describe('a token is refused', () => {
  const other = generateKeyPair('ES256', { extractable: true });
  const cases: [string, () => Promise<string>][] = [
    ['alg none', async () => `${b64({ alg: 'none' })}.${b64(claims())}.`],
    ['HMAC against the public key', async () => {
      const input = `${b64({ alg: 'HS256', kid: key.kid, typ: 'at+jwt' })}.${b64(claims())}`;
      return `${input}.${createHmac('sha256', JSON.stringify({ kty: key.kty, crv: key.crv, x: key.x, y: key.y })).update(input).digest('base64url')}`;
    }],
    ['another key under the same kid', async () => signed(claims(), {}, (await other).privateKey)],
    ['kid injection', async () => signed(claims(), { kid: "../../etc/passwd' OR 1=1" })],
    ['jku', async () => signed(claims(), { jku: 'http://127.0.0.1:1/keys' })],
    ['x5u', async () => signed(claims(), { x5u: 'http://127.0.0.1:1/cert' })],
    ['a key of its own in the header', async () => signed(claims(), { jwk: await exportJWK((await other).publicKey) }, (await other).privateKey)],
    ['wrong audience', async () => signed(claims({ aud: 'https://elsewhere.example' }))],
    ['no audience', async () => signed(claims({ aud: undefined }))],
    ['unknown issuer', async () => signed(claims({ iss: 'https://evil.example' }))],
    ['no issuer', async () => signed(claims({ iss: undefined }))],
    ['expired', async () => signed(claims({ iat: now() - 900, exp: now() - 300 }))],
    ['no expiry', async () => signed(claims({ exp: undefined }))],
    ['not yet valid', async () => signed(claims({ nbf: now() + 600 }))],
    ['issued in the future', async () => signed(claims({ iat: now() + 600, exp: now() + 900 }))],
    ['oversized', async () => signed(claims({ pad: 'x'.repeat(9_000) }))],
    ['nested', async () => signed(claims(), { cty: 'JWT' })],
    ['another typ', async () => signed(claims(), { typ: 'dpop+jwt' })],
    ['duplicate claims', async () => {
      const t = (await signed(claims())).split('.');
      return `${t[0]}.${b64(JSON.stringify(claims()).replace('{', '{"sub":"Practitioner/other",'))}.${t[2]}`;
    }],
    ['altered payload', async () => {
      const t = (await signed(claims())).split('.');
      return `${t[0]}.${b64(claims({ fhirUser: 'Practitioner/dr-leroy' }))}.${t[2]}`;
    }],
    ['an unknown crit', async () => {
      const input = `${b64({ alg: 'ES256', kid: key.kid, crit: ['x'], x: 1 })}.${b64(claims())}`;
      return `${input}.${b64('x'.repeat(48))}`;
    }],
    ['garbage', async () => 'a.b.c'],
    ['two kinds of caller', async () => signed(claims({ fhirUser: 'Patient/x' }))],
    ['no kind of caller', async () => signed(claims({ dmp: {} }))],
    ['a professional without profession', async () => signed(claims({ dmp: { ...dmpClaims(doctor), profession: undefined } }))],
    ['a professional without organisation', async () => signed(claims({ dmp: { ...dmpClaims(doctor), organization: undefined } }))],
    ['a professional without sector', async () => signed(claims({ dmp: { ...dmpClaims(doctor), sector: undefined } }))],
    ['break-glass without a reason', async () => signed(claims({ dmp: { ...dmpClaims(doctor), mode: 'bris_de_glace' } }))],
    ['an emergency mode for a patient', async () => signed(claims({ fhirUser: 'Patient/x', dmp: { kind: 'patient', mode: 'centre_15' } }))],
    ['bound to a certificate that is not there', async () => signed(claims({ cnf: { 'x5t#S256': 'AAAA' } }))],
    ['bound to a DPoP key, as Bearer', async () => signed(claims({ cnf: { jkt: 'AAAA' } }))],
    ['bound to something unknown', async () => signed(claims({ cnf: { odd: 1 } }))],
  ];
  it('but the plain one is taken', async () => expect((await get(await signed(claims()))).status).toBe(200));
  it.each(cases)('%s', async (_name, make) => {
    const before = await s.running.deps.store.count('AuditEvent', { kind: 'all' });
    const a = await get(await make());
    const text = await a.text();
    expect(a.status).toBe(401);
    expect(a.headers.get('www-authenticate')).toMatch(/^Bearer realm="dmp", error="invalid_token"$/);
    expect(JSON.parse(text).issue[0].details.text).toBe('A valid bearer token is needed.');
    expect(await s.running.deps.store.count('AuditEvent', { kind: 'all' })).toBe(before + 1);
  });

  it('DPoP serves its holder once', async () => {
    const { privateKey, publicKey } = await generateKeyPair('ES256', { extractable: true });
    const jwk = await exportJWK(publicKey);
    const { calculateJwkThumbprint } = await import('jose');
    const { createHash } = await import('node:crypto');
    const token = await signed(claims({ cnf: { jkt: await calculateJwkThumbprint(jwk) } }));
    const proof = (over: Json = {}) => new SignJWT({ htm: 'GET', htu: `${s.base}/Practitioner/dr-martin`, jti: randomUUID(), ath: createHash('sha256').update(token).digest('base64url'), ...over }).setProtectedHeader({ alg: 'ES256', typ: 'dpop+jwt', jwk }).setIssuedAt().sign(privateKey);
    const send = async (dpop: string) => (await fetch(`${s.base}/Practitioner/dr-martin`, { headers: { Authorization: `DPoP ${token}`, DPoP: dpop } })).status;
    const good = await proof();
    expect([await send(good), await send(good), await send(await proof({ htm: 'POST' })), await send(await proof({ ath: 'x' })), await send('x')]).toEqual([200, 401, 401, 401, 401]);
  });
});

describe('a configured issuer', () => {
  let jwks: Json = { keys: [] };
  let fetched = 0;
  let provider: Server;
  let remote: TestServer;
  let url: string;
  const keys = new Map<string, webcrypto.CryptoKey>();
  async function addKey(kid: string): Promise<void> {
    const { privateKey, publicKey } = await generateKeyPair('RS256', { extractable: true });
    keys.set(kid, privateKey);
    jwks = { keys: [...(jwks.keys as Json[]), { ...(await exportJWK(publicKey)), kid, alg: 'RS256', use: 'sig' }] };
  }
  beforeAll(async () => {
    const port = await freePort();
    url = `http://127.0.0.1:${port}`;
    provider = createServer((_req, res) => {
      fetched++;
      res.setHeader('Content-Type', 'application/json');
      res.end(JSON.stringify(jwks));
    }).listen(port, '127.0.0.1');
    await addKey('k1');
    const file = join(temporaryFolder(), 'issuers.json');
    writeFileSync(file, JSON.stringify([{ issuer: url, jwks: `${url}/jwks`, mapping: 'psc', kinds: ['professional'], modes: ['normal', 'centre_15'] }]));
    remote = await testServer({ env: { ISSUERS: file } });
  });
  afterAll(async () => {
    await remote.stop();
    provider.close();
  });
  const token = async (kid: string, over: Json = {}) => {
    const rpps = JSON.parse((await remote.running.deps.store.read('Practitioner', 'dr-martin'))?.text ?? '{}').identifier[0].value;
    const finess = JSON.parse((await remote.running.deps.store.read('Organization', 'cabinet-demo'))?.text ?? '{}').identifier[0].value;
    return new SignJWT({ SubjectNameID: `8${rpps}`, SubjectRole: ['10^1.2.250.1.213.1.1.5.5'], SubjectOrganizationID: `1${finess}`, Secteur_Activite: 'SA07^1.2.250.1.71.4.2.4', scope: 'user/*.cruds', ...over }).setProtectedHeader({ alg: 'RS256', kid, typ: 'JWT' }).setIssuer(url).setAudience(remote.base).setIssuedAt().setExpirationTime('5m').setJti(randomUUID()).sign(keys.get(kid) as webcrypto.CryptoKey);
  };
  const send = async (t: string) => (await fetch(`${remote.base}/Organization/chu-demo`, { headers: { Authorization: `Bearer ${t}` } })).status;

  it('maps Pro Santé Connect to the Practitioner that the registry wrote', async () => {
    expect(await send(await token('k1'))).toBe(200);
    expect(await send(await token('k1', { Acces_Regulation_Medicale: 'VRAI' }))).toBe(200);
    expect(await send(await token('k1', { SubjectNameID: '800000000000' }))).toBe(401);
    expect(await send(await token('k1', { Mode_Acces_Raison: 'urgence' }))).toBe(401);
  });

  it('a thousand unknown kids do not force a fetch each, and known tokens go on', async () => {
    const before = fetched;
    const good = await token('k1');
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    for (let i = 0; i < 1_000; i += 50) {
      const statuses = await Promise.all(Array.from({ length: 50 }, async (_, j) => send(await new SignJWT({}).setProtectedHeader({ alg: 'RS256', kid: `unknown-${i + j}`, typ: 'JWT' }).setIssuer(url).setAudience(remote.base).setIssuedAt().setExpirationTime('5m').sign(privateKey))));
      expect(new Set(statuses)).toEqual(new Set([401]));
    }
    expect(await send(good)).toBe(200);
    expect(fetched - before).toBeLessThanOrEqual(2);
  });

  it('has no development issuer beside it', async () => {
    expect((await fetch(`${new URL(remote.base).origin}/auth/jwks`)).status).toBe(404);
  });
});

describe('scopes', () => {
  it('narrow in the query, and refuse what they do not cover', async () => {
    const all = await s.as(callers.registry);
    const narrow = await s.as({ ...callers.registry, scopes: ['system/Organization.rs?name=CHU', 'system/Practitioner.r'] });
    expect((await all.get('Organization?_summary=count')).body.total).toBeGreaterThan(5);
    expect((await narrow.get('Organization?_summary=count')).body.total).toBe(1);
    expect((await narrow.get('Organization/chu-demo')).status).toBe(200);
    expect((await narrow.get('Organization/labo-demo')).status).toBe(404);
    expect((await narrow.get('Practitioner')).status).toBe(403);
    expect((await narrow.get('Practitioner/dr-martin')).status).toBe(200);
    expect((await narrow.post('Organization', { resourceType: 'Organization', name: 'x' })).status).toBe(403);
    expect((await narrow.get('PractitionerRole?practitioner.family=martin')).status).toBe(403);
    const batch = await narrow.post('', { resourceType: 'Bundle', type: 'batch', entry: [{ request: { method: 'GET', url: 'Practitioner' } }, { request: { method: 'GET', url: 'Organization/chu-demo' } }] });
    expect(batch.body.entry.map((e: Json) => e.response.status)).toEqual(['403', '200']);
    const included = await (await s.as({ ...callers.registry, scopes: ['system/PractitionerRole.rs'] })).get('PractitionerRole?_include=PractitionerRole:organization&_count=1');
    expect(included.body.entry.length).toBe(1);
  });
  it('v1 forms are taken', async () => {
    const v1 = await s.as({ ...callers.registry, scopes: ['system/*.read'] });
    expect((await v1.get('Organization')).status).toBe(200);
    expect((await v1.post('Organization', { resourceType: 'Organization', name: 'x' })).status).toBe(403);
  });
});
