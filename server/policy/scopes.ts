// SMART v2 scopes, v1 forms accepted. https://hl7.org/fhir/smart-app-launch/scopes-and-launch-context.html
import type { Caller } from './caller.ts';

export type ScopeAction = 'c' | 'r' | 'u' | 'd' | 's';
export type Grant = { level: 'patient' | 'user' | 'system'; type: string; actions: string; /** Narrowing, as search parameters. */ params: [string, string][] };

const FORM = /^(patient|user|system)\/(\*|[A-Z][A-Za-z]+)\.(\*|read|write|c?r?u?d?s?)(?:\?(.+))?$/;
const V1: Record<string, string> = { read: 'rs', write: 'cud', '*': 'cruds' };

/** One scope; undefined where it says nothing about resources or is malformed. */
function parseScope(scope: string): Grant | undefined {
  const m = FORM.exec(scope);
  if (!m || m[3] === '') return undefined;
  return { level: m[1] as Grant['level'], type: m[2], actions: V1[m[3]] ?? m[3], params: m[4] ? [...new URLSearchParams(m[4])] : [] };
}

const LEVELS: Record<Caller['kind'], Grant['level'][]> = { patient: ['patient', 'user'], representative: ['patient', 'user'], professional: ['user', 'patient'], system: ['system'] };

/** The grants that cover an action on a type; empty: the scope is missing. */
export function grantsFor(caller: Caller, type: string, action: ScopeAction): Grant[] {
  return caller.scopes.map(parseScope).filter((g): g is Grant => g !== undefined && LEVELS[caller.kind].includes(g.level) && (g.type === '*' || g.type === type) && g.actions.includes(action));
}

/** Whether a scope asked for lies within one that is granted; what says nothing about resources must be granted in its own words. */
export function scopeWithin(asked: string, granted: string): boolean {
  if (asked === granted) return true;
  const a = parseScope(asked);
  const g = parseScope(granted);
  return a !== undefined && g !== undefined && a.level === g.level && (g.type === '*' || g.type === a.type) && [...a.actions].every((x) => g.actions.includes(x)) && g.params.every(([n, v]) => a.params.some(([m, w]) => m === n && w === v));
}
