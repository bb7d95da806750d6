// Moving a region in: each resource through the same interactions, validation, write rules and trail as any client's, in chunks, resumably.
// A chunk's ids come from the import's secret and the chunk's number: one that was committed before a crash is known by its first id.
import { createCipheriv, createHmac, randomBytes } from 'node:crypto';
import { appendFileSync, existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Deps } from '../access/deps.ts';
import { Records } from '../access/records.ts';
import { relativeReference } from '../fhir/reference.ts';
import { asArray, isGated, isStored, type Json } from '../fhir/types.ts';
import type { Services } from '../interaction/context.ts';
import { dispatch } from '../interaction/dispatch.ts';
import { failure } from '../interaction/failure.ts';
import type { Caller } from '../policy/caller.ts';
import { codings } from '../policy/vocabulary.ts';
import { digestOf, type Item, itemsOf } from './source.ts';

export type ImportOptions = { services: Services; deps: Deps; dataDir: string; files: string[]; chunk?: number; /** Chunks under way at once. */ atOnce?: number; progress?: (done: number) => void };
export type Report = { taken: number; refused: number; skipped: number; report: string };

type Journal = { secret: string; done: number };

/** Resources that are done, or not, together when an import is resumed. */
const CHUNK = 400;
/** Chunks under way at once. */
const AT_ONCE = 2;
/** Most entries of one transaction. */
const GROUP = 100;

/** Directory first, then Patients, Consents, documents, Lists: what refers after what is referred to. */
const RANK: Record<string, number> = { Organization: 0, Practitioner: 1, PractitionerRole: 2, Device: 2, Patient: 3, RelatedPerson: 4, Consent: 5, DocumentReference: 6, List: 7 };

const common = { mode: 'normal' as const, roles: [] as Caller['roles'], issuer: 'import', client: 'import' };
const registry: Caller = { ...common, kind: 'system', ref: 'system:import', organization: undefined, sector: 'SA24', roles: ['registry'], scopes: ['system/*.cruds'], name: 'Import' };

/** On whose behalf a resource is written: the registry; the patient for their Consents and own documents; the organisation that keeps a document. */
async function callerFor(deps: Deps, r: Json, sectors: Map<string, string | undefined>): Promise<Caller> {
  const patientOf = (holder: Json | undefined): Caller | undefined => {
    const ref = relativeReference(holder?.reference, deps.base);
    return ref?.startsWith('Patient/') ? { ...common, kind: 'patient', ref, scopes: ['patient/*.cruds'] } : undefined;
  };
  if (r.resourceType === 'Consent') return asArray(r.verification).length ? registry : (patientOf(r.patient) ?? registry);
  if (!isGated(r.resourceType)) return registry;
  const own = asArray<Json>(r.author).map(patientOf).find((c) => c !== undefined);
  if (own) return own;
  const organization = relativeReference(r.custodian?.reference, deps.base) ?? asArray<Json>(r.author).map((a) => relativeReference(a.reference, deps.base)).find((x) => x?.startsWith('Organization/'));
  if (!organization) return registry;
  if (!sectors.has(organization)) {
    const row = await deps.store.read('Organization', organization.slice('Organization/'.length));
    sectors.set(organization, row && !row.deleted ? codings(JSON.parse(row.text).type)[0]?.code : undefined);
  }
  return { ...common, kind: 'system', ref: `system:import`, organization, sector: sectors.get(organization), scopes: ['system/*.cruds'], name: 'Import' };
}

const entryOf = (r: Json): Json => (isGated(r.resourceType) ? { resource: without(r), request: { method: 'POST', url: r.resourceType } } : { resource: r, request: r.id ? { method: 'PUT', url: `${r.resourceType}/${r.id}` } : { method: 'POST', url: r.resourceType } });

/** Ids of gated types are the server's own. */
function without(r: Json): Json {
  const { id: _id, ...rest } = r;
  return rest;
}

class Import {
  private readonly o: ImportOptions;
  private readonly file: string;
  private readonly report: string;
  private readonly sectors = new Map<string, string | undefined>();
  private journal: Journal;
  private readonly finished = new Set<number>();
  readonly counts = { taken: 0, refused: 0, skipped: 0 };

  constructor(o: ImportOptions, digest: string) {
    this.o = o;
    const folder = join(o.dataDir, 'imports');
    mkdirSync(folder, { recursive: true });
    this.file = join(folder, `${digest}.json`);
    this.report = join(folder, `${digest}.refused.ndjson`);
    this.journal = existsSync(this.file) ? JSON.parse(readFileSync(this.file, 'utf8')) : { secret: randomBytes(32).toString('hex'), done: 0 };
    if (!existsSync(this.file)) this.keep();
  }

  get reportFile(): string {
    return this.report;
  }

  private keep(): void {
    writeFileSync(`${this.file}.new`, JSON.stringify(this.journal), { mode: 0o600 });
    renameSync(`${this.file}.new`, this.file);
  }

  done(n: number): boolean {
    return n < this.journal.done;
  }

  private finish(n: number): void {
    this.finished.add(n);
    while (this.finished.delete(this.journal.done)) this.journal.done++;
    this.keep();
  }

