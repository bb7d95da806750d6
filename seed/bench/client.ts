// What every measure needs: a server in a process of its own, callers with tokens, a clocked HTTP call, percentiles.
import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { developmentKey, sign } from '../../server/auth/development.ts';
import type { Caller } from '../../server/policy/caller.ts';

export type Sample = { name: string; clients: number; median: number; p99: number; rate: number };
export type Served = { base: string; dataDir: string; ready: number; memory(): number; token(c: Caller): Promise<string>; stop(): Promise<void> };

export const agent = new Agent({ keepAlive: true, maxSockets: 64, noDelay: true });
export const pick = <T>(list: T[]): T => list[Math.floor(Math.random() * list.length)];
export const folder = (): string => mkdtempSync(join(tmpdir(), 'dmp-bench-'));
export const remove = (dir: string): void => rmSync(dir, { recursive: true, force: true });

export function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const s = createServer().listen(0, '127.0.0.1', () => {
      const { port } = s.address() as { port: number };
      s.close(() => resolve(port));
    });
  });
}

/** The development issuer's token for a caller of the seed. */
async function tokenFor(dataDir: string, base: string, c: Caller, jti = randomUUID()): Promise<string> {
  const dmp = { kind: c.kind, ...(c.kind === 'system' ? { system: c.ref.replace(/^system:/, '') } : {}), organization: c.organization, sector: c.sector, profession: c.profession, specialty: c.specialty, roles: c.roles };
  return sign(await developmentKey(dataDir), base, { dmp, ...(c.kind === 'system' ? {} : { fhirUser: c.ref }), scope: c.scopes.join(' ') }, { ttl: 36_000, now: Date.now(), jti });
}

const main = fileURLToPath(new URL('../../server/main.js', import.meta.url));

/** Starts the built server on a folder, as `npm start` does. */
export async function serve(dataDir: string, env: Record<string, string> = {}, entry = main): Promise<Served> {
  const port = await freePort();
  const base = `http://127.0.0.1:${port}/fhir`;
  const at = Date.now();
  const child = spawn(process.execPath, [entry], { env: { PATH: process.env.PATH, SEED: 'none', LOG_LEVEL: 'silent', PORT: String(port), DATA_DIR: dataDir, ...env }, stdio: ['ignore', 'ignore', 'inherit'] });
  while (!(await fetch(`http://127.0.0.1:${port}/readyz`).then((r) => r.ok, () => false))) {
    if (child.exitCode !== null) throw new Error('the server does not start');
    await new Promise((r) => setTimeout(r, 10));
  }
  return {
    base, dataDir, ready: Date.now() - at,
    memory: () => {
      const status = `/proc/${child.pid}/status`;
      return existsSync(status) ? Math.round(Number(/VmRSS:\s+(\d+)/.exec(readFileSync(status, 'utf8'))?.[1]) / 1024) : Number.NaN;
    },
    token: (c) => tokenFor(dataDir, base, c),
    stop: () => new Promise((resolve) => {
      child.once('exit', () => resolve());
      child.kill('SIGTERM');
    }),
  };
}

/** Milliseconds from the request to the last byte of its answer; throws on 4xx and 5xx. */
export function call(base: string, token: string, method: string, path: string, body?: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const url = new URL(`${base}${path}`);
    const at = performance.now();
    const req = request({ agent, method, host: url.hostname, port: url.port, path: url.pathname + url.search, headers: { Authorization: `Bearer ${token}`, ...(body ? { 'Content-Type': 'application/fhir+json', 'Content-Length': Buffer.byteLength(body) } : {}) } }, (res) => {
      res.resume();
      res.on('end', () => ((res.statusCode ?? 500) >= 400 ? reject(new Error(`${method} ${path}: ${res.statusCode}`)) : resolve(performance.now() - at)));
    });
    req.on('error', reject);
    req.end(body);
  });
}

/** Repeats a call for some seconds from some clients at once, after a warm-up. */
export async function measure(name: string, clients: number, seconds: number, once: () => Promise<number>): Promise<Sample> {
  for (let i = 0; i < 200; i++) await once();
  const times: number[] = [];
  const started = performance.now();
  const until = started + seconds * 1000;
  await Promise.all(Array.from({ length: clients }, async () => {
    while (performance.now() < until) times.push(await once());
  }));
  times.sort((a, b) => a - b);
  const at = (q: number): number => times[Math.min(times.length - 1, Math.floor(times.length * q))];
  return { name, clients, median: at(0.5), p99: at(0.99), rate: Math.round((times.length * 1000) / (performance.now() - started)) };
}

export function table(rows: Sample[]): void {
  process.stdout.write('| what | clients | median ms | p99 ms | per second |\n|---|---|---|---|---|\n');
  for (const r of rows) process.stdout.write(`| ${r.name} | ${r.clients} | ${r.median.toFixed(2)} | ${r.p99.toFixed(2)} | ${r.rate} |\n`);
}
