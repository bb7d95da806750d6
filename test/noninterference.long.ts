// Non-interference over more sequences than a quick run affords, a share of them (NONINTERFERENCE_SHARE of the seed); NONINTERFERENCE_RUNS asks for more or fewer.
import { expect, it } from '@jest/globals';
import { interference } from './gate/interference.ts';

const share = Number(process.env.NONINTERFERENCE_SHARE ?? 0);

it('hidden documents change no byte of any answer (property)', async () => {
  // Fresh worlds now and then: a sequence does not get slower by those before it.
  const runs = Number(process.env.NONINTERFERENCE_RUNS ?? 500);
  for (let done = 0, n = 0; done < runs; done += 500, n++) await expect(interference(Math.min(500, runs - done), undefined, 20261122 + share * 1_000 + n)).resolves.toBeUndefined();
}, 3_000_000);
