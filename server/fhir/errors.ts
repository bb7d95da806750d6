// Every answer that is not a success, in one file: stable code, HTTP status, FHIR issue type, public text.
// https://hl7.org/fhir/R4/operationoutcome.html
import type { Json } from './types.ts';

export type Issue = {
  severity: 'fatal' | 'error' | 'warning' | 'information';
  /** https://hl7.org/fhir/R4/valueset-issue-type.html */
  code: string;
  /** This server's stable code. */
  reason: string;
  text: string;
  expression?: string[];
};

const REASONS = 'https://fhir.dmp.example/CodeSystem/dmp-outcome';

/** An OperationOutcome of these issues. */
export function outcome(issues: Issue[]): Json {
  return {
    resourceType: 'OperationOutcome',
    issue: issues.map((i) => ({
      severity: i.severity,
      code: i.code,
      details: { coding: [{ system: REASONS, code: i.reason }], text: i.text },
      diagnostics: i.text,
      ...(i.expression?.length ? { expression: i.expression } : {}),
    })),
  };
}

export class FhirError extends Error {
  readonly status: number;
  readonly issues: Issue[];
  readonly headers: Record<string, string>;
  /** For the log and the trail; never in an answer. */
  readonly detail: string | undefined;

  constructor(status: number, issues: Issue[], options: { headers?: Record<string, string>; detail?: string; cause?: unknown } = {}) {
    super(issues[0]?.text ?? 'error', { cause: options.cause });
    this.status = status;
    this.issues = issues;
    this.headers = options.headers ?? {};
    this.detail = options.detail;
  }

  /** The first issue's stable code. */
  get reason(): string {
    return this.issues[0]?.reason ?? 'error';
  }

  /** The same error, its places named from inside a Bundle entry. */
  at(prefix: string): FhirError {
    const issues = this.issues.map((i) => ({ ...i, expression: i.expression?.length ? i.expression.map((e) => `${prefix}.resource${e.startsWith('.') ? e : `.${e.replace(/^[A-Z][A-Za-z]*\.?/, '')}`}`.replace(/\.$/, '')) : [prefix] }));
    return new FhirError(this.status, issues, { headers: this.headers, detail: this.detail, cause: this.cause });
  }
}

const one = (status: number, code: string, reason: string, text: string, expression?: string[], headers?: Record<string, string>): FhirError =>
  new FhirError(status, [{ severity: 'error', code, reason, text, expression }], { headers });

export const malformed = (text: string, expression?: string[]): FhirError => one(400, 'structure', 'malformed', text, expression);
export const invalid = (text: string, expression?: string[]): FhirError => one(400, 'invalid', 'invalid', text, expression);
export const invalidParameter = (text: string): FhirError => one(400, 'invalid', 'invalid-parameter', text);
export const unsupportedParameter = (text: string): FhirError => one(400, 'not-supported', 'unsupported-parameter', text);
export const onePatient = (type: string): FhirError =>
  one(400, 'required', 'one-patient', `A search on ${type} names one patient (\`patient\`, \`subject\`, \`patient.identifier\`, the compartment) or one resource (\`_id\`, \`identifier=system|value\`).`);
export const tooCostly = (text: string): FhirError => one(400, 'too-costly', 'too-costly', text);
/** S1: unseen, deleted and never given are one answer with the same bytes. */
export const notFound = (type: string, id: string): FhirError => one(404, 'not-found', 'not-found', `Resource \`${type}/${id}\` was not found.`);
export const gone = (type: string, id: string): FhirError => one(410, 'deleted', 'deleted', `Resource \`${type}/${id}\` was deleted.`);
export const typeNotSupported = (type: string, expression?: string[]): FhirError => one(404, 'not-supported', 'type-not-supported', `Resource type \`${type}\` is not served here.`, expression);
export const unknownRoute = (path: string): FhirError => one(404, 'not-found', 'unknown-route', `No interaction at \`${path}\`.`);
export const methodNotAllowed = (allow: string, text = 'This method is not offered here.'): FhirError => one(405, 'not-supported', 'method-not-allowed', text, undefined, { Allow: allow });
export const notAcceptable = (text: string): FhirError => one(406, 'not-supported', 'not-acceptable', text);
export const conflict = (text: string): FhirError => one(409, 'conflict', 'conflict', text);
export const duplicate = (text: string, expression?: string[]): FhirError => one(409, 'duplicate', 'duplicate', text, expression);
export const preconditionFailed = (text: string): FhirError => one(412, 'conflict', 'precondition-failed', text);
export const multipleMatches = (text: string): FhirError => one(412, 'multiple-matches', 'multiple-matches', text);
export const tooLarge = (text: string): FhirError => one(413, 'too-long', 'too-large', text);
export const uriTooLong = (): FhirError => one(414, 'too-long', 'uri-too-long', 'The request URL is longer than this server accepts.');
export const unsupportedMedia = (text: string): FhirError => one(415, 'not-supported', 'unsupported-media-type', text);
export const rangeNotSatisfiable = (size: number): FhirError => one(416, 'value', 'range-not-satisfiable', 'The range lies outside the content.', undefined, { 'Content-Range': `bytes */${size}` });
export const businessRule = (text: string, expression?: string[], reason = 'business-rule'): FhirError => one(422, 'business-rule', reason, text, expression);
export const unprocessable = (issues: Issue[]): FhirError => new FhirError(422, issues);
/** Forbidden: a scope or a role is missing. */
export const forbidden = (text: string, reason = 'forbidden'): FhirError => one(403, 'forbidden', reason, text);
export const unauthenticated = (challenge: string, text = 'A valid bearer token is needed.', reason = 'unauthenticated'): FhirError => one(401, 'login', reason, text, undefined, { 'WWW-Authenticate': challenge });
export const throttled = (seconds: number): FhirError => one(429, 'throttled', 'throttled', 'Too many requests; try again later.', undefined, { 'Retry-After': String(seconds) });
export const unavailable = (detail: string, cause?: unknown): FhirError =>
  new FhirError(503, [{ severity: 'error', code: 'transient', reason: 'unavailable', text: 'The server cannot answer just now; try again later.' }], { headers: { 'Retry-After': '2' }, detail, cause });
export const internal = (cause: unknown): FhirError =>
  new FhirError(500, [{ severity: 'fatal', code: 'exception', reason: 'internal', text: 'An internal error occurred.' }], { detail: cause instanceof Error ? cause.message : String(cause), cause });
