// A server in a process of its own, as `npm start` runs it: to be killed, measured, starved.
import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { developmentKey, sign } from '../../server/auth/development.ts';
import type { Caller } from '../../server/policy/caller.ts';
import { dmpClaims, freePort } from './server.ts';

export type Launched = { base: string; port: number; pid: number; child: ChildProcess; token(c: Caller): Promise<string>; send(c: Caller, method: string, path: string, body?: unknown): Promise<Response>; stop(): Promise<number>; kill(): void };

/** Starts the built server on a folder; resolves once it is ready. */
export async function launch(dataDir: string, env: Record<string, string> = {}): Promise<Launched> {
  if (!existsSync('dist/server/main.js')) throw new Error('run `npm run build` first');
  const port = Number(env.PORT ?? (await freePort()));
  const base = env.BASE_URL ?? `http://127.0.0.1:${port}/fhir`;
  const at = `http://127.0.0.1:${port}/fhir`;
  const child = spawn(process.execPath, ['dist/server/main.js'], { env: { PATH: process.env.PATH, DATA_DIR: dataDir, SEED: 'demo', LOG_LEVEL: 'silent', ...env, PORT: String(port) }, stdio: 'ignore' });
  for (let i = 0; i < 300; i++) {
    if (await fetch(`http://127.0.0.1:${port}/readyz`).then((r) => r.ok, () => false)) break;
    if (i === 299 || child.exitCode !== null) throw new Error('the server does not start');
    await new Promise((r) => setTimeout(r, 100));
  }
  const token = async (c: Caller): Promise<string> => sign(await developmentKey(dataDir), base, { dmp: dmpClaims(c), ...(c.kind === 'system' ? {} : { fhirUser: c.ref }), scope: c.scopes.join(' ') }, { ttl: 3_600, now: Date.now(), jti: randomUUID() });
  return {
    base: at, port, pid: child.pid as number, child, token,
    send: async (c, method, path, body) => fetch(`${at}/${path}`, { method, body: body === undefined ? undefined : typeof body === 'string' ? body : JSON.stringify(body), headers: { Authorization: `Bearer ${await token(c)}`, 'Content-Type': 'application/fhir+json' } }),
    stop: () => new Promise((resolve) => {
      child.once('exit', (code) => resolve(code ?? -1));
      child.kill('SIGTERM');
    }),
    kill: () => void child.kill('SIGKILL'),
  };
}
