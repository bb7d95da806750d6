// Bearer tokens, verified: RFC 6750, RFC 8725, RFC 9068, RFC 8705, RFC 9449. Nothing said here helps an attacker.
import { createHash } from 'node:crypto';
import { calculateJwkThumbprint, createLocalJWKSet, createRemoteJWKSet, EmbeddedJWK, errors as jose, type JSONWebKeySet, type JWTVerifyGetKey, jwtVerify } from 'jose';
import { FhirError, unauthenticated, unavailable } from '../fhir/errors.ts';
import { parseJson } from '../fhir/json.ts';
import type { Json } from '../fhir/types.ts';
import type { Caller } from '../policy/caller.ts';
import { callerFrom, ClaimError, type Directory } from './claims.ts';
import { ALGORITHMS, type IssuerConfig } from './issuers.ts';

export type Presented = {
  authorization: string | undefined;
  dpop: string | undefined;
  method: string;
  /** The address that was asked, without query. */
  url: string;
  /** SHA-256 of the client's certificate, base64url, from our TLS or a trusted proxy. */
  certificate: string | undefined;
};

export type Verifier = { verify(p: Presented): Promise<Caller>; stop(): void };

const MAX_TOKEN = 8_192;
const TOLERANCE = 30;
const CACHE = 10_000;
const CHALLENGE = 'Bearer realm="dmp", error="invalid_token"';

const refuse = (why: string): FhirError => {
  const e = unauthenticated(CHALLENGE);
  return new FhirError(e.status, e.issues, { headers: e.headers, detail: why });
};

/** What the header and the payload must be before any key is looked for. */
function precheck(token: string): { issuer: string } {
  if (token.length > MAX_TOKEN) throw refuse('oversized');
  const parts = token.split('.');
  if (parts.length !== 3) throw refuse('not a JWS');
  const plain = (part: string): Json => {
    // Duplicate members are read differently by different parsers: none is trusted.
    try {
      return parseJson(Buffer.from(part, 'base64url').toString('utf8'));
    } catch {
      throw refuse('header or payload is not plain JSON');
    }
  };
  const [header, payload] = [plain(parts[0]), plain(parts[1])];
  if (!ALGORITHMS.includes(String(header.alg))) throw refuse('algorithm');
  if (header.jku !== undefined || header.x5u !== undefined || header.jwk !== undefined || header.x5c !== undefined) throw refuse('key in header');
  if (header.cty !== undefined) throw refuse('nested');
  if (typeof header.kid === 'string' && !/^[\w.:=+/-]{1,200}$/.test(header.kid)) throw refuse('kid');
  if (header.typ !== undefined && !['jwt', 'at+jwt', 'application/at+jwt'].includes(String(header.typ).toLowerCase())) throw refuse('typ');
  if (typeof payload.iss !== 'string') throw refuse('no issuer');
  return { issuer: payload.iss };
}

type Trusted = { config: IssuerConfig; keys: JWTVerifyGetKey };

