// The only reader of the environment. Every mistake is reported at once.
import { existsSync, readFileSync } from 'node:fs';
import type { Limits } from './access/deps.ts';
import type { IssuerConfig } from './auth/issuers.ts';

export type Config = {
  port: number;
  host: string;
  base: string;
  dataDir: string;
  mongoUrl: string | undefined;
  /** Accepts a MongoDB without multi-document transactions (a standalone server). */
  mongoStandalone: boolean;
  seed: 'demo' | 'none';
  logLevel: string;
  tls: { key: string; cert: string; ca?: string } | undefined;
  trustedProxies: string[];
  production: boolean;
  access: 'consent' | 'open';
  profiles: 'dmp' | 'base';
  occupationalMedicine: 'never' | 'express-consent';
  issuers: IssuerConfig[];
  terminologyDir: string | undefined;
  auditAnchor: string | undefined;
  auditRetentionYears: number;
  limits: Limits;
};

export class ConfigError extends Error {
  readonly mistakes: string[];
  constructor(mistakes: string[]) {
    super(`Configuration:\n${mistakes.map((m) => `- ${m}`).join('\n')}`);
    this.mistakes = mistakes;
  }
}

type Env = Record<string, string | undefined>;

class Reader {
  readonly mistakes: string[] = [];
  private readonly env: Env;
  constructor(env: Env) {
    this.env = env;
  }
  text(name: string): string | undefined {
    return this.env[name] === '' ? undefined : this.env[name];
  }
  whole(name: string, fallback: number, min: number, max: number): number {
    const v = this.text(name);
    if (v === undefined) return fallback;
    const n = Number(v);
    if (!/^\d+$/.test(v) || n < min || n > max) this.mistakes.push(`${name} is a whole number from ${min} to ${max}, not \`${v}\`.`);
    return n;
  }
  oneOf<T extends string>(name: string, allowed: readonly T[], fallback: T): T {
    const v = this.text(name);
    if (v === undefined) return fallback;
    if (!(allowed as readonly string[]).includes(v)) this.mistakes.push(`${name} is one of ${allowed.join(', ')}, not \`${v}\`.`);
    return v as T;
  }
  url(name: string, fallback: string, schemes: string[]): string {
    const v = this.text(name) ?? fallback;
    const ok = URL.canParse(v) && schemes.includes(new URL(v).protocol);
    if (!ok) this.mistakes.push(`${name} is a URL (${schemes.join(' ')}), not \`${v.replace(/\/\/[^@/]*@/, '//…@')}\`.`);
    return v.replace(/\/+$/, '');
  }
  file(name: string): string | undefined {
    const v = this.text(name);
    if (v === undefined) return undefined;
    if (!existsSync(v)) {
      this.mistakes.push(`${name} names a file that is not there: \`${v}\`.`);
      return undefined;
    }
    return readFileSync(v, 'utf8');
  }
  json<T>(name: string): T | undefined {
    const text = this.file(name);
    if (text === undefined) return undefined;
    try {
      return JSON.parse(text) as T;
    } catch {
      this.mistakes.push(`${name} names a file that is not JSON.`);
      return undefined;
    }
  }
}

function issuersOf(r: Reader, production: boolean): IssuerConfig[] {
  const issuers = r.json<IssuerConfig[]>('ISSUERS') ?? [];
  for (const [i, x] of issuers.entries()) {
    const at = `ISSUERS[${i}]`;
    if (!x.issuer || !URL.canParse(x.issuer)) r.mistakes.push(`${at}.issuer is a URL.`);
    if (!x.jwks || !URL.canParse(x.jwks)) r.mistakes.push(`${at}.jwks is a URL.`);
    else if (production && new URL(x.jwks).protocol !== 'https:') r.mistakes.push(`${at}.jwks is fetched over https in production: keys fetched otherwise cannot be trusted.`);
    if (!['dmp', 'iua', 'psc', 'franceconnect', 'smart'].includes(x.mapping)) r.mistakes.push(`${at}.mapping is one of dmp, iua, psc, franceconnect, smart.`);
    if (x.refreshSeconds !== undefined && !(x.refreshSeconds >= 1)) r.mistakes.push(`${at}.refreshSeconds is a number of seconds, 1 or more.`);
    if (!Array.isArray(x.kinds) || !x.kinds.length) r.mistakes.push(`${at}.kinds lists the kinds of caller that the issuer may assert.`);
  }
  if (production && !issuers.length && !r.mistakes.some((m) => m.startsWith('ISSUERS'))) r.mistakes.push('ISSUERS is needed in production: the development issuer is refused there.');
  return issuers;
}

