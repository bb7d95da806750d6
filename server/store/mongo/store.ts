// The MongoDB store: resources as documents, one `terms` array, GridFS. Several server processes share one database.
import { randomUUID } from 'node:crypto';
import { type Document, MongoClient } from 'mongodb';
import type { AuditSlice, Commit, Found, Row, Search, Seal, Store, TrailStore } from '../port.ts';
import { Conflict, NO_SCALARS, TooSlow, Unavailable } from '../port.ts';
import { type Committing, collections, commitTo, type Names, repair } from './commit.ts';
import { auditFilterOf, filterOf } from './compile.ts';
import { gridContent } from './content.ts';

const SCHEMA = 1;
const REPAIR_EVERY = 15_000;
const MAX_TIME_EXPIRED = 50;
/** Sorts that no index serves are made here; so many matches at most. */
const SORTED_HERE = 20_000;

const toRow = (d: Document): Row => ({ type: d.type, id: d.id, version: d.version, updated: d.updated, deleted: d.deleted, method: d.method, text: d.text, scalars: { ...NO_SCALARS, ...d.s } });
const auditRow = (d: Document): Row => ({ type: 'AuditEvent', id: d.id, version: 1, updated: d.updated, deleted: false, method: 'POST', text: d.text, scalars: { ...NO_SCALARS, ...d.s } });

async function prepareIndexes(n: Names): Promise<void> {
  await n.resource.createIndex({ type: 1, 's.patient': 1, 's.date': -1, id: -1 });
  await n.resource.createIndex({ type: 1, 's.date': -1, id: -1 });
  await n.resource.createIndex({ terms: 1 });
  await n.resource.createIndex({ 's.chain': 1 });
  await n.resource.createIndex({ 's.bound': 1 });
  await n.version.createIndex({ type: 1, id: 1, version: -1 });
  await n.version.createIndex({ commit: 1 });
  await n.audit.createIndex({ 's.patient': 1, 's.date': -1, id: -1 });
  await n.audit.createIndex({ process: 1, seq: 1 });
  await n.audit.createIndex({ 's.date': -1 });
  await n.notice.createIndex({ at: 1 });
  await n.seal.createIndex({ process: 1, number: -1 });
}

const FIELD: Record<string, string> = { date: 's.date', updated: 'updated', id: 'id' };

function keysetFilter(search: Search): Document {
  const { after } = search;
  if (!after) return {};
  const columns = [...search.sort.map((s) => ({ f: FIELD[s.by], desc: s.desc })), { f: 'id', desc: search.sort[0]?.desc ?? true }];
  return { $or: columns.map((c, i) => ({ $and: [...columns.slice(0, i).map((x, j) => ({ [x.f]: after[j] })), { [c.f]: { [c.desc ? '$lt' : '$gt']: after[i] } }] })) };
}

function sortKey(d: Document, by: string, desc: boolean): string | number {
  if (by === 'id' || by === 'updated') return d[by];
  if (by === 'date') return d.s.date;
  return d.sorts?.[by]?.[desc ? 1 : 0] ?? '';
}

/** As SQLite orders: numbers before texts. */
const compare = (a: string | number, b: string | number): number => (a === b ? 0 : typeof a !== typeof b ? (typeof a === 'number' ? -1 : 1) : a < b ? -1 : 1);

function compareKeys(search: Search, a: (string | number)[], b: (string | number)[]): number {
  for (let i = 0; i < a.length; i++) {
    const c = compare(a[i], b[i]);
    const desc = i < search.sort.length ? search.sort[i].desc : (search.sort[0]?.desc ?? true);
    if (c) return desc ? -c : c;
  }
  return 0;
}

/** Numbers of a chain: those of commits still under way are not passed over by a seal, whichever of them ends first. */
class Sequence {
  private last: number;
  private readonly open = new Set<number>();

  constructor(last: number) {
    this.last = last;
  }

  next(): number {
    this.open.add(++this.last);
    return this.last;
  }

  ended(numbers: number[]): void {
    for (const n of numbers) this.open.delete(n);
  }

  /** Below it, nothing comes any more. */
  get ceiling(): number {
    return Math.min(this.last + 1, ...this.open);
  }
}

