// Weak ETags of versions and the preconditions on them. https://hl7.org/fhir/R4/http.html#versioning
import { invalidParameter } from './errors.ts';

export const etag = (version: string): string => `W/"${version}"`;

/** Version ids in an If-Match or If-None-Match header; `*` stands for itself. A text that is no ETag is a 400. */
export function parseEtags(header: string, name: string): string[] {
  if (header.trim() === '*') return ['*'];
  return header.split(',').map((part) => {
    const m = /^(?:W\/)?"([^"]*)"$/.exec(part.trim());
    if (!m) throw invalidParameter(`The header ${name} holds \`${part.trim().slice(0, 64)}\`, which is no ETag.`);
    return m[1];
  });
}
