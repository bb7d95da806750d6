// Invariants of the house that a look at the text can hold.
import { expect, it } from '@jest/globals';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const files = (folder: string): string[] => readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((f) => f.endsWith('.ts')).map((f) => join(folder, f));

it('only access/ holds the store', () => {
  const reach = [...files('server/interaction'), ...files('server/http'), ...files('server/bundle')].filter((f) => /\b(deps|records\.deps|gate\.deps)\.store\b|\.store\./.test(readFileSync(f, 'utf8')));
  expect(reach).toEqual([]);
});
it('the environment is read in config.ts alone', () => {
  expect(files('server').filter((f) => /process\.env/.test(readFileSync(f, 'utf8')) && !/config\.ts$|main\.ts$|cli\//.test(f))).toEqual([]);
});
it('no file is longer than 400 lines', () => {
  expect([...files('server'), ...files('seed')].filter((f) => readFileSync(f, 'utf8').split('\n').length > 400)).toEqual([]);
});