function trailOf(n: Names, own: { process: string; sequence: Sequence }): TrailStore {
  const slice = (d: Document): AuditSlice => ({ seq: d.seq, id: d.id, text: d.text });
  const last = async (process: string, fields: Document): Promise<Document | undefined> => (await n.seal.find({ process }).project(fields).sort({ number: -1 }).limit(1).toArray())[0];
  return {
    async unsealed(process, limit) {
      // What the last seal covers is sealed, though a crash kept its marks from being made.
      const seq = { $gt: (await last(process, { upTo: 1 }))?.upTo ?? 0, ...(process === own.process ? { $lt: own.sequence.ceiling } : {}) };
      return (await n.audit.find({ process, sealed: false, seq }).sort({ seq: 1 }).limit(limit).toArray()).map(slice);
    },
    processes: async () => [...new Set([...((await n.seal.distinct('process')) as string[]), ...((await n.audit.distinct('process', { sealed: false })) as string[])])],
    async lastSeal(process) {
      const d = await last(process, { number: 1, text: 1 });
      return d && { process, number: d.number, text: d.text };
    },
    async seal(seal: Seal, upTo) {
      await n.seal.insertOne({ _id: `${seal.process} ${seal.number}`, ...seal, upTo });
      await n.audit.updateMany({ process: seal.process, sealed: false, seq: { $lte: upTo } }, { $set: { sealed: true } });
    },
    async *seals(process) {
      for await (const d of n.seal.find({ process }).sort({ number: 1 })) yield { process, number: d.number, text: d.text };
    },
    events: async (process, from, limit) => (await n.audit.find({ process, seq: { $gt: from } }).sort({ seq: 1 }).limit(limit).toArray()).map(slice),
    drop: async (process, upTo) => (await n.audit.deleteMany({ process, sealed: true, seq: { $lte: upTo } })).deletedCount,
  };
}

