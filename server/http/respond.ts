// Result → HTTP: the headers that every answer bears, and the one place where errors become answers.
import type { ServerResponse } from 'node:http';
import { pipeline } from 'node:stream/promises';
import { type FhirError, outcome } from '../fhir/errors.ts';
import type { Response } from '../interaction/context.ts';

const FHIR = 'application/fhir+json; charset=utf-8';

const BASE_HEADERS: Record<string, string> = {
  'Cache-Control': 'no-store',
  Vary: 'Accept, Authorization, Origin, Prefer',
  'X-Content-Type-Options': 'nosniff',
};

export type Sending = { pretty: boolean; head: boolean; open: boolean };

function bodyText(r: { text?: string; resource?: unknown }, pretty: boolean): string | undefined {
  if (pretty && r.text !== undefined) return JSON.stringify(JSON.parse(r.text), null, 2);
  return r.text ?? (r.resource === undefined ? undefined : JSON.stringify(r.resource, null, pretty ? 2 : undefined));
}

export async function send(res: ServerResponse, r: Response, how: Sending): Promise<void> {
  res.statusCode = r.status;
  for (const [k, v] of Object.entries({ ...BASE_HEADERS, ...r.headers })) res.setHeader(k, v);
  if (how.open) res.setHeader('Warning', '199 - "ACCESS=open: no consent is evaluated; for benchmarks and conformance suites only"');
  if (r.stream) {
    if (how.head) {
      r.stream.destroy();
      res.end();
      return;
    }
    await pipeline(r.stream, res);
    return;
  }
  const text = r.status === 304 || r.status === 204 ? undefined : bodyText(r, how.pretty);
  if (text !== undefined && !r.headers['Content-Type']) res.setHeader('Content-Type', FHIR);
  if (text === undefined) {
    if (how.head && r.headers['Content-Length']) res.setHeader('Content-Length', r.headers['Content-Length']);
    res.end();
    return;
  }
  const bytes = Buffer.from(text, 'utf8');
  res.setHeader('Content-Length', bytes.length);
  res.end(how.head ? undefined : bytes);
}

/** An error as an OperationOutcome. */
export async function sendError(res: ServerResponse, e: FhirError, how: Sending): Promise<void> {
  if (res.headersSent) {
    res.destroy();
    return;
  }
  await send(res, { status: e.status, headers: e.headers, resource: outcome(e.issues) }, how);
}
