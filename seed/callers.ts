// The callers that the seed acts as: as verified tokens would name them.
import type { Caller } from '../server/policy/caller.ts';
import { ORGS, PROS, sectorOf } from './directory.ts';

const common = { mode: 'normal' as const, issuer: 'seed' };

export const registry: Caller = { ...common, kind: 'system', ref: 'system:registry', organization: 'Organization/cnam-demo', sector: 'SA24', roles: ['registry'], scopes: ['system/*.cruds'], name: 'Registre', client: 'registry' };

export const system = (org: string): Caller => ({ ...common, kind: 'system', ref: `system:${org}`, organization: `Organization/${org}`, sector: sectorOf(org), roles: [], scopes: ['system/*.cruds'], name: (ORGS.find((o) => o.id === org))?.name, client: org });

export function professional(id: string, extra: Partial<Caller> = {}): Caller {
  const p = PROS.find((x) => x.id === id);
  if (!p) throw new Error(`no such professional: ${id}`);
  return { ...common, kind: 'professional', ref: `Practitioner/${id}`, organization: `Organization/${p.org}`, sector: sectorOf(p.org), profession: p.profession, specialty: p.specialty, roles: [], scopes: ['user/*.cruds'], name: `${p.given} ${p.family}`, client: 'practice-software', ...extra };
}

export const patient = (id: string): Caller => ({ ...common, kind: 'patient', ref: `Patient/${id}`, roles: [], scopes: ['patient/*.cruds'], client: 'patient-app' });
export const representative = (id: string): Caller => ({ ...common, kind: 'representative', ref: `RelatedPerson/${id}`, roles: [], scopes: ['patient/*.cruds'], client: 'patient-app' });
