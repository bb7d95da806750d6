// HL7's own resources: every rejection is a real fault of the file, listed with its reason; hand-written invariants agree with their FHIRPath over all of them.
import { expect, it } from '@jest/globals';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { childElements, constraintsAt, type Place, placeOf, rootPlace } from '../server/fhir/schema.ts';
import type { Json, Resource } from '../server/fhir/types.ts';
import { byFhirPath, evaluate, natives } from '../server/validation/invariants.ts';
import type { Constraint } from '../server/validation/profiles.ts';
import { validatorOf } from '../server/validation/validate.ts';
import rejected from './validation/hl7-rejected.json' with { type: 'json' };
import { hl7Examples } from './support/packages.ts';

const folder = hl7Examples();
const files = folder ? readdirSync(folder).filter((f) => f.endsWith('.json') && f !== 'package.json' && !f.startsWith('.')) : [];

(folder ? it : it.skip)('5,306 resources: what is rejected, and why', () => {
  const validate = validatorOf({ strictProfiles: false, production: false });
  const found: Record<string, string[]> = {};
  let n = 0;
  for (const f of files) {
    const r = JSON.parse(readFileSync(join(folder as string, f), 'utf8')) as Resource;
    if (!r.resourceType) continue;
    n++;
    const reasons = [...new Set(validate(r).filter((i) => i.severity === 'error' || i.severity === 'fatal').map((i) => i.reason))].sort();
    if (reasons.length) found[f] = reasons;
  }
  expect(n).toBe(5_306);
  expect(found).toEqual(Object.fromEntries(Object.entries(rejected.files).map(([f, x]) => [f, (x as { reasons: string[] }).reasons])));
}, 600_000);

const SPOKEN = new Set(Object.keys(natives).filter((k) => !['ref-1', 'ppc-2', 'ppc-3', 'ppc-4', 'ppc-5'].includes(k) && !k.startsWith('dmp-')));

(folder ? it : it.skip)('invariants written by hand agree with their FHIRPath', () => {
  let compared = 0;
  const differ: string[] = [];
  const walk = (o: Json, place: Place, resource: Json, depth: number): void => {
    if (depth > 8) return;
    for (const k of constraintsAt(place) as Constraint[]) {
      if (!SPOKEN.has(k.key) || k.key === 'dom-3') continue;
      const path = byFhirPath(k, o, place.path, resource, resource);
      if (path === 'unknown') continue;
      compared++;
      if (evaluate(k, o, place.path, resource, resource) !== path) differ.push(`${k.key} ${resource.resourceType}/${resource.id} ${place.path}`);
    }
    for (const e of childElements(place)) {
      if (e.choice) continue;
      const t = e.types[0];
      const inner = t && !/^[a-z]/.test(t.code) && t.code !== 'Resource' ? placeOf(place, e, t) : undefined;
      if (!inner) continue;
      for (const v of [o[e.name]].flat()) if (v && typeof v === 'object') walk(v as Json, inner, resource, depth + 1);
    }
  };
  const types = new Set(['Patient', 'Practitioner', 'PractitionerRole', 'Organization', 'RelatedPerson', 'Device', 'DocumentReference', 'List', 'Consent', 'AuditEvent']);
  for (const f of files) {
    if (!types.has(f.split('-')[0])) continue;
    const r = JSON.parse(readFileSync(join(folder as string, f), 'utf8')) as Resource;
    walk(r, rootPlace(r.resourceType) as Place, r, 0);
  }
  expect(differ).toEqual([]);
  expect(compared).toBeGreaterThan(400);
}, 300_000);
