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
  const headers: Record<string, string | number> = { ...BASE_HEADERS, ...r.headers };
  if (how.open) headers.Warning = '199 - "ACCESS=open: no consent is evaluated; for benchmarks and conformance suites only"';
  if (r.stream) {
    res.writeHead(r.status, headers);
    if (!how.head) return pipeline(r.stream, res);
    r.stream.destroy();
    res.end();
    return;
  }
  const text = r.status === 304 || r.status === 204 ? undefined : bodyText(r, how.pretty && r.headers['Content-Type'] === undefined);
  if (text !== undefined) {
    headers['Content-Type'] ??= FHIR;
    headers['Content-Length'] = Buffer.byteLength(text);
  } else if (!how.head) delete headers['Content-Length'];
  res.writeHead(r.status, headers);
  // A string goes out with the headers in one write.
  res.end(how.head ? undefined : text);
}

/** An error as an OperationOutcome. */
export async function sendError(res: ServerResponse, e: FhirError, how: Sending): Promise<void> {
  if (res.headersSent) {
    res.destroy();
    return;
  }
  await send(res, { status: e.status, headers: e.headers, resource: outcome(e.issues) }, how);
}
