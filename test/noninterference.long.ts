// Non-interference over more sequences than a quick run affords; NONINTERFERENCE_RUNS asks for more still.
import { expect, it } from '@jest/globals';
import { interference } from './gate/interference.ts';

it('hidden documents change no byte of any answer (property)', async () => {
  await expect(interference(Number(process.env.NONINTERFERENCE_RUNS ?? 100))).resolves.toBeUndefined();
}, 1_800_000);
