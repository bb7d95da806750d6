// Tables of the embedded store. A change here raises VERSION and adds a migration.
export const VERSION = 3;

/** What brings a store from one version to the next; tables that are new are made by SCHEMA. */
export const MIGRATIONS: Record<number, string> = {
  // 2: small contents in the database. Those of before stay the files that they are.
  2: '',
  // 3: what is not sealed yet stands in a table of its own, so that sealing does not write each event a second time. The column of before stays, unused.
  3: 'INSERT INTO unsealed SELECT process, seq FROM audit WHERE sealed = 0; DROP INDEX IF EXISTS audit_open;',
};

const SCALARS = `patient TEXT, date INTEGER NOT NULL, depositor TEXT, depositorOrg TEXT, bySystem INTEGER NOT NULL, maskPs INTEGER NOT NULL,
  invRep INTEGER NOT NULL, hiddenUntil INTEGER NOT NULL, conf INTEGER NOT NULL, opens TEXT NOT NULL, matrix TEXT NOT NULL, chain TEXT,
  since INTEGER NOT NULL, bound TEXT, content TEXT, maskedBy TEXT, authors TEXT NOT NULL, present TEXT NOT NULL`;

export const SCHEMA = `
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS res (
  rid INTEGER PRIMARY KEY, type TEXT NOT NULL, id TEXT NOT NULL, version INTEGER NOT NULL, updated INTEGER NOT NULL, deleted INTEGER NOT NULL,
  method TEXT NOT NULL, ${SCALARS}, UNIQUE (type, id));
CREATE INDEX IF NOT EXISTS res_patient ON res (type, patient, date, id) WHERE deleted = 0 AND patient IS NOT NULL;
CREATE INDEX IF NOT EXISTS res_date ON res (type, date, id) WHERE deleted = 0;
CREATE INDEX IF NOT EXISTS res_chain ON res (chain) WHERE chain IS NOT NULL;
CREATE INDEX IF NOT EXISTS res_bound ON res (bound) WHERE bound IS NOT NULL;
CREATE TABLE IF NOT EXISTS body (rid INTEGER PRIMARY KEY, text TEXT NOT NULL, entries TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS history (
  type TEXT NOT NULL, id TEXT NOT NULL, version INTEGER NOT NULL, updated INTEGER NOT NULL, deleted INTEGER NOT NULL, method TEXT NOT NULL, text TEXT NOT NULL,
  UNIQUE (type, id, version));
CREATE TABLE IF NOT EXISTS term (key TEXT NOT NULL, rid INTEGER NOT NULL, PRIMARY KEY (key, rid)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS range (p TEXT NOT NULL, rid INTEGER NOT NULL, lo INTEGER NOT NULL, hi INTEGER NOT NULL, PRIMARY KEY (p, rid, lo, hi)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS blob (key TEXT PRIMARY KEY, data BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS uniq (key TEXT PRIMARY KEY, owner TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS epoch (patient TEXT PRIMARY KEY, n INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS audit (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, process TEXT NOT NULL, patient TEXT, date INTEGER NOT NULL,
  terms TEXT NOT NULL, text TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS audit_patient ON audit (patient, date, id) WHERE patient IS NOT NULL;
CREATE INDEX IF NOT EXISTS audit_date ON audit (date, id);
CREATE TABLE IF NOT EXISTS unsealed (process TEXT NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY (process, seq)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS seal (process TEXT NOT NULL, number INTEGER NOT NULL, text TEXT NOT NULL, PRIMARY KEY (process, number)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS notice (n INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, patient TEXT NOT NULL, text TEXT NOT NULL);
`;