const MEGABYTE = 1_048_576;

function limitsOf(r: Reader): Limits {
  return {
    resource: r.whole('LIMIT_RESOURCE', 5 * MEGABYTE, 1_024, 15 * MEGABYTE),
    bundle: r.whole('LIMIT_BUNDLE', 100 * MEGABYTE, 1_024, 500 * MEGABYTE),
    binary: r.whole('LIMIT_BINARY', 1_024 * MEGABYTE, 1_024, 10_240 * MEGABYTE),
    url: r.whole('LIMIT_URL', 8_192, 256, 65_536),
    entries: r.whole('LIMIT_ENTRIES', 1_000, 1, 10_000),
    count: r.whole('LIMIT_COUNT', 200, 1, 1_000),
    query: r.whole('LIMIT_QUERY_MS', 5_000, 100, 60_000),
    rate: r.whole('LIMIT_RATE', 0, 0, 1_000_000),
    chain: r.whole('LIMIT_CHAIN', 1_000, 1, 10_000),
  };
}

/** Reads the configuration; throws ConfigError with every mistake. */
export function readConfig(env: Env): Config {
  const r = new Reader(env);
  const production = r.text('NODE_ENV') === 'production';
  const port = r.whole('PORT', 8080, 0, 65_535);
  const host = r.text('HOST') ?? '127.0.0.1';
  const key = r.file('TLS_KEY');
  const cert = r.file('TLS_CERT');
  const ca = r.file('TLS_CLIENT_CA');
  if ((key === undefined) !== (cert === undefined)) r.mistakes.push('TLS_KEY and TLS_CERT go together.');
  const scheme = key ? 'https' : 'http';
  const access = r.oneOf('ACCESS', ['consent', 'open'] as const, 'consent');
  if (access === 'open' && production) r.mistakes.push('ACCESS=open is refused when NODE_ENV=production.');
  const config: Config = {
    port, host, base: r.url('BASE_URL', `${scheme}://${host.includes(':') ? `[${host}]` : host}:${port}/fhir`, ['http:', 'https:']),
    dataDir: r.text('DATA_DIR') ?? './data',
    mongoUrl: r.text('MONGODB_URL') === undefined ? undefined : r.url('MONGODB_URL', '', ['mongodb:', 'mongodb+srv:']),
    mongoStandalone: r.oneOf('MONGODB_STANDALONE', ['refuse', 'accept'] as const, 'refuse') === 'accept',
    seed: r.oneOf('SEED', ['demo', 'none'] as const, production ? 'none' : 'demo'),
    logLevel: r.oneOf('LOG_LEVEL', ['fatal', 'error', 'warn', 'info', 'debug', 'silent'] as const, 'info'),
    tls: key && cert ? { key, cert, ...(ca ? { ca } : {}) } : undefined,
    trustedProxies: (r.text('TRUSTED_PROXIES') ?? '').split(',').map((p) => p.trim()).filter(Boolean),
    production, access,
    profiles: r.oneOf('PROFILES', ['dmp', 'base'] as const, 'dmp'),
    occupationalMedicine: r.oneOf('OCCUPATIONAL_MEDICINE', ['never', 'express-consent'] as const, 'never'),
    issuers: issuersOf(r, production),
    terminologyDir: r.text('TERMINOLOGY_DIR'),
    auditAnchor: r.text('AUDIT_ANCHOR'),
    auditRetentionYears: r.whole('AUDIT_RETENTION_YEARS', 10, 1, 100),
    limits: limitsOf(r),
  };
  if (r.mistakes.length) throw new ConfigError(r.mistakes);
  return config;
}
