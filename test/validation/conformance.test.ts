// HL7's validator cases: every verdict met, or ADR 7 says why not. IHE's examples conform to IHE's profiles.
import { describe, expect, it } from '@jest/globals';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Json, Resource } from '../../server/fhir/types.ts';
import { parseJson } from '../../server/fhir/json.ts';
import { terminologyOf } from '../../server/terminology/terms.ts';
import { validatorOf } from '../../server/validation/validate.ts';

const CASES = '../shared/conformance/validator';
const IHE = '../shared/data/ihe';
const errors = (issues: { severity: string; text: string; expression?: string[] }[]) => issues.filter((i) => i.severity === 'error' || i.severity === 'fatal').map((i) => `${i.expression?.[0]}: ${i.text}`);

/** ADR 7: displays are not held against code systems that are not here; extensions that are not known are taken. */
const OTHERWISE: Record<string, string> = {
  'files/bundle-duplicate-ids-not.json': 'wrong displays of LOINC codes',
  'files/PulseOxBundle_25Oct2022.json': 'wrong displays of LOINC codes',
  'files/pat-example-ext.json': 'an extension that is not known here',
};

const here = existsSync(CASES);
if (!here) process.stdout.write(`skipped: ${CASES} is not there\n`);
const cases: { file: string; tier: string; valid: boolean }[] = here ? JSON.parse(readFileSync(join(CASES, 'cases.json'), 'utf8')) : [{ file: 'none', tier: '', valid: true }];

(here ? describe : describe.skip)('HL7\'s validator cases', () => {
  const validate = validatorOf({ strictProfiles: false, production: false });
  it.each(cases)('$file', ({ file, valid }) => {
    let found: string[];
    try {
      found = errors(validate(parseJson(readFileSync(join(CASES, file), 'utf8')) as Resource));
    } catch (e) {
      found = [String((e as Error).message)];
    }
    expect({ valid: found.length === 0, found }).toMatchObject({ valid: OTHERWISE[file] ? true : valid });
  });
});

const ihe = existsSync(IHE);
if (!ihe) process.stdout.write(`skipped: ${IHE} is not there\n`);
const all: Json[] = ihe ? ['balp', 'mhd', 'pcf'].flatMap((d) => readdirSync(join(IHE, d)).filter((f) => /^[A-Z]/.test(f) && f.endsWith('.json')).map((f) => JSON.parse(readFileSync(join(IHE, d, f), 'utf8')))) : [];
const definitions = new Set(['StructureDefinition', 'ValueSet', 'CodeSystem', 'ConceptMap', 'SearchParameter', 'OperationDefinition']);
const examples = all.filter((r) => r.resourceType && !definitions.has(r.resourceType)).map((r) => [`${r.resourceType}/${r.id}`, r] as [string, Resource]);

/** What of IHE's own examples does not conform, and why. */
const FAULTY: Record<string, RegExp> = {};

(ihe ? describe : describe.skip)('IHE\'s examples against IHE\'s profiles', () => {
  const validate = validatorOf({ strictProfiles: false, production: false, profiles: all.filter((r) => r.resourceType === 'StructureDefinition'), terms: terminologyOf(undefined, all) });
  it.each(examples.length ? examples : [['none', { resourceType: 'Basic', code: { text: 'x' } } as Resource]])('%s', (name, resource) => {
    expect(errors(validate(resource)).filter((e) => !FAULTY[name]?.test(e))).toEqual([]);
  });
});
