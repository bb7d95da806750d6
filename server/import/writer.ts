// Writes chunks of an import: each resource through the same interactions, validation, write rules and trail as any client's.
import { createHmac, randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import type { Deps } from '../access/deps.ts';
import { hold, letGo } from '../access/holds.ts';
import { patientOfSubject } from '../access/write/subject.ts';
import { conditionalReferences } from '../bundle/references.ts';
import type { FhirError } from '../fhir/errors.ts';
import { eachReference, relativeReference } from '../fhir/reference.ts';
import { asArray, isGated, type Json } from '../fhir/types.ts';
import type { Services } from '../interaction/context.ts';
import { dispatch } from '../interaction/dispatch.ts';
import { failure } from '../interaction/failure.ts';
import { resolveConditional } from '../interaction/transaction.ts';
import type { Caller } from '../policy/caller.ts';
import { codings } from '../policy/vocabulary.ts';
import { holds } from './order.ts';
import { type Item, resourceOf } from './source.ts';

/** `write` its items; `hold` the records in which they come late; `let go` of what this import holds, `let go of all` that any does. */
export type Chunk = { act: 'write' | 'hold' | 'let go' | 'let go of all'; /** The import's name, and its own: new ids are made with it from those of the source. */ digest: string; secret: string; items: Item[] };
/** `missing`: it names a resource that is not here. */
export type Refusal = { file: string; line: number; type?: string; id?: string; why: string; missing: boolean };
/** `held`: what an earlier run took, or another place of the source. */
export type Outcome = { taken: number; held: number; refused: Refusal[]; /** Records that imports still hold, after one let go. */ closed: number };
/** Where chunks are done: here, or in a process of its own. */
export type Lane = { perform(chunk: Chunk): Promise<Outcome>; end(): Promise<void> };

/** Most entries of one transaction. */
const GROUP = 100;
/** How often a group whose faults have been taken out is tried again before its entries go one by one. */
const TRIES = 6;
/** A store that does not answer is waited for: tries, then pauses from this to this (ms). */
const OUTAGE = { tries: 12, first: 500, longest: 20_000 };

const common = { mode: 'normal' as const, roles: [] as Caller['roles'], issuer: 'import', client: 'import', importing: true as const };
const registry: Caller = { ...common, kind: 'system', ref: 'system:import', organization: undefined, sector: 'SA24', roles: ['registry'], scopes: ['system/*.cruds'], name: 'Import' };

/** A refusal of an item. */
export function refusal(item: Item, why: string, missing = false): Refusal {
  const resource = resourceOf(item);
  return { file: item.file, line: item.line, type: resource?.resourceType, id: resource?.id, why, missing };
}

/** The id of a resource whose type's ids are the server's own: the same for the same place of the same import. */
function newIdOf(secret: string, name: string): string {
  const h = createHmac('sha256', secret).update(name).digest('hex');
  return `${h.slice(0, 8)}-${h.slice(8, 12)}-4${h.slice(13, 16)}-a${h.slice(17, 20)}-${h.slice(20, 32)}`;
}

const nameOf = (item: Item): string => (item.resource?.id ? `${item.resource.resourceType}/${item.resource.id}` : `${item.nth}#${item.line}`);

class Writer {
  private readonly deps: Deps;
  private readonly services: Services;
  private readonly sectors = new Map<string, string | undefined>();

  constructor(deps: Deps, services: Services) {
    this.deps = deps;
    this.services = services;
  }

  async perform(chunk: Chunk): Promise<Outcome> {
    const outcome: Outcome = { taken: 0, held: 0, refused: [], closed: 0 };
    if (chunk.act === 'write') await this.write(chunk, outcome);
    else if (chunk.act === 'hold') await this.outlast(async () => hold(this.deps, (await Promise.all(chunk.items.map((i) => this.recordsOf(i)))).flat(), chunk.digest));
    else outcome.closed = await this.outlast(() => letGo(this.deps, chunk.act === 'let go' ? chunk.digest : undefined));
    return outcome;
  }

  /** The patient whose record is held for an item: by id, identifier or condition, as where it is written; none where it will be refused. */
  private async recordsOf(item: Item): Promise<string[]> {
    const resource = resourceOf(item);
    if (!resource || !holds(resource)) return [];
    const records = this.services.records({ caller: registry, requestId: randomUUID(), now: this.deps.world.now() });
    const holder: Json = { ...(resource.patient ?? resource.subject) };
    try {
      for (const text of conditionalReferences(holder)) holder.reference = await resolveConditional(records, text);
      return [await patientOfSubject(records, 'subject', holder)];
    } catch (e) {
      if (failure(e).status < 500) return [];
      throw e;
    }
  }

  /** By type and caller, each group as a transaction; what is committed at once shares one sync. */
  private async write({ secret, items }: Chunk, outcome: Outcome): Promise<void> {
    const groups = new Map<string, { caller: Caller; items: Item[] }>();
    for (const { text, ...rest } of items) {
      const item = { ...rest, resource: resourceOf({ ...rest, text }) as Json };
      const caller = await this.outlast(() => this.callerFor(secret, item.resource));
      const key = `${item.resource.resourceType} ${caller.ref} ${caller.organization}`;
      const g = groups.get(key) ?? { caller, items: [] };
      g.items.push(item);
      groups.set(key, g);
    }
    const all = [...groups.values()].flatMap((g) => Array.from({ length: Math.ceil(g.items.length / GROUP) }, (_, i) => ({ caller: g.caller, items: g.items.slice(i * GROUP, (i + 1) * GROUP) })));
    // Patients first, each for their own record, then the others.
    const own = (g: { caller: Caller }): boolean => g.caller.kind === 'patient';
    for (const wave of [all.filter(own), all.filter((g) => !own(g))]) await Promise.all(wave.map((g) => this.group(secret, g.caller, g.items, outcome)));
  }

  /** On whose behalf a resource is written: the registry; the patient for their Consents and own documents; the organisation that keeps a document, or deposited what a List names. */
  private async callerFor(secret: string, r: Json): Promise<Caller> {
    const local = (holder: Json | undefined): string | undefined => relativeReference(holder?.reference, this.deps.base);
    const patientOf = (holder: Json | undefined): Caller | undefined => {
      const ref = local(holder);
      return ref?.startsWith('Patient/') ? { ...common, kind: 'patient', ref, scopes: ['patient/*.cruds'] } : undefined;
    };
    if (r.resourceType === 'Consent') return asArray(r.verification).length ? registry : (patientOf(r.patient) ?? registry);
    if (!isGated(r.resourceType)) return registry;
    const authors = r.resourceType === 'List' ? await this.depositorsOf(secret, r) : asArray<Json>(r.author);
    const own = authors.map(patientOf).find((c) => c !== undefined);
    if (own) return own;
    const organization = local(r.custodian) ?? authors.map(local).find((x) => x?.startsWith('Organization/'));
    if (!organization) return registry;
    return { ...common, kind: 'system', ref: 'system:import', organization, sector: await this.sectorOf(organization), scopes: ['system/*.cruds'], name: 'Import' };
  }

  private async depositorsOf(secret: string, list: Json): Promise<Json[]> {
    const ref = relativeReference(asArray<Json>(list.entry)[0]?.item?.reference, this.deps.base);
    if (!ref?.startsWith('DocumentReference/')) return [];
    const read = (id: string) => this.deps.store.read('DocumentReference', id);
    const row = (await read(newIdOf(secret, ref))) ?? (await read(ref.slice('DocumentReference/'.length)));
    return [row?.scalars.depositor, row?.scalars.depositorOrg].map((reference) => ({ reference }));
  }

  private async sectorOf(organization: string): Promise<string | undefined> {
    if (!this.sectors.has(organization)) {
      const row = await this.deps.store.read('Organization', organization.slice('Organization/'.length));
      this.sectors.set(organization, row && !row.deleted ? codings(JSON.parse(row.text).type)[0]?.code : undefined);
    }
    return this.sectors.get(organization);
  }

  private async group(secret: string, caller: Caller, items: Item[], outcome: Outcome): Promise<void> {
    const type = String(items[0].resource?.resourceType);
    let left = items.map((item) => ({ item, id: newIdOf(secret, nameOf(item)) }));
    if (isGated(type)) {
      // Ids that stand already: taken before a crash, or twice in the source.
      const ids = left.map((x) => x.id);
      const seen = new Set(await this.outlast(() => this.deps.store.ids(type, { kind: 'ids', ids }, true)));
      const fresh = left.filter((x) => !seen.has(x.id) && seen.add(x.id));
      outcome.held += left.length - fresh.length;
      left = fresh;
    }
    for (let tries = 1; left.length; tries++) {
      const fault = await this.transaction(secret, caller, left);
      if (!fault) {
        outcome.taken += left.length;
        return;
      }
      if (left.length === 1) return void outcome.refused.push(refusal(left[0].item, whyOf(fault, type), fault.issues.some((i) => i.reason === 'reference-not-found')));
      const named = new Set(fault.issues.map((i) => Number(/^Bundle\.entry\[(\d+)\]/.exec(i.expression?.[0] ?? '')?.[1])));
      const apart = left.filter((_, i) => tries >= TRIES || named.has(Number.NaN) || named.has(i));
      left = left.filter((x) => !apart.includes(x));
      for (const x of apart) await this.group(secret, caller, [x.item], outcome);
    }
  }

  /** The refusal of the whole, or nothing once it stands. */
  private async transaction(secret: string, caller: Caller, entries: { item: Item; id: string }[]): Promise<FhirError | undefined> {
    try {
      await this.outlast(() => this.commit(secret, caller, entries));
      return undefined;
    } catch (e) {
      const f = failure(e);
      if (f.status < 500) return f;
      throw e;
    }
  }

  /** A store that is away is waited for; the work may have been done all the same, and is done again. */
  private async outlast<T>(work: () => Promise<T>): Promise<T> {
    for (let n = 0; ; n++) {
      try {
        return await work();
      } catch (e) {
        if (failure(e).status !== 503 || n >= OUTAGE.tries) throw e;
        await pause(Math.min(OUTAGE.longest, OUTAGE.first * 2 ** n));
      }
    }
  }

  private async commit(secret: string, caller: Caller, entries: { item: Item; id: string }[]): Promise<void> {
    const entry = await Promise.all(entries.map((x) => this.entryOf(secret, x.item.resource as Json)));
    const ask = { caller, requestId: randomUUID(), now: this.deps.world.now() };
    await dispatch(this.services, ask, { method: 'POST', path: '', query: [], headers: {}, ids: entries.map((x) => x.id), body: { resourceType: 'Bundle', type: 'transaction', entry } });
  }

  private async entryOf(secret: string, resource: Json): Promise<Json> {
    if (!isGated(resource.resourceType)) return { resource, request: resource.id ? { method: 'PUT', url: `${resource.resourceType}/${resource.id}` } : { method: 'POST', url: resource.resourceType } };
    const { id: _id, ...rest } = resource;
    await this.rename(secret, rest);
    return { resource: rest, request: { method: 'POST', url: resource.resourceType } };
  }

  /** References to documents and Lists of the same source lead to what these have become. */
  private async rename(secret: string, resource: Json): Promise<void> {
    const holders: { holder: Json; type: string; id: string }[] = [];
    eachReference(resource, (holder) => {
      const ref = relativeReference(holder.reference, this.deps.base);
      const type = ref?.split('/')[0];
      if (ref && (type === 'DocumentReference' || type === 'List')) holders.push({ holder, type, id: newIdOf(secret, ref) });
    });
    for (const { holder, type, id } of holders) if (await this.deps.store.read(type, id)) holder.reference = `${type}/${id}`;
  }
}

const whyOf = (f: FhirError, type: string): string => f.issues.map((i) => `${i.expression?.[0] ? `${i.expression[0].replace(/^Bundle\.entry\[0\](\.resource)?/, type)}: ` : ''}${i.text}`).join(' | ');

/** Writes in this process. */
export function laneHere(deps: Deps, services: Services): Lane {
  const writer = new Writer(deps, services);
  return { perform: (chunk) => writer.perform(chunk), end: async () => undefined };
}
