// The embedded store: SQLite, WAL, synchronous=FULL, group commit.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync, type StatementSyncInstance } from '@photostructure/sqlite';
import type { AuditRow, Commit, Erase, Found, Operation, Plan, Put, Reindex, Row, Scalars, Search, Store } from '../port.ts';
import { Conflict, NO_SCALARS, SCALAR_NAMES, TooSlow, Unavailable } from '../port.ts';
import { Committer } from './committer.ts';
import { ROW_META, scanSql, searchSql } from './compile.ts';
import { sqliteContent } from './content.ts';
import { MIGRATIONS, SCHEMA, VERSION } from './schema.ts';
import type { Statements } from './statements.ts';
import { sqliteTrail } from './trail.ts';

type Raw = Record<string, any>;

const RES_COLUMNS = ['type', 'id', 'version', 'updated', 'deleted', 'method', ...SCALAR_NAMES];
const INSERT = `INSERT INTO res (${RES_COLUMNS.join(', ')}) VALUES (${RES_COLUMNS.map(() => '?').join(', ')})`;
const UPDATE = `UPDATE res SET ${RES_COLUMNS.slice(2).map((c) => `${c} = ?`).join(', ')} WHERE rid = ?`;
const SEP = '\u001f';
/** How long a read, or a start, waits where another process opens, recovers or closes the store (ms). */
const BUSY_MS = 2_000;
/** Pages of the log at which its content is moved into the database: a short pause for a server; for a long run of writes, pages that change again and again are moved once. */
const LOG_PAGES = { server: 4_000, bulk: 32_000 };

const contentKey = (row: Row): string => String(row.scalars.content).split(':')[0];

/** A row's columns come as one JSON text: one value across the boundary instead of twenty-four. */
function toRow(raw: Raw): Row {
  const m = JSON.parse(raw.meta) as never[];
  const scalars = {} as Record<string, unknown>;
  for (let i = 0; i < SCALAR_NAMES.length; i++) scalars[SCALAR_NAMES[i]] = m[6 + i];
  return { type: m[0], id: m[1], version: m[2], updated: m[3], deleted: (m[4] as number) === 1, method: m[5], text: raw.text, scalars: scalars as Scalars };
}

const oldToRow = (raw: Raw, scalars: Scalars): Row => ({ type: raw.type, id: raw.id, version: raw.version, updated: raw.updated, deleted: raw.deleted === 1, method: raw.method, text: raw.text, scalars });

const auditToRow = (raw: Raw): Row => ({
  type: 'AuditEvent', id: raw.id, version: 1, updated: raw.date, deleted: false, method: 'POST', text: raw.text,
  scalars: { ...NO_SCALARS, patient: raw.patient, date: raw.date },
});

function openDatabase(folder: string, bulk: boolean): InstanceType<typeof DatabaseSync> {
  mkdirSync(folder, { recursive: true });
  const db = new DatabaseSync(join(folder, 'dmp.sqlite'));
  db.exec(`PRAGMA busy_timeout = ${BUSY_MS}; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -65536; PRAGMA temp_store = MEMORY; PRAGMA wal_autocheckpoint = ${bulk ? LOG_PAGES.bulk : LOG_PAGES.server}`);
  // All or nothing, and one process at a time.
  db.exec('BEGIN IMMEDIATE');
  const fresh = !db.prepare("SELECT 1 FROM sqlite_master WHERE name = 'meta'").get();
  const version = fresh ? VERSION : Number((db.prepare("SELECT value FROM meta WHERE key = 'schema'").get() as Raw | undefined)?.value ?? 0);
  if (version > VERSION) {
    db.close();
    throw new Error(`The store in ${folder} has schema version ${version}; this server knows ${VERSION}. Use a newer server.`);
  }
  db.exec(SCHEMA);
  for (let v = version + 1; v <= VERSION; v++) db.exec(MIGRATIONS[v]);
  db.prepare("INSERT INTO meta VALUES ('schema', ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value").run(String(VERSION));
  db.exec('COMMIT');
  const sync = (db.prepare('PRAGMA synchronous').get() as Raw).synchronous;
  if (sync !== 2) throw new Error('SQLite refuses synchronous=FULL');
  db.function('inline_contains', { deterministic: true }, (terms: unknown, key: unknown, text: unknown) =>
    String(terms).split(SEP).some((t) => t.startsWith(String(key)) && t.slice(String(key).length).includes(String(text))) ? 1 : 0);
  return db;
}

