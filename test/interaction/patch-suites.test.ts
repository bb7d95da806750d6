// The public patch suites: JSON Patch (RFC 6902) and HL7's FHIRPath Patch.
import { describe, expect, it } from '@jest/globals';
import { existsSync, readFileSync } from 'node:fs';
import { applyJsonPatch, applyPatch } from '../../server/bundle/patch.ts';
import type { Json } from '../../server/fhir/types.ts';

const ROOT = '../shared/conformance';
const read = (name: string): Json[] => (existsSync(`${ROOT}/${name}`) ? JSON.parse(readFileSync(`${ROOT}/${name}`, 'utf8')) : []);
if (!existsSync(ROOT)) process.stdout.write(`skipped: the patch suites (${ROOT} is not there)\n`);

const json = [...read('json-patch/tests.json'), ...read('json-patch/spec_tests.json')].filter((c) => c.patch && !c.disabled);
describe('JSON Patch', () => {
  it('has cases, or says why not', () => expect(existsSync(ROOT) ? json.length : 100).toBeGreaterThanOrEqual(100));
  for (const [i, c] of json.entries()) {
    it(`${i}: ${c.comment ?? c.error ?? JSON.stringify(c.patch).slice(0, 60)}`, () => {
      if (c.error) expect(() => applyJsonPatch(c.doc, c.patch)).toThrow();
      else if ('expected' in c) expect(applyJsonPatch(c.doc, c.patch)).toEqual(c.expected);
      else expect(() => applyJsonPatch(c.doc, c.patch)).not.toThrow();
    });
  }
});

const loose = (r: Json): Json => JSON.parse(JSON.stringify(r).replace(/>(\\n|\\r|\s)+</g, '><').replace(/(\\n|\\r|\s)+/g, ' ').replace(/ ?(<\/?(td|tr|table|tbody|div)[^>]*>) ?/g, '$1'));

describe('FHIRPath Patch', () => {
  for (const c of read('fhirpath-patch/cases.json')) {
    it(c.name, () => {
      if (c.error) expect(() => applyPatch(c.input, { body: c.patch })).toThrow(/No content found/);
      // The suite was written for XML: white space between the elements of a narrative is not kept there.
      else expect(loose(applyPatch(c.input, { body: c.patch }))).toEqual(loose(c.output));
    });
  }
});