/** Connects, prepares indexes, repairs what a crash left. `process` names this process's audit chain. */
export async function mongoStore(url: string, process: string, options: { acceptStandalone: boolean; /** Longest query, ms. */ queryMs?: number }): Promise<Store> {
  const client = new MongoClient(url, { readPreference: 'primary', serverSelectionTimeoutMS: 5_000, socketTimeoutMS: 30_000, maxPoolSize: 32 });
  await client.connect();
  const db = client.db();
  const names = collections(db);
  const admin = client.db('admin');
  const queryMs = options.queryMs ?? 5_000;
  const hello = await admin.command({ hello: 1 }).catch(() => admin.command({ isMaster: 1 }));
  const transactions = Boolean(hello.setName || hello.msg === 'isdbgrid');
  if (!transactions && !options.acceptStandalone) {
    await client.close();
    throw new Error('This MongoDB server has no multi-document transactions (it is no replica set). Set MONGODB_STANDALONE=accept to accept that a crash inside a write of several resources is repaired, not prevented.');
  }
  const meta = db.collection<any>('meta');
  const version = Number((await meta.findOne({ _id: 'schema' }))?.value ?? SCHEMA);
  if (version > SCHEMA) throw new Error(`The store has schema version ${version}; this server knows ${SCHEMA}. Use a newer server.`);
  await meta.updateOne({ _id: 'schema' }, { $set: { value: String(SCHEMA) } }, { upsert: true });
  await prepareIndexes(names);
  await repair(names, Date.now());
  const timer = setInterval(() => repair(names, Date.now()).catch(() => {}), REPAIR_EVERY);
  timer.unref();
  const sequence = new Sequence(((await names.audit.find({ process }).sort({ seq: -1 }).limit(1).toArray())[0]?.seq as number | undefined) ?? 0);

  const guard = async <T>(work: () => Promise<T>): Promise<T> => {
    try {
      return await work();
    } catch (e) {
      throw e instanceof Conflict || e instanceof Unavailable ? e : (e as { code?: number }).code === MAX_TIME_EXPIRED ? new TooSlow('query', { cause: e }) : new Unavailable(String(e), { cause: e });
    }
  };

  async function find(search: Search): Promise<Found[]> {
    const audit = search.type === 'AuditEvent';
    const own = audit ? auditFilterOf(search.plan) : { $and: [{ type: search.type, deleted: false }, filterOf(search.plan)] };
    const collection = audit ? names.audit : names.resource;
    const keysOf = (d: Document): (string | number)[] => [...search.sort.map((s) => sortKey(d, s.by, s.desc)), d.id];
    const found = (d: Document): Found => ({ row: audit ? auditRow(d) : toRow(d), keys: keysOf(d) });
    if (search.sort.every((s) => FIELD[s.by])) {
      const sort: Record<string, 1 | -1> = {};
      for (const s of search.sort) sort[FIELD[s.by]] = s.desc ? -1 : 1;
      sort.id ??= (search.sort[0]?.desc ?? true) ? -1 : 1;
      return (await collection.find({ $and: [own, keysetFilter(search)] }).sort(sort).limit(search.limit).maxTimeMS(queryMs).toArray()).map(found);
    }
    const all = (await collection.find(own).limit(SORTED_HERE).maxTimeMS(queryMs).toArray()).map(found);
    const sorted = all.sort((a, b) => compareKeys(search, a.keys, b.keys));
    const { after } = search;
    return (after ? sorted.filter((f) => compareKeys(search, after, f.keys) < 0) : sorted).slice(0, search.limit);
  }

  /** What a failed commit leaves is settled by the repair that follows: until then its numbers count as under way. */
  async function commit(asked: Commit): Promise<void> {
    const numbers: number[] = [];
    const nextSeq = (): number => {
      numbers.push(sequence.next());
      return numbers[numbers.length - 1];
    };
    const c: Committing = { client, names, process, transactions, find, nextSeq };
    try {
      await commitTo(c, asked, randomUUID());
      sequence.ended(numbers);
    } catch (e) {
      if (e instanceof Conflict) sequence.ended(numbers);
      else setTimeout(() => sequence.ended(numbers), 2 * REPAIR_EVERY).unref();
      throw e;
    }
  }

  return {
    name: transactions ? 'MongoDB' : 'MongoDB (standalone)',
    limits: transactions ? [] : ['no multi-document transactions: a crash inside a write of several resources is repaired by rolling forward'],
    ping: () => guard(async () => void (await db.command({ ping: 1 }))),
    read: (type, id) =>
      guard(async () => {
        if (type === 'AuditEvent') {
          const a = await names.audit.findOne({ _id: id });
          return a ? auditRow(a) : undefined;
        }
        const d = await names.resource.findOne({ _id: `${type}/${id}` });
        return d ? toRow(d) : undefined;
      }),
    readVersion: (type, id, v) =>
      guard(async () => {
        const current = await names.resource.findOne({ _id: `${type}/${id}` });
        if (!current || current.version < v) return undefined;
        if (current.version === v) return toRow(current);
        const d = await names.version.findOne({ _id: `${type}/${id}/${v}` });
        return d ? { ...toRow(d), scalars: toRow(current).scalars } : undefined;
      }),
    history: (type, id, { before, limit }) =>
      guard(async () => {
        const current = await names.resource.findOne({ _id: `${type}/${id}` });
        if (!current) return [];
        const top = Math.min(before ?? current.version + 1, current.version + 1);
        const older = await names.version.find({ type, id, version: { $lt: top } }).sort({ version: -1 }).limit(limit).toArray();
        return older.map((d) => ({ ...toRow(d), scalars: toRow(current).scalars }));
      }),
    search: (search) => guard(() => find(search)),
    count: (type, plan) => guard(() => (type === 'AuditEvent' ? names.audit.countDocuments(auditFilterOf(plan)) : names.resource.countDocuments({ $and: [{ type, deleted: false }, filterOf(plan)] }))),
    ids: (type, plan, deleted) =>
      guard(async () => {
        const cursor = type === 'AuditEvent' ? names.audit.find(auditFilterOf(plan)) : names.resource.find({ $and: [deleted ? { type } : { type, deleted: false }, filterOf(plan)] });
        return (await cursor.project({ id: 1 }).toArray()).map((d) => d.id as string);
      }),
    epoch: (patient) => guard(async () => ((await names.epoch.findOne({ _id: patient }))?.n as number | undefined) ?? 0),
    owner: (key) => guard(async () => (await names.unique.findOne({ _id: `key|${key}` }))?.owner as string | undefined),
    commit,
    notices: (limit) => guard(async () => (await names.notice.find().sort({ at: 1 }).limit(limit).toArray()).map((d) => ({ id: d.id, patient: d.patient, text: d.text }))),
    noticeDone: (id) => guard(async () => void (await names.notice.deleteOne({ _id: id }))),
    meta: (key) => guard(async () => (await meta.findOne({ _id: key }))?.value as string | undefined),
    setMeta: (key, value) => guard(async () => void (await meta.updateOne({ _id: key }, { $set: { value } }, { upsert: true }))),
    trail: trailOf(names, { process, sequence }),
    content: gridContent(db),
    async close() {
      clearInterval(timer);
      await client.close();
    },
  };
}
