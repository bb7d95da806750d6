// Non-interference, a first helping; test/noninterference.long.ts runs more.
import { expect, it } from '@jest/globals';
import { interference } from './interference.ts';

it('hidden documents change no byte of any answer (property)', async () => {
  await expect(interference(60)).resolves.toBeUndefined();
}, 120_000);

it('and it bites: with the gate open in the query, the difference is found', async () => {
  await expect(interference(200, (w) => {
    w.deps.open = true;
  })).rejects.toThrow(/Property failed/);
}, 120_000);
