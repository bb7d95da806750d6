// A real authorization server (oidc-provider, a process of its own) issues the tokens: its keys, client credentials with private_key_jwt, JWT access tokens.
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { importJWK, type JWK, SignJWT } from 'jose';
import { freePort, temporaryFolder, type TestServer, testServer } from '../support/server.ts';

let s: TestServer;
let provider: ChildProcess;
let origin: string;
let key: JWK;

beforeAll(async () => {
  const port = await freePort();
  origin = `http://127.0.0.1:${port}`;
  const file = join(temporaryFolder(), 'issuers.json');
  writeFileSync(file, JSON.stringify([{ issuer: origin, jwks: `${origin}/jwks`, mapping: 'smart', kinds: ['system'], algorithms: ['RS256'] }]));
  s = await testServer({ env: { ISSUERS: file } });
  provider = spawn(process.execPath, ['test/support/authorization-server.mjs', String(port), s.base], { stdio: ['ignore', 'pipe', 'ignore'] });
  key = JSON.parse(await new Promise<string>((resolve) => provider.stdout?.once('data', (d) => resolve(String(d)))));
});
afterAll(async () => {
  provider.kill();
  await s.stop();
});

it('its tokens are taken, within their scope', async () => {
  const discovery = (await (await fetch(`${origin}/.well-known/openid-configuration`)).json()) as { token_endpoint: string };
  const assertion = await new SignJWT({ jti: randomUUID() }).setProtectedHeader({ alg: 'ES256', kid: 'c' }).setIssuer('lab').setSubject('lab').setAudience(origin).setIssuedAt().setExpirationTime('1m').sign(await importJWK(key, 'ES256'));
  const answer = await fetch(discovery.token_endpoint, { method: 'POST', body: new URLSearchParams({ grant_type: 'client_credentials', scope: 'system/Device.rs', resource: s.base, client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer', client_assertion: assertion }) });
  const token = (await answer.json()) as { access_token: string; scope: string };
  expect([answer.status, token.scope ?? JSON.stringify(token)]).toEqual([200, 'system/Device.rs']);
  const use = async (path: string) => (await fetch(`${s.base}/${path}`, { headers: { Authorization: `Bearer ${token.access_token}` } })).status;
  expect([await use('Device'), await use('Organization'), await use('DocumentReference?patient=x')]).toEqual([200, 403, 403]);
});