/** Ends a query that runs for too long: asked of every row that a walk passes, it looks at the clock now and then. */
function timeLimit(db: InstanceType<typeof DatabaseSync>, ms: number): { begin(): void } {
  let until = Number.POSITIVE_INFINITY;
  let calls = 0;
  db.function('in_time', {}, () => {
    if ((++calls & 255) === 0 && performance.now() > until) throw new Error('TOO_SLOW');
    return 1;
  });
  return {
    begin() {
      until = performance.now() + ms;
    },
  };
}

/** Starts a transaction; false, at once, where another process holds the lock. */
function begin(db: InstanceType<typeof DatabaseSync>): boolean {
  db.exec('PRAGMA busy_timeout = 0');
  try {
    db.exec('BEGIN IMMEDIATE');
    return true;
  } catch (e) {
    if (String(e).includes('locked')) return false;
    throw e;
  } finally {
    db.exec(`PRAGMA busy_timeout = ${BUSY_MS}`);
  }
}

/** Opens (and makes) the embedded store in a folder. `process` names this process's audit chain. */
export function sqliteStore(folder: string, process: string, options: { /** Longest query, ms. */ queryMs?: number; /** For one long run of writes. */ bulk?: boolean } = {}): Store {
  const db = openDatabase(folder, options.bulk ?? false);
  const limit = timeLimit(db, options.queryMs ?? 5_000);
  const prepared = new Map<string, StatementSyncInstance>();
  const statement: Statements = (sql) => {
    let s = prepared.get(sql);
    if (!s) {
      if (prepared.size > 500) prepared.clear();
      s = db.prepare(sql);
      prepared.set(sql, s);
    }
    return s;
  };
  const control = new Map(['SAVEPOINT s', 'ROLLBACK TO s', 'RELEASE s', 'COMMIT', 'ROLLBACK'].map((sql) => [sql, db.prepare(sql)]));
  const committer = new Committer((sql) => void control.get(sql)?.run(), () => begin(db));
  const guard = <T>(f: () => T): Promise<T> => {
    try {
      return Promise.resolve(f());
    } catch (e) {
      return Promise.reject(e instanceof Conflict ? e : String(e).includes('TOO_SLOW') ? new TooSlow('query', { cause: e }) : new Unavailable(String(e), { cause: e }));
    }
  };
  const { content, pending } = sqliteContent(join(folder, 'content'), statement, committer);

  function readRow(type: string, id: string): Row | undefined {
    if (type === 'AuditEvent') {
      const a = statement('SELECT * FROM audit WHERE id = ?').get(id) as Raw | undefined;
      return a && auditToRow(a);
    }
    const raw = statement(`SELECT ${ROW_META} AS meta, b.text FROM res r JOIN body b ON b.rid = r.rid WHERE r.type = ? AND r.id = ?`).get(type, id) as Raw | undefined;
    return raw && toRow(raw);
  }

  function find(search: Search): Found[] {
    const { sql, bind } = searchSql(search);
    limit.begin();
    const rows = statement(sql).all(...bind) as Raw[];
    return rows.map((raw) => ({ row: search.type === 'AuditEvent' ? auditToRow(raw) : toRow(raw), keys: [...search.sort.map((_, i) => raw[`k${i}`]), raw.rowId] }));
  }

  function clearEntries(rid: number, entriesText: string): void {
    statement("DELETE FROM term WHERE key IN (SELECT value FROM json_each(?1, '$.terms')) AND rid = ?2").run(entriesText, rid);
    statement("DELETE FROM range WHERE p IN (SELECT value ->> 'p' FROM json_each(?1, '$.ranges')) AND rid = ?2").run(entriesText, rid);
  }

  /** One call for all terms of a row, from their JSON text: a call for each costs more than the insert. */
  function addEntries(rid: number, entries: Put['entries'], text: string): void {
    if (entries.terms.length) statement("INSERT OR IGNORE INTO term SELECT value, ?2 FROM json_each(?1, '$.terms')").run(text, rid);
    for (const g of entries.ranges) statement('INSERT OR IGNORE INTO range VALUES (?, ?, ?, ?)').run(g.p, rid, g.lo, g.hi);
  }

  function put(op: Put): void {
    const { row } = op;
    const values = [row.version, row.updated, row.deleted ? 1 : 0, row.method, ...SCALAR_NAMES.map((n) => row.scalars[n])];
    const entries = JSON.stringify(row.deleted ? { terms: [], ranges: [], sorts: {} } : op.entries);
    if (row.type === 'Binary' && row.scalars.content !== null && op.expect === 0) pending.write(contentKey(row));
    if (op.expect === 0) {
      let rid: number;
      try {
        rid = Number(statement(INSERT).run(row.type, row.id, ...values).lastInsertRowid);
      } catch (e) {
        if (String(e).includes('UNIQUE')) throw new Conflict('version', `${row.type}/${row.id}`);
        throw e;
      }
      statement('INSERT INTO body VALUES (?, ?, ?)').run(rid, row.text, entries);
      addEntries(rid, op.entries, entries);
      return;
    }
    const old = statement('SELECT r.rid, r.version, r.updated, r.deleted, r.method, b.text, b.entries FROM res r JOIN body b ON b.rid = r.rid WHERE r.type = ? AND r.id = ?').get(row.type, row.id) as Raw | undefined;
    if (!old || old.version !== op.expect) throw new Conflict('version', `${row.type}/${row.id}`);
    statement('INSERT INTO history VALUES (?, ?, ?, ?, ?, ?, ?)').run(row.type, row.id, old.version, old.updated, old.deleted, old.method, old.text);
    clearEntries(old.rid, old.entries);
    statement(UPDATE).run(...values, old.rid);
    statement('UPDATE body SET text = ?, entries = ? WHERE rid = ?').run(row.text, entries, old.rid);
    if (!row.deleted) addEntries(old.rid, op.entries, entries);
  }

  /** False where another version stands by now. */
  function reindex(op: Reindex): boolean {
    const raw = statement('SELECT r.rid, r.version, r.deleted, b.entries FROM res r JOIN body b ON b.rid = r.rid WHERE r.type = ? AND r.id = ?').get(op.type, op.id) as Raw | undefined;
    if (!raw || raw.deleted === 1 || raw.version !== op.version) return false;
    clearEntries(raw.rid, raw.entries);
    const entries = JSON.stringify(op.entries);
    addEntries(raw.rid, op.entries, entries);
    statement('UPDATE body SET entries = ? WHERE rid = ?').run(entries, raw.rid);
    return true;
  }

  function erase(op: Erase): void {
    const raw = statement('SELECT r.rid, r.version, b.entries FROM res r JOIN body b ON b.rid = r.rid WHERE r.type = ? AND r.id = ?').get(op.type, op.id) as Raw | undefined;
    if (!raw || raw.version !== op.version) throw new Conflict('version', `${op.type}/${op.id}`);
    clearEntries(raw.rid, raw.entries);
    statement("UPDATE body SET text = '', entries = '{\"terms\":[],\"ranges\":[],\"sorts\":{}}' WHERE rid = ?").run(raw.rid);
    statement('UPDATE res SET deleted = 1, version = version + 1, updated = ?, method = ? WHERE rid = ?').run(op.at, 'DELETE', raw.rid);
    statement('DELETE FROM history WHERE type = ? AND id = ?').run(op.type, op.id);
  }

  function apply(op: Operation): void {
    if (op.kind === 'erase') return erase(op);
    if (op.kind === 'put') return put(op);
    if (op.kind === 'index' && !reindex(op)) return;
    const names = Object.keys(op.scalars) as (keyof Scalars)[];
    if (!names.length) return;
    statement(`UPDATE res SET ${names.map((n) => `${n} = ?`).join(', ')} WHERE type = ? AND id = ?`).run(...names.map((n) => op.scalars[n] ?? null), op.type, op.id);
  }

  function expectations(commit: Commit): void {
    for (const e of commit.epochs ?? []) {
      const n = (statement('SELECT n FROM epoch WHERE patient = ?').get(e.patient) as Raw | undefined)?.n ?? 0;
      if (n !== e.expect) throw new Conflict('epoch', e.patient);
      if (e.raise) statement('INSERT INTO epoch VALUES (?, 1) ON CONFLICT (patient) DO UPDATE SET n = n + 1').run(e.patient);
    }
    for (const k of commit.release ?? []) statement('DELETE FROM uniq WHERE key = ? AND owner = ?').run(k.key, k.owner);
    for (const k of commit.claim ?? []) {
      const held = (statement('SELECT owner FROM uniq WHERE key = ?').get(k.key) as Raw | undefined)?.owner;
      if (held === k.owner) continue;
      if (held !== undefined) throw new Conflict('unique', k.key);
      statement('INSERT INTO uniq VALUES (?, ?)').run(k.key, k.owner);
    }
    for (const s of commit.absent ?? []) if (find(s).length) throw new Conflict('absent', s.type);
  }

  function writeAudit(rows: AuditRow[]): void {
    const insert = statement('INSERT INTO audit (id, process, patient, date, terms, text) VALUES (?, ?, ?, ?, ?, ?)');
    const open = statement('INSERT INTO unsealed VALUES (?, ?)');
    for (const a of rows) open.run(process, insert.run(a.id, process, a.patient, a.date, SEP + a.terms.join(SEP) + SEP, a.text).lastInsertRowid);
  }

  return {
    name: 'SQLite, embedded',
    limits: [],
    ping: () => guard(() => void statement('SELECT 1').get()),
    read: (type, id) => guard(() => readRow(type, id)),
    readVersion: (type, id, version) =>
      guard(() => {
        const row = readRow(type, id);
        if (!row || row.version === version) return row;
        const raw = statement('SELECT * FROM history WHERE type = ? AND id = ? AND version = ?').get(type, id, version) as Raw | undefined;
        return raw && oldToRow(raw, row.scalars);
      }),
    history: (type, id, { before, limit }) =>
      guard(() => {
        const row = readRow(type, id);
        if (!row) return [];
        const top = before === undefined || row.version < before ? [row] : [];
        const older = statement('SELECT * FROM history WHERE type = ? AND id = ? AND version < ? ORDER BY version DESC LIMIT ?').all(type, id, before ?? row.version, limit) as Raw[];
        return [...top, ...older.map((raw) => oldToRow(raw, row.scalars))].slice(0, limit);
      }),
    search: (search) => guard(() => find(search)),
    count: (type, plan: Plan) =>
      guard(() => {
        const { sql, bind } = scanSql(type, plan, 'COUNT(*) AS n');
        limit.begin();
        return (statement(sql).get(...bind) as Raw).n as number;
      }),
    ids: (type, plan, deleted) =>
      guard(() => {
        const { sql, bind } = scanSql(type, plan, 'r.id', deleted);
        limit.begin();
        return (statement(sql).all(...bind) as Raw[]).map((r) => r.id as string);
      }),
    epoch: (patient) => guard(() => ((statement('SELECT n FROM epoch WHERE patient = ?').get(patient) as Raw | undefined)?.n as number) ?? 0),
    owner: (key) => guard(() => (statement('SELECT owner FROM uniq WHERE key = ?').get(key) as Raw | undefined)?.owner as string | undefined),
    async commit(commit) {
      try {
        await committer.submit(() => {
          expectations(commit);
          for (const op of commit.ops) apply(op);
          writeAudit(commit.audit);
          for (const n of commit.notices ?? []) statement('INSERT INTO notice (id, patient, text) VALUES (?, ?, ?)').run(n.id, n.patient, n.text);
        });
        for (const op of commit.ops) if (op.kind === 'put' && op.row.type === 'Binary' && op.row.scalars.content !== null) pending.settle(contentKey(op.row));
      } catch (e) {
        throw e instanceof Conflict || e instanceof Unavailable ? e : new Unavailable(String(e), { cause: e });
      }
    },
    notices: (limit) => guard(() => statement('SELECT id, patient, text FROM notice ORDER BY n LIMIT ?').all(limit) as { id: string; patient: string; text: string }[]),
    noticeDone: (id) => committer.submit(() => void statement('DELETE FROM notice WHERE id = ?').run(id)),
    meta: (key) => guard(() => (statement('SELECT value FROM meta WHERE key = ?').get(key) as Raw | undefined)?.value as string | undefined),
    setMeta: (key, value) => committer.submit(() => void statement('INSERT INTO meta VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value').run(key, value)),
    trail: sqliteTrail(statement, committer),
    content,
    async close() {
      await committer.submit(() => undefined).catch(() => undefined);
      prepared.clear();
      control.clear();
      db.close();
    },
  };
}