  /** The ids of a transaction, one after the other, from the secret and the transaction's name: the same again when it is tried again. */
  private ids(name: string): () => string {
    const seed = createHmac('sha256', this.journal.secret).update(name).digest();
    const stream = createCipheriv('aes-128-ctr', seed.subarray(0, 16), seed.subarray(16));
    const zeros = Buffer.alloc(16);
    return () => {
      const h = stream.update(zeros).toString('hex');
      return `${h.slice(0, 8)}-${h.slice(8, 12)}-4${h.slice(13, 16)}-a${h.slice(17, 20)}-${h.slice(20, 32)}`;
    };
  }

  refuse(item: Item, why: string): void {
    this.counts.refused++;
    appendFileSync(this.report, `${JSON.stringify({ file: item.file, line: item.line, type: item.resource?.resourceType, id: item.resource?.id, why })}\n`, { mode: 0o600 });
  }

  /** One chunk: by caller, each as a transaction; where one is refused, its entries one by one. */
  async chunk(n: number, items: Item[]): Promise<void> {
    const groups = new Map<string, { caller: Caller; items: Item[] }>();
    for (const item of items) {
      if (item.fault || !item.resource || !isStored(item.resource.resourceType) || item.resource.resourceType === 'AuditEvent' || item.resource.resourceType === 'Binary') {
        this.refuse(item, item.fault ?? `type ${item.resource?.resourceType} is not imported`);
        continue;
      }
      const caller = await callerFor(this.o.deps, item.resource, this.sectors);
      const key = `${RANK[item.resource.resourceType] ?? 9} ${caller.ref} ${caller.organization}`;
      const g = groups.get(key) ?? { caller, items: [] };
      g.items.push(item);
      groups.set(key, g);
    }
    // Patients first, each for their own record, then the others; what is committed at once shares one sync.
    const all = [...groups].flatMap(([key, g]) => Array.from({ length: Math.ceil(g.items.length / GROUP) }, (_, i) => ({ ...g, name: `${n} ${key} ${i}`, items: g.items.slice(i * GROUP, (i + 1) * GROUP) })));
    const own = (g: { caller: Caller }): boolean => g.caller.kind === 'patient';
    for (const wave of [all.filter(own), all.filter((g) => !own(g))]) await Promise.all(wave.map((g) => this.group(g.name, g.caller, g.items)));
    this.finish(n);
  }

  private async group(name: string, caller: Caller, items: Item[]): Promise<void> {
    try {
      await this.write(name, caller, items);
      this.counts.taken += items.length;
    } catch (e) {
      const f = failure(e);
      if (f.status >= 500) throw e;
      if (items.length === 1) return this.refuse(items[0], f.issues.map((i) => `${i.expression?.[0] ? `${i.expression[0]}: ` : ''}${i.text}`).join(' | '));
      for (const [i, item] of items.entries()) await this.group(`${name} ${i}`, caller, [item]);
    }
  }

  private async write(name: string, caller: Caller, items: Item[]): Promise<void> {
    const { deps, services } = this.o;
    // Directory resources keep their ids: to write them again changes nothing that matters.
    const type = String(items[0].resource?.resourceType);
    if (isGated(type) && (await deps.store.read(type, this.ids(name)()))) return;
    const own: Deps = { ...deps, world: { now: deps.world.now, newId: this.ids(name) } };
    const local: Services = { ...services, settings: own, records: (ask) => new Records(own, ask) };
    await dispatch(local, { caller, requestId: this.ids(`${name} request`)(), now: deps.world.now() }, { method: 'POST', path: '', query: [], headers: {}, body: { resourceType: 'Bundle', type: 'transaction', entry: items.map((i) => entryOf(i.resource as Json)) } });
  }
}

/** Imports files; what an earlier, interrupted run of the same files did is not done again. */
export async function runImport(o: ImportOptions): Promise<Report> {
  const run = new Import(o, await digestOf(o.files));
  const size = o.chunk ?? CHUNK;
  const under: Set<Promise<void>> = new Set();
  let n = 0;
  let items: Item[] = [];
  let rank = -1;
  const flush = async (): Promise<void> => {
    if (!items.length) return;
    const chunk = items;
    const number = n++;
    items = [];
    if (run.done(number)) {
      run.counts.skipped += chunk.length;
      o.progress?.(chunk.length);
      return;
    }
    if (under.size >= (o.atOnce ?? AT_ONCE)) await Promise.race(under);
    const work = run.chunk(number, chunk).then(() => {
      under.delete(work);
      o.progress?.(chunk.length);
    });
    under.add(work);
  };
  for await (const item of itemsOf(o.files)) {
    // What refers waits for what is referred to: chunks of another kind begin when those before have ended.
    const r = RANK[item.resource?.resourceType ?? ''] ?? 9;
    if (r !== rank && items.length) await flush();
    if (r !== rank) await Promise.all(under);
    rank = r;
    items.push(item);
    if (items.length >= size) await flush();
  }
  await flush();
  await Promise.all(under);
  return { ...run.counts, report: run.reportFile };
}
