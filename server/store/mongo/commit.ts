// Commits on MongoDB. On a replica set: one transaction. On a standalone server: claims by inserting unique ids,
// then one insert that is the commit point, then rolling forward, which a crash leaves to be repaired.
import { type ClientSession, type Collection, type Db, type Document, type MongoClient, MongoServerError } from 'mongodb';
import type { AuditRow, Commit, Erase, Put, Reindex, Row, Search, Stamp } from '../port.ts';
import { Conflict, Unavailable } from '../port.ts';

export type Names = { resource: Collection<any>; version: Collection<any>; unique: Collection<any>; epoch: Collection<any>; audit: Collection<any>; notice: Collection<any>; seal: Collection<any>; journal: Collection<any> };

export const collections = (db: Db): Names => ({
  resource: db.collection('resource'), version: db.collection('version'), unique: db.collection('unique'), epoch: db.collection('epoch'), audit: db.collection('audit'), notice: db.collection('notice'), seal: db.collection('seal'), journal: db.collection('journal'),
});

export type Committing = { client: MongoClient; names: Names; process: string; transactions: boolean; find: (s: Search) => Promise<unknown[]>; nextSeq: () => number; failPoint?: (step: string) => void };

const isDuplicate = (e: unknown): boolean => e instanceof MongoServerError && e.code === 11000;

/** A resource as a database administrator can query it, and its text as it is sent. */
function documentOf(put: Put): Document {
  const { row, entries } = put;
  return { _id: `${row.type}/${row.id}`, type: row.type, id: row.id, version: row.version, updated: row.updated, deleted: row.deleted, method: row.method, text: row.text, s: row.scalars, terms: row.deleted ? [] : entries.terms, ranges: row.deleted ? [] : entries.ranges, sorts: row.deleted ? {} : entries.sorts };
}

const versionOf = (row: Row): Document => ({ _id: `${row.type}/${row.id}/${row.version}`, type: row.type, id: row.id, version: row.version, updated: row.updated, deleted: row.deleted, method: row.method, text: row.text });

const auditOf = (a: AuditRow, process: string, seq: number): Document => ({ _id: a.id, id: a.id, process, seq, s: { patient: a.patient, date: a.date }, updated: a.date, terms: a.terms, text: a.text, sealed: false });

type Journal = { _id: string; puts: Document[]; stamps: Stamp[]; indexes?: Reindex[]; erases?: Erase[]; release: { key: string; owner: string }[]; audit: Document[]; notices: Document[]; raise: string[] };

const keyOf = (p: { type: string; id: string }): string => `${p.type}/${p.id}`;

/** Inserts a claim; a duplicate says which expectation failed. */
async function claim(collection: Collection<any>, doc: Document, conflict: Conflict, session?: ClientSession): Promise<void> {
  try {
    await collection.insertOne(doc, { session });
  } catch (e) {
    if (isDuplicate(e)) throw conflict;
    throw e;
  }
}

type Claimed = { collection: Collection<any>; id: string }[];

/** All claims of a commit, in order; `taken` is what to give back if one fails. */
async function takeClaims(c: Committing, commit: Commit, id: string, taken: Claimed, session?: ClientSession): Promise<void> {
  const { names } = c;
  const take = async (collection: Collection<any>, doc: Document, conflict: Conflict): Promise<void> => {
    await claim(collection, doc, conflict, session);
    taken.push({ collection, id: doc._id });
  };
  for (const e of commit.epochs ?? []) {
    // Relying on an epoch writes it: of two commits that rest on the same facts, one passes the other only after it.
    const now = (await names.epoch.findOne({ _id: e.patient as never }, { session }))?.n ?? 0;
    if (now !== e.expect) throw new Conflict('epoch', e.patient);
    await take(names.unique, { _id: `lock|${e.patient}`, owner: id, at: new Date() }, new Conflict('epoch', e.patient));
    const again = (await names.epoch.findOne({ _id: e.patient as never }, { session }))?.n ?? 0;
    if (again !== e.expect) throw new Conflict('epoch', e.patient);
  }
  for (const s of commit.absent ?? []) {
    await take(names.unique, { _id: `absent|${JSON.stringify(s.plan).slice(0, 900)}`, owner: id, at: new Date() }, new Conflict('absent', s.type));
    if ((await c.find(s)).length) throw new Conflict('absent', s.type);
  }
  for (const k of commit.claim ?? []) {
    const held = await names.unique.findOne({ _id: `key|${k.key}` as never }, { session });
    if (held?.owner === k.owner) continue;
    await take(names.unique, { _id: `key|${k.key}`, owner: k.owner }, new Conflict('unique', k.key));
  }
  for (const op of commit.ops) if (op.kind === 'erase') await take(names.version, { _id: `${keyOf(op)}/${op.version + 1}`, type: op.type, id: op.id, version: op.version + 1, updated: op.at, deleted: true, method: 'DELETE', text: '', commit: id }, new Conflict('version', keyOf(op)));
  for (const op of commit.ops) if (op.kind === 'put') await take(names.version, { ...versionOf(op.row), commit: id }, new Conflict('version', keyOf(op.row)));
}

const isLock = (t: Claimed[number]): boolean => t.id.startsWith('lock|') || t.id.startsWith('absent|');

async function giveBack(taken: Claimed): Promise<void> {
  for (const t of taken) await t.collection.deleteOne({ _id: t.id as never });
}

