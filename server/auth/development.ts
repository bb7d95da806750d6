// The development issuer: keys in DATA_DIR, JWKS, SMART Backend Services token endpoint. Never in production.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createLocalJWKSet, decodeJwt, exportJWK, generateKeyPair, importJWK, type JSONWebKeySet, type JWK, jwtVerify, SignJWT } from 'jose';
import type { Json } from '../fhir/types.ts';
import { writeOnce } from '../files.ts';
import { scopeWithin } from '../policy/scopes.ts';
import type { IssuerConfig } from './issuers.ts';

export type Client = { client_id: string; name: string; jwks: JSONWebKeySet; scope: string; dmp: Json };

const KEY_FILE = 'issuer.jwk.json';
const CLIENTS_FILE = 'clients.json';

/** The issuer's name for a base URL. */
export const developmentIssuer = (base: string): string => `${new URL(base).origin}/auth`;

export const developmentConfig = (base: string): IssuerConfig => ({
  issuer: developmentIssuer(base), jwks: `${developmentIssuer(base)}/jwks`, mapping: 'dmp',
  kinds: ['patient', 'representative', 'professional', 'system'], roles: ['registry', 'auditor', 'operator'], modes: ['normal', 'bris_de_glace', 'centre_15'], algorithms: ['ES256'],
});

/** The signing key, made at first use; a server and the token command share it. */
export async function developmentKey(dataDir: string): Promise<JWK> {
  const file = join(dataDir, KEY_FILE);
  if (!existsSync(file)) {
    const { privateKey } = await generateKeyPair('ES256', { extractable: true });
    const jwk = await exportJWK(privateKey);
    writeOnce(file, JSON.stringify({ ...jwk, kid: `dev-${Date.now().toString(36)}`, alg: 'ES256', use: 'sig' }));
  }
  return JSON.parse(readFileSync(file, 'utf8'));
}

export function publicJwks(key: JWK): JSONWebKeySet {
  const { d: _d, ...pub } = key;
  return { keys: [pub] };
}

export const readClients = (dataDir: string): Client[] => {
  const file = join(dataDir, CLIENTS_FILE);
  return existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : [];
};

export const writeClients = (dataDir: string, clients: Client[]): void => {
  writeOnce(join(dataDir, CLIENTS_FILE), `${JSON.stringify(clients, null, 1)}\n`);
};

export type Claims = { dmp: Json; fhirUser?: string; scope: string; name?: string; patient?: string; client_id?: string };

/** A signed access token. `ttl` in seconds; negative: already expired. */
export async function sign(key: JWK, base: string, claims: Claims, options: { ttl: number; now: number; jti: string }): Promise<string> {
  const at = Math.floor(options.now / 1000);
  const issued = options.ttl < 0 ? at + options.ttl - 60 : at;
  return new SignJWT({ ...claims })
    .setProtectedHeader({ alg: 'ES256', kid: key.kid, typ: 'at+jwt' })
    .setIssuer(developmentIssuer(base)).setAudience(base).setSubject(claims.fhirUser ?? String(claims.dmp.system ?? 'system'))
    .setIssuedAt(issued).setExpirationTime(at + options.ttl).setJti(options.jti)
    .sign(await importJWK(key, 'ES256'));
}

export type TokenAnswer = { status: number; body: Json };
const no = (error: string): TokenAnswer => ({ status: error === 'invalid_client' ? 401 : 400, body: { error } });

const ASSERTION = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';

/** SMART Backend Services: client_credentials with private_key_jwt (RS384, ES384). */
export function tokenEndpoint(options: { base: string; dataDir: string; key: JWK; now: () => number; newId: () => string }): (form: URLSearchParams) => Promise<TokenAnswer> {
  const used = new Map<string, number>();
  return async (form) => {
    if (form.get('grant_type') !== 'client_credentials') return no('unsupported_grant_type');
    const assertion = form.get('client_assertion');
    if (form.get('client_assertion_type') !== ASSERTION || !assertion || assertion.length > 8_192) return no('invalid_client');
    let client: Client | undefined;
    let jti: string | undefined;
    try {
      const iss = decodeJwt(assertion).iss;
      client = readClients(options.dataDir).find((c) => c.client_id === iss);
      if (!client) return no('invalid_client');
      const { payload } = await jwtVerify(assertion, createLocalJWKSet(client.jwks), { issuer: client.client_id, subject: client.client_id, audience: `${developmentIssuer(options.base)}/token`, algorithms: ['RS384', 'ES384'], maxTokenAge: 300, requiredClaims: ['exp', 'jti'], clockTolerance: 30, currentDate: new Date(options.now()) });
      jti = String(payload.jti);
    } catch {
      return no('invalid_client');
    }
    const now = options.now();
    for (const [k, t] of used) if (t < now) used.delete(k);
    if (used.has(`${client.client_id} ${jti}`)) return no('invalid_client');
    used.set(`${client.client_id} ${jti}`, now + 600_000);
    const granted = client.scope.split(' ');
    const asked = (form.get('scope') ?? client.scope).split(/\s+/).filter(Boolean);
    const scope = asked.filter((s) => granted.some((g) => scopeWithin(s, g))).join(' ');
    if (!scope) return no('invalid_scope');
    const token = await sign(options.key, options.base, { dmp: client.dmp, fhirUser: client.dmp.device as string | undefined, scope, name: client.name, client_id: client.client_id }, { ttl: 300, now, jti: options.newId() });
    return { status: 200, body: { access_token: token, token_type: 'bearer', expires_in: 300, scope } };
  };
}
