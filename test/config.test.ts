// Configuration: every mistake at once; production refuses what only development may have.
import { expect, it } from '@jest/globals';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type ConfigError, readConfig } from '../server/config.ts';
import { temporaryFolder } from './support/server.ts';

const mistakes = (env: Record<string, string>): string[] => {
  try {
    readConfig(env);
    return [];
  } catch (e) {
    return (e as ConfigError).mistakes;
  }
};

it('reports every mistake at once', () => {
  const found = mistakes({ PORT: 'many', SEED: 'odd', LOG_LEVEL: 'loud', BASE_URL: 'nowhere', TLS_KEY: '/none', MONGODB_URL: 'http://user:secret@x', LIMIT_COUNT: '0' });
  expect(found.map((m) => m.split(' ')[0])).toEqual(['PORT', 'TLS_KEY', 'BASE_URL', 'MONGODB_URL', 'SEED', 'LOG_LEVEL', 'LIMIT_COUNT']);
  expect(found.join()).not.toContain('secret');
});

it('refuses to start in production without an issuer, with an untrustworthy one, or with an open gate', () => {
  expect(mistakes({ NODE_ENV: 'production' }).join()).toMatch(/ISSUERS is needed/);
  expect(mistakes({ NODE_ENV: 'production', ACCESS: 'open' }).join()).toMatch(/ACCESS=open is refused/);
  const file = join(temporaryFolder(), 'i.json');
  writeFileSync(file, JSON.stringify([{ issuer: 'https://i.example', jwks: 'http://i.example/keys', mapping: 'smart', kinds: ['patient'] }]));
  expect(mistakes({ NODE_ENV: 'production', ISSUERS: file }).join()).toMatch(/cannot be trusted/);
  expect(mistakes({ ISSUERS: '/none' }).join()).toMatch(/not there/);
});

it('has defaults that start', () => expect(readConfig({})).toMatchObject({ port: 8080, host: '127.0.0.1', base: 'http://127.0.0.1:8080/fhir', seed: 'demo', access: 'consent' }));

it('the README names every variable that is read', () => {
  const readme = readFileSync('README.md', 'utf8');
  const read = [...readFileSync('server/config.ts', 'utf8').matchAll(/r\.(?:whole|text|oneOf|url|file|json)(?:<[^>]+>)?\('([A-Z_]+)'/g)].map((m) => m[1]);
  expect([...new Set(read)].filter((v) => !readme.includes(v))).toEqual([]);
});
