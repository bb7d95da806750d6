// Our own TLS: a token bound to a certificate serves whoever proves that certificate's key in the handshake (RFC 8705), and nobody else.
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { execFileSync } from 'node:child_process';
import { createHash, randomUUID, X509Certificate } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { request } from 'node:https';
import { join } from 'node:path';
import * as callers from '../../seed/callers.ts';
import { developmentKey, sign } from '../../server/auth/development.ts';
import { dmpClaims, temporaryFolder, type TestServer, testServer } from '../support/server.ts';

const openssl = ((): boolean => {
  try {
    execFileSync('openssl', ['version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
})();
if (!openssl) process.stdout.write('skipped: certificates through our own TLS (openssl, which makes them, is not here)\n');

const folder = temporaryFolder();
const file = (name: string): string => join(folder, name);
const run = (...args: string[]): void => void execFileSync('openssl', args, { cwd: folder, stdio: 'ignore' });

/** A certificate of the authority's. */
function issued(name: string, extension: string): void {
  writeFileSync(file(`${name}.ext`), extension);
  run('req', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', `${name}.key`, '-out', `${name}.csr`, '-subj', `/CN=${name}`);
  run('x509', '-req', '-in', `${name}.csr`, '-CA', 'ca.crt', '-CAkey', 'ca.key', '-CAcreateserial', '-days', '2', '-extfile', `${name}.ext`, '-out', `${name}.crt`);
}
const authority = (name: string): void => run('req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2', '-keyout', `${name}.key`, '-out', `${name}.crt`, '-subj', `/CN=${name}`);
const thumbprint = (name: string): string => createHash('sha256').update(new X509Certificate(readFileSync(file(`${name}.crt`))).raw).digest('base64url');

(openssl ? describe : describe.skip)('over our own TLS', () => {
  let s: TestServer;
  beforeAll(async () => {
    authority('ca');
    authority('stranger');
    issued('server', 'subjectAltName=IP:127.0.0.1');
    for (const name of ['hospital', 'other']) issued(name, 'extendedKeyUsage=clientAuth');
    s = await testServer({ env: { TLS_KEY: file('server.key'), TLS_CERT: file('server.crt'), TLS_CLIENT_CA: file('ca.crt') } });
  });
  afterAll(() => s.stop());

  async function token(boundTo?: string): Promise<string> {
    const c = callers.system('chu-demo');
    return sign(await developmentKey(s.dataDir), s.base, { dmp: dmpClaims(c), scope: c.scopes.join(' '), ...(boundTo ? { cnf: { 'x5t#S256': thumbprint(boundTo) } } : {}) }, { ttl: 300, now: Date.now(), jti: randomUUID() });
  }
  const status = (bearer: string, certificate?: string): Promise<number | undefined> =>
    new Promise((resolve, reject) => {
      const own = certificate ? { key: readFileSync(file(`${certificate}.key`)), cert: readFileSync(file(`${certificate}.crt`)) } : {};
      request(`${s.base}/Organization/chu-demo`, { agent: false, ca: readFileSync(file('ca.crt')), ...own, headers: { Authorization: `Bearer ${bearer}` } }, (res) => res.resume().on('end', () => resolve(res.statusCode))).on('error', reject).end();
    });

  it('answers at https addresses', async () => {
    expect(s.base).toMatch(/^https:/);
    expect(await status(await token())).toBe(200);
  });
  it.each<[string, string | undefined, number]>([
    ['its own certificate', 'hospital', 200],
    ['another certificate of the same authority', 'other', 401],
    ['no certificate', undefined, 401],
  ])('a token bound to a certificate, shown with %s', async (_name, certificate, expected) => {
    expect(await status(await token('hospital'), certificate)).toBe(expected);
  });
  it('a certificate of an authority that is not trusted binds nothing', async () => {
    expect(await status(await token('stranger'), 'stranger')).toBe(401);
  });
});
