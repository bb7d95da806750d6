// The residual selects, for every document, exactly what decide permits; and a plan that selects is never wider than the rows say.
import { expect, it } from '@jest/globals';
import fc from 'fast-check';
import { decide } from '../../server/policy/decide.ts';
import { residual } from '../../server/policy/residual.ts';
import { extract } from '../../server/search/extract.ts';
import { matches } from '../../server/store/plan.ts';
import { documentOf } from '../../server/access/gate.ts';
import { book, callerArb, documentArb, factsArb, NOW } from './worlds.ts';

it('decide and residual agree over generated consents, labels, types, dates, callers', () => {
  let permits = 0;
  let byConsent = 0;
  fc.assert(
    fc.property(factsArb, callerArb, fc.array(documentArb, { minLength: 1, maxLength: 4 }), (facts, caller, docs) => {
      const plan = residual(caller, facts, book, NOW);
      for (const d of docs) {
        const decision = decide(caller, documentOf(d.row), facts, book, NOW);
        if (decision.permit) permits++;
        if (decision.rule === 'permitted') byConsent++;
        expect({ rule: decision.rule, permit: matches(plan, d.row, extract(d.resource, 'http://b').entries) }).toEqual({ rule: decision.rule, permit: decision.permit });
      }
    }),
    { numRuns: 20_000, seed: 20261122 },
  );
  // The generator reaches what it is for.
  expect(permits).toBeGreaterThan(3_000);
  expect(byConsent).toBeGreaterThan(500);
});
