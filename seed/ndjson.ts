// Records of a seed as NDJSON, in the order in which an import takes them: directory, patients, consents, documents.
import { createWriteStream } from 'node:fs';
import { once } from 'node:events';
import type { Json } from '../server/fhir/types.ts';
import { directoryResources } from './directory.ts';
import { record } from './generate.ts';
import { random } from './random.ts';

const ORDER = ['Organization', 'Practitioner', 'PractitionerRole', 'Patient', 'RelatedPerson', 'Consent', 'DocumentReference'];

/** Writes records of so many patients; answers how many documents they hold. */
export async function writeNdjson(file: string, o: { patients: number; seed: number; documents?: number; now: number }): Promise<number> {
  const out = createWriteStream(file);
  const line = async (r: Json): Promise<void> => {
    if (!out.write(`${JSON.stringify(r)}\n`)) await once(out, 'drain');
  };
  for (const r of directoryResources(random(o.seed)).sort((a, b) => ORDER.indexOf(a.resourceType) - ORDER.indexOf(b.resourceType))) await line(r);
  let documents = 0;
  for (const type of ORDER.slice(3)) {
    for (let n = 0; n < o.patients; n++) {
      for (const s of record(o.seed, n, o.now, { documents: o.documents }).steps) {
        for (const { resource } of s.bundle.entry as { resource: Json }[]) {
          if (resource.resourceType !== type) continue;
          if (type === 'DocumentReference') documents++;
          await line(resource);
        }
      }
    }
  }
  out.end();
  await once(out, 'finish');
  return documents;
}
