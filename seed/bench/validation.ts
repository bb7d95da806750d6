// What checking a DocumentReference costs: structure with invariants, then the DMP profile too; the first of its type; memory added.
import type { Json, Resource } from '../../server/fhir/types.ts';
import { validatorOf } from '../../server/validation/validate.ts';
import { record } from '../generate.ts';

const TIMES = 5_000;

export async function benchValidation(): Promise<void> {
  const document = record(7, 3, Date.now(), { documents: 20 }).steps.flatMap((s) => s.bundle.entry as Json[]).map((e) => e.resource as Resource).find((r) => r.resourceType === 'DocumentReference') as Resource;
  const before = process.memoryUsage().rss;
  process.stdout.write('\nValidation of a DocumentReference\n| what | first, ms | then, ms |\n|---|---|---|\n');
  for (const [name, strictProfiles] of [['structure and invariants', false], ['and the DMP profile', true]] as const) {
    const validate = validatorOf({ strictProfiles, production: false });
    let at = performance.now();
    validate(document);
    const first = performance.now() - at;
    for (let i = 0; i < TIMES; i++) validate(document);
    at = performance.now();
    for (let i = 0; i < TIMES; i++) validate(document);
    process.stdout.write(`| ${name} | ${first.toFixed(1)} | ${((performance.now() - at) / TIMES).toFixed(3)} |\n`);
  }
  process.stdout.write(`memory added: ${Math.round((process.memoryUsage().rss - before) / 1_048_576)} MB\n`);
}
