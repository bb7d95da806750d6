// The mutations of test/gate/mutations.ts name lines of the sources: one that was rewritten is noticed here, not after the long run.
import { expect, it } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { mutations } from './mutations.ts';

it.each(mutations.flatMap((m) => m.changes.map(([file, from]): [string, string, string] => [m.way, file, from])))('%s: %s', (_way, file, from) => {
  expect(readFileSync(file, 'utf8').split(from).length).toBeGreaterThan(1);
});