/** Holds a DPoP proof against the request (RFC 9449); a proof serves once. */
class Proofs {
  private readonly used = new Map<string, number>();
  async check(p: Presented, token: string, thumbprint: string): Promise<void> {
    if (!p.dpop || p.dpop.length > MAX_TOKEN) throw refuse('no proof');
    const { payload, protectedHeader } = await jwtVerify(p.dpop, EmbeddedJWK, { typ: 'dpop+jwt', algorithms: ALGORITHMS, maxTokenAge: 120, clockTolerance: TOLERANCE }).catch(() => {
      throw refuse('proof');
    });
    if (payload.htm !== p.method || String(payload.htu).split(/[?#]/)[0] !== p.url) throw refuse('proof for another request');
    if (payload.ath !== createHash('sha256').update(token).digest('base64url')) throw refuse('proof for another token');
    if ((await calculateJwkThumbprint(protectedHeader.jwk as never)) !== thumbprint) throw refuse('proof by another key');
    if (typeof payload.jti !== 'string' || this.used.has(payload.jti)) throw refuse('proof used');
    const now = Date.now();
    for (const [k, t] of this.used) if (t < now) this.used.delete(k);
    else break;
    this.used.set(payload.jti, now + 300_000);
  }
}

type Cached = { caller: Caller; until: number; cnf: Json | undefined; trusted: Trusted };

/** A verifier of tokens for `audience`. `local`: the development issuer's own keys. */
export function verifier(options: { issuers: IssuerConfig[]; audience: string; directory: Directory; now: () => number; local?: { config: IssuerConfig; jwks: () => JSONWebKeySet } }): Verifier {
  const trusted = new Map<string, Trusted>();
  const timers: NodeJS.Timeout[] = [];
  for (const config of options.issuers) {
    // An unknown kid fetches once in 30 s at most; new keys are learnt ahead of their use by looking now and then.
    const keys = createRemoteJWKSet(new URL(config.jwks), { cooldownDuration: 30_000, cacheMaxAge: 600_000, timeoutDuration: 5_000 });
    trusted.set(config.issuer, { config, keys });
    const timer = setInterval(() => void keys.reload().catch(() => {}), (config.refreshSeconds ?? 60) * 1000);
    timer.unref();
    timers.push(timer);
  }
  const { local } = options;
  if (local) trusted.set(local.config.issuer, { config: local.config, keys: createLocalJWKSet(local.jwks()) });
  const cache = new Map<string, Cached>();
  const proofs = new Proofs();

  async function fresh(token: string): Promise<Cached> {
    const { issuer } = precheck(token);
    const t = trusted.get(issuer);
    if (!t) throw refuse('unknown issuer');
    let claims: Json;
    try {
      const verified = await jwtVerify(token, t.keys, { issuer, audience: t.config.audience ?? options.audience, algorithms: t.config.algorithms ?? ALGORITHMS, clockTolerance: TOLERANCE, requiredClaims: ['exp', 'iat'], currentDate: new Date(options.now()) });
      claims = verified.payload;
    } catch (e) {
      if (e instanceof jose.JWKSTimeout || (e instanceof TypeError && /fetch/.test(String(e)))) throw unavailable('the keys of an issuer cannot be fetched', e);
      throw refuse(e instanceof Error ? e.message : 'verification');
    }
    if (typeof claims.iat === 'number' && claims.iat * 1000 > options.now() + TOLERANCE * 1000) throw refuse('issued in the future');
    try {
      return { caller: await callerFrom(claims, t.config, options.directory), until: Number(claims.exp) * 1000, cnf: claims.cnf as Json | undefined, trusted: t };
    } catch (e) {
      throw e instanceof ClaimError ? refuse(e.message) : e;
    }
  }

  /** RFC 8705, RFC 9449: a bound token serves its holder only. */
  async function bound(c: Cached, p: Presented, token: string, scheme: string): Promise<void> {
    const cnf = c.cnf;
    if (cnf === undefined) {
      if (scheme !== 'bearer') throw refuse('unbound token as DPoP');
      return;
    }
    if (typeof cnf['x5t#S256'] === 'string') {
      if (p.certificate !== cnf['x5t#S256']) throw refuse('certificate');
    } else if (typeof cnf.jkt === 'string') {
      if (scheme !== 'dpop') throw refuse('DPoP-bound token as Bearer');
      await proofs.check(p, token, cnf.jkt);
    } else throw refuse('unknown confirmation');
  }

  return {
    stop: () => timers.forEach(clearInterval),
    async verify(p) {
      const m = /^(bearer|dpop) +([A-Za-z0-9_.=-]+)$/i.exec(p.authorization ?? '');
      if (!m) throw p.authorization === undefined ? unauthenticated('Bearer realm="dmp"') : refuse('no bearer token');
      const token = m[2];
      const key = createHash('sha256').update(token).digest('base64');
      let known = cache.get(key);
      if (known && known.until + TOLERANCE * 1000 <= options.now()) {
        cache.delete(key);
        known = undefined;
      }
      if (!known) {
        known = await fresh(token);
        if (cache.size >= CACHE) cache.delete(cache.keys().next().value as string);
        cache.set(key, known);
      }
      await bound(known, p, token, m[1].toLowerCase());
      return known.caller;
    },
  };
}