/** Makes what was committed current; may be run again. */
async function rollForward(names: Names, j: Journal, session?: ClientSession): Promise<void> {
  if (j.audit.length) await insertAll(names.audit, j.audit, session);
  if (j.notices.length) await insertAll(names.notice, j.notices, session);
  for (const p of j.puts) {
    try {
      await names.resource.replaceOne({ _id: p._id, version: { $lt: p.version } }, p, { upsert: true, session });
    } catch (e) {
      // A newer version stands already.
      if (!isDuplicate(e)) throw e;
    }
  }
  const scalars = (s: object): Document => Object.fromEntries(Object.entries(s).map(([k, v]) => [`s.${k}`, v]));
  for (const s of j.stamps) await names.resource.updateOne({ _id: keyOf(s) as never }, { $set: scalars(s.scalars) }, { session });
  for (const x of j.indexes ?? []) await names.resource.updateOne({ _id: keyOf(x) as never, version: x.version, deleted: false }, { $set: { ...scalars(x.scalars), terms: x.entries.terms, ranges: x.entries.ranges, sorts: x.entries.sorts } }, { session });
  for (const x of j.erases ?? []) {
    await names.resource.updateOne({ _id: keyOf(x) as never, version: x.version }, { $set: { deleted: true, version: x.version + 1, updated: x.at, method: 'DELETE', text: '', terms: [], ranges: [], sorts: {} } }, { session });
    await names.version.deleteMany({ type: x.type, id: x.id, version: { $lte: x.version } }, { session });
  }
  // Last: facts read under the raised epoch are read after what changed them.
  for (const p of j.raise) await names.epoch.updateOne({ _id: p as never }, { $inc: { n: 1 } }, { upsert: true, session });
  for (const k of j.release) await names.unique.deleteOne({ _id: `key|${k.key}` as never, owner: k.owner }, { session });
}

async function insertAll(collection: Collection<any>, docs: Document[], session?: ClientSession): Promise<void> {
  try {
    await collection.insertMany(docs, { ordered: false, session });
  } catch (e) {
    if (!isDuplicate(e)) throw e;
  }
}

function journalOf(c: Committing, commit: Commit, id: string): Journal {
  return {
    _id: id,
    puts: commit.ops.filter((o): o is Put => o.kind === 'put').map(documentOf),
    stamps: commit.ops.filter((o): o is Stamp => o.kind === 'stamp'),
    erases: commit.ops.filter((o): o is Erase => o.kind === 'erase'),
    indexes: commit.ops.filter((o): o is Reindex => o.kind === 'index'),
    release: commit.release ?? [],
    audit: commit.audit.map((a) => auditOf(a, c.process, c.nextSeq())),
    notices: (commit.notices ?? []).map((n) => ({ _id: n.id, ...n, at: Date.now() })),
    raise: (commit.epochs ?? []).filter((e) => e.raise).map((e) => e.patient),
  };
}

async function standalone(c: Committing, commit: Commit, id: string): Promise<void> {
  const { names } = c;
  const taken: Claimed = [];
  const j = journalOf(c, commit, id);
  const plain = commit.ops.every((o) => o.kind === 'index') && !commit.epochs?.length && !commit.claim?.length && !commit.absent?.length;
  if (plain) return rollForward(names, j);
  try {
    await takeClaims(c, commit, id, taken);
    c.failPoint?.('claimed');
    // The commit point.
    await names.journal.insertOne(j as never);
  } catch (e) {
    await giveBack(taken);
    throw e;
  }
  c.failPoint?.('committed');
  await rollForward(names, j);
  await names.journal.deleteOne({ _id: id as never });
  await giveBack(taken.filter(isLock));
}

async function transactional(c: Committing, commit: Commit, id: string): Promise<void> {
  const taken: Claimed = [];
  await c.client.withSession((session) =>
    session.withTransaction(
      async () => {
        taken.length = 0;
        await takeClaims(c, commit, id, taken, session);
        await rollForward(c.names, journalOf(c, commit, id), session);
        for (const t of taken.filter(isLock)) await t.collection.deleteOne({ _id: t.id as never }, { session });
      },
      { readPreference: 'primary', writeConcern: { w: 'majority' } },
    ),
  );
}

/** All or nothing. A standalone server takes several resources only where configuration accepts the risk. */
export async function commitTo(c: Committing, commit: Commit, id: string): Promise<void> {
  try {
    await (c.transactions ? transactional(c, commit, id) : standalone(c, commit, id));
  } catch (e) {
    if (e instanceof Conflict || e instanceof Unavailable) throw e;
    if (isDuplicate(e)) throw new Conflict('version', 'duplicate');
    throw new Unavailable(String(e), { cause: e });
  }
}

/** A lock older than this belongs to a dead process. */
const STALE = 30_000;

/** After a crash: what was committed is rolled forward, what was only claimed is given back. */
export async function repair(names: Names, now: number): Promise<number> {
  let n = 0;
  for await (const j of names.journal.find()) {
    await rollForward(names, j as unknown as Journal);
    await names.journal.deleteOne({ _id: j._id });
    n++;
  }
  const stale = await names.unique.find({ at: { $lt: new Date(now - STALE) } }).toArray();
  const dead = new Set(stale.map((s) => s.owner as string));
  for (const s of stale) await names.unique.deleteOne({ _id: s._id, owner: s.owner });
  for (const commit of dead) {
    for await (const v of names.version.find({ commit })) {
      const current = await names.resource.findOne({ _id: `${v.type}/${v.id}` as never });
      if (!current || current.version < v.version) {
        await names.version.deleteOne({ _id: v._id });
        n++;
      }
    }
  }
  return n;
}
