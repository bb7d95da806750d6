// Validation: the base type and its invariants, the profiles that an instance claims or is asked to meet, what French identifiers are; every issue in one go.
import { join } from 'node:path';
import type { Issue } from '../fhir/errors.ts';
import { jsonFiles, ROOT, structures } from '../fhir/packs.ts';
import { asArray, type Json, type Resource } from '../fhir/types.ts';
import { type Terminology, terminologyOf } from '../terminology/terms.ts';
import { bundleIssues } from './bundle.ts';
import { checkExtensions, checkProfile, type Conforming } from './conform.ts';
import { identifierIssues } from './identifiers.ts';
import { BadProfile, type Profile, profilesOf } from './profiles.ts';
import { recordIssues } from './record.ts';
import { type Checker, checkResource } from './structure.ts';

export type ValidatorOptions = {
  /** The DMP profile of a type is enforced on what is deposited. */
  strictProfiles: boolean;
  production: boolean;
  terms?: Terminology;
  /** Profiles beside this server's own, for tests and oracles. */
  profiles?: Json[];
};

const MAX_ISSUES = 100;

export type Validate = (resource: Resource, options?: { profile?: string; mode?: string }) => Issue[];

/** Profiles that a deposit of a type meets one of, where the DMP profiles are enforced. */
const DEPOSIT: Record<string, string[]> = {
  DocumentReference: ['https://fhir.dmp.example/StructureDefinition/dmp-document-reference'],
};

function entriesOf(resource: Json): Map<string, Json> {
  const out = new Map<string, Json>();
  if (resource.resourceType === 'Bundle') for (const e of asArray<Json>(resource.entry)) if (e?.fullUrl && e.resource) out.set(e.fullUrl, e.resource);
  return out;
}

/** A reference within a Bundle: the fullUrl itself, or what ends in it. */
function resolver(resource: Json): (reference: string) => Json | undefined {
  const entries = entriesOf(resource);
  if (!entries.size) return () => undefined;
  return (ref) => entries.get(ref) ?? [...entries].find(([url]) => !ref.includes(':') && url.endsWith(`/${ref.replace(/\/_history\/.*$/, '')}`))?.[1];
}

/** A validator; what it compiles, it compiles when a type or a profile is first met. */
export function validatorOf(options: ValidatorOptions): Validate {
  const terms = options.terms ?? terminologyOf(undefined);
  const own = new Map([...jsonFiles(join(ROOT, 'profiles', 'structuredefinition')), ...asArray<Json>(options.profiles)].map((p) => [String(p.url), p]));
  const profile = profilesOf(own);

  function against(c: Conforming, url: string, resource: Resource, claimed: boolean): void {
    const at = `${resource.resourceType}.meta.profile`;
    let p: Profile | undefined;
    try {
      p = profile(url);
    } catch (e) {
      if (!(e instanceof BadProfile)) throw e;
      c.issues.push({ severity: claimed ? 'warning' : 'error', code: 'not-supported', reason: 'bad-profile', text: e.message, expression: [at] });
      return;
    }
    if (!p) {
      if (!structures.get(url.split('|')[0])) c.issues.push({ severity: claimed ? 'warning' : 'error', code: claimed ? 'informational' : 'not-found', reason: 'unknown-profile', text: `The profile \`${url.slice(0, 200)}\` is not known here; it was not checked.`, expression: [at] });
      return;
    }
    if (p.type !== resource.resourceType) {
      c.issues.push({ severity: 'error', code: 'invalid', reason: 'profile-type', text: `The profile \`${url.slice(0, 200)}\` is for ${p.type}.`, expression: [at] });
      return;
    }
    checkProfile(c, p, resource, resource.resourceType);
  }

  return (resource, asked = {}) => {
    const checker: Checker = { issues: [], terms, contained: new Map(), max: MAX_ISSUES, resource, root: resource };
    checkResource(checker, resource, String(resource.resourceType));
    const { issues } = checker;
    const structural = issues.some((i) => i.severity === 'fatal' || i.reason === 'unknown-type' || i.code === 'structure');
    const c: Conforming = { issues, max: MAX_ISSUES, terms, profile, root: resource, depth: 0, resolve: resolver(resource) };
    if (!structural) {
      checkExtensions(c, resource, String(resource.resourceType));
      const claimed = asArray<string>(resource.meta?.profile).filter((u) => typeof u === 'string');
      for (const url of claimed) if (url.split('|')[0] !== asked.profile) against(c, url, resource, true);
      if (asked.profile) against(c, asked.profile, resource, false);
      if (options.strictProfiles) for (const url of DEPOSIT[resource.resourceType] ?? []) if (!claimed.includes(url)) against(c, url, resource, false);
    }
    issues.push(...identifierIssues(resource, options.production), ...recordIssues(resource), ...bundleIssues(resource));
    return unique(issues);
  };
}

/** The same fault found by the base and by a profile is said once. */
function unique(issues: Issue[]): Issue[] {
  const seen = new Set<string>();
  return issues.filter((i) => {
    const key = `${i.severity} ${i.reason} ${i.expression?.join()} ${i.text}`;
    return !seen.has(key) && seen.add(key);
  });
}
