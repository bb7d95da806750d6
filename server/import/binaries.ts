// Binaries of an import: kept in a file until their document comes, then handed in with it.
import { closeSync, mkdirSync, openSync, readSync, rmSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { asArray, type Json } from '../fhir/types.ts';

/** The id of the Binary that an element of `content` names, at whatever server. */
export function binaryNamed(content: Json): string | undefined {
  const url = content?.attachment?.data === undefined ? content?.attachment?.url : undefined;
  return typeof url === 'string' ? /(?:^|\/)Binary\/([A-Za-z0-9\-.]{1,64})(?:\/_history\/[A-Za-z0-9\-.]{1,64})?$/.exec(url)?.[1] : undefined;
}

export class BinaryPool {
  private readonly file: string;
  private readonly places = new Map<string, { at: number; length: number }>();
  private handle: number | undefined;
  private size = 0;

  constructor(file: string) {
    this.file = file;
  }

  add(id: string, binary: Json): void {
    if (this.handle === undefined) {
      mkdirSync(dirname(this.file), { recursive: true });
      this.handle = openSync(this.file, 'w+', 0o600);
    }
    const bytes = Buffer.from(JSON.stringify({ contentType: binary.contentType, data: binary.data }));
    writeSync(this.handle, bytes);
    this.places.set(id, { at: this.size, length: bytes.length });
    this.size += bytes.length;
  }

  private read(id: string): Json | undefined {
    const place = this.places.get(id);
    if (!place || this.handle === undefined) return undefined;
    const bytes = Buffer.alloc(place.length);
    readSync(this.handle, bytes, 0, place.length, place.at);
    return JSON.parse(bytes.toString('utf8'));
  }

  get empty(): boolean {
    return this.places.size === 0;
  }

  /** The resource, with the bytes of the Binaries that it names where it is a document. */
  fill(resource: Json | undefined): Json | undefined {
    if (resource?.resourceType !== 'DocumentReference') return resource;
    for (const c of asArray<Json>(resource.content)) {
      const id = binaryNamed(c);
      const binary = id === undefined ? undefined : this.read(id);
      if (!binary) continue;
      const { url: _url, ...rest } = c.attachment;
      c.attachment = { ...rest, contentType: rest.contentType ?? binary.contentType, data: binary.data };
    }
    return resource;
  }

  end(): void {
    if (this.handle === undefined) return;
    closeSync(this.handle);
    rmSync(this.file, { force: true });
  }
}
