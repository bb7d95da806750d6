// The store port: values in, values out. Both stores run one contract suite (test/store).
import type { Readable } from 'node:stream';

/** Equality scalars kept beside a resource, set by the server alone (R7): what decisions rest on. */
export type Scalars = {
  /** Logical id of the Patient whose record gates this resource (T4); null for directory types. */
  patient: string | null;
  /** The resource's own date in ms (DocumentReference.date, Consent.dateTime, AuditEvent.recorded), else its reception. */
  date: number;
  /** `Practitioner/x`, `Patient/x`, … who deposited. */
  depositor: string | null;
  /** `Organization/x` on whose behalf. */
  depositorOrg: string | null;
  /** 1 where a system deposited. */
  bySystem: number;
  /** 1 where MASQUE_PS is effective over the chain of replacement. */
  maskPs: number;
  /** 1 where INVISIBLE_REPRESENTANTS_LEGAUX is effective. */
  invRep: number;
  /** INVISIBLE_PATIENT holds until this instant (ms); 0 where it was never put. */
  hiddenUntil: number;
  /** Confidentiality: 0 N, 1 R, 2 V. */
  conf: number;
  /** Columns of the habilitation matrix that open every type coding of this document, as `,10,21,`. */
  opens: string;
  /** Version of the matrix that `opens` was read from. */
  matrix: string;
  /** Chain of replacement: the id of its first member. */
  chain: string | null;
  /** First deposit of the chain (ms). */
  since: number;
  /** Binary: the DocumentReference that it is bound to. Consent: 1-char flag `d` when it names single documents. */
  bound: string | null;
  /** Binary: key of its content. */
  content: string | null;
  /** Who set MASQUE_PS: `author` or `other`; null when it is not set. */
  maskedBy: string | null;
  /** Practitioners (`,Practitioner/x,`) that the deposit named as authors, as far as the directory knows them. */
  authors: string;
  /** Search parameters that have a value, as `,type,date,`: what `:missing` asks. */
  present: string;
};

export const NO_SCALARS: Scalars = {
  patient: null, date: 0, depositor: null, depositorOrg: null, bySystem: 0, maskPs: 0, invRep: 0, hiddenUntil: 0, conf: 0,
  opens: '', matrix: '', chain: null, since: 0, bound: null, content: null, maskedBy: null, authors: '', present: '',
};
export const SCALAR_NAMES = Object.keys(NO_SCALARS) as (keyof Scalars)[];

export type Row = {
  type: string;
  id: string;
  version: number;
  /** Reception of this version, ms. */
  updated: number;
  deleted: boolean;
  method: 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** The resource as it is sent, '' when deleted. */
  text: string;
  scalars: Scalars;
};

/** Index entries of one resource, made above the port (server/search/extract.ts). */
export type Entries = {
  terms: string[];
  ranges: { p: string; lo: number; hi: number }[];
  /** Sort keys by parameter: lowest and highest value. */
  sorts: Record<string, [string | number, string | number]>;
};
export const NO_ENTRIES: Entries = { terms: [], ranges: [], sorts: {} };

export type ScalarTest = { field: keyof Scalars | 'updated'; op: 'eq' | 'le' | 'ge' | 'lt' | 'gt' | 'has'; value: string | number | null };

/** A small tree over index entries; search semantics and the residual of consent are compiled into it above the port. */
export type Plan =
  | { kind: 'all' }
  | { kind: 'none' }
  | { kind: 'and'; of: Plan[] }
  | { kind: 'or'; of: Plan[] }
  | { kind: 'not'; of: Plan }
  | { kind: 'term'; key: string }
  | { kind: 'terms'; keys: string[] }
  | { kind: 'prefix'; key: string }
  | { kind: 'contains'; key: string; text: string }
  | { kind: 'range'; p: string; loMin?: number; loMax?: number; hiMin?: number; hiMax?: number }
  | { kind: 'ids'; ids: string[] }
  | ({ kind: 'scalar' } & ScalarTest);

export type Sort = { by: 'date' | 'updated' | 'id' | string; desc: boolean };

export type Search = {
  type: string;
  plan: Plan;
  /** The id, in the first sort's direction, always breaks ties. */
  sort: Sort[];
  /** Keyset: the sort values of the last row seen, then its id. */
  after?: (string | number)[];
  limit: number;
};

export type Found = { row: Row; keys: (string | number)[] };

export type Put = { kind: 'put'; row: Row; entries: Entries; /** The version that stands before: 0 for none. */ expect: number };
/** Rewrites what is kept beside a resource; no new version. */
export type Stamp = { kind: 'stamp'; type: string; id: string; scalars: Partial<Scalars> };
/** Rewrites the index entries of a version that still stands; no new version. Left undone where another version stands by then. */
export type Reindex = { kind: 'index'; type: string; id: string; version: number; entries: Entries; scalars: Partial<Scalars> };
/** Erases a resource for good: its text, its versions' texts, its entries; a bare tombstone stays, so that its id is not given again. */
export type Erase = { kind: 'erase'; type: string; id: string; version: number; at: number };
export type Operation = Put | Stamp | Reindex | Erase;

export type AuditRow = { id: string; patient: string | null; date: number; text: string; terms: string[]; /** `Type/id` of each resource disclosed. */ docs: string[] };

export type Commit = {
  ops: Operation[];
  /** Uniqueness keys to take, each for its owner (`Type/id`): T5, W8. A key already held by the same owner is no conflict. */
  claim?: { key: string; owner: string }[];
  release?: { key: string; owner: string }[];
  /** Patient epochs that the decisions rest on; `raise` where this commit changes what decisions rest on. */
  epochs?: { patient: string; expect: number; raise: boolean }[];
  /** Conditional matches that must still be absent. */
  absent?: Search[];
  audit: AuditRow[];
  /** Notices for the durable outbox (C6). */
  notices?: { id: string; patient: string; text: string }[];
};

export type ConflictKind = 'version' | 'unique' | 'epoch' | 'absent';

/** An expectation of a commit does not hold; nothing of it was done. */
export class Conflict extends Error {
  readonly kind: ConflictKind;
  readonly key: string;
  constructor(kind: ConflictKind, key: string) {
    super(`conflict: ${kind}`);
    this.kind = kind;
    this.key = key;
  }
}

/** The database cannot be reached. */
export class Unavailable extends Error {}

/** A query ran past its time limit and was ended. */
export class TooSlow extends Error {}

/** `sha1`: base64, as R4's attachment.hash has it; `head`: the first bytes, at most HEAD. */
export type ContentInfo = { key: string; size: number; sha1: string; head: Buffer };

/** Bytes of a content that tell its format. */
export const HEAD = 1_024;

export type Seal = { process: string; number: number; text: string };
export type AuditSlice = { seq: number; id: string; text: string };

/** The trail's raw side, for sealing and verification (A). */
export type TrailStore = {
  /** Unsealed events of one process's chain in commit order. */
  unsealed(process: string, limit: number): Promise<AuditSlice[]>;
  /** Processes that have unsealed events or seals. */
  processes(): Promise<string[]>;
  lastSeal(process: string): Promise<Seal | undefined>;
  /** Marks the events up to `upTo` as sealed and keeps the seal, together. */
  seal(seal: Seal, upTo: number): Promise<void>;
  seals(process: string): AsyncIterable<Seal>;
  /** All events of a process's chain, by seq, from `from`. */
  events(process: string, from: number, limit: number): Promise<AuditSlice[]>;
  /** Removes events of sealed batches up to a seq, after export (retention). */
  drop(process: string, upTo: number): Promise<number>;
};

export type Store = {
  readonly name: string;
  /** What this store cannot promise here, in words; empty where it promises all. */
  readonly limits: string[];
  ping(): Promise<void>;
  /** The row as it stands, deleted ones too; undefined when never given. */
  read(type: string, id: string): Promise<Row | undefined>;
  readVersion(type: string, id: string, version: number): Promise<Row | undefined>;
  /** Versions, newest first. */
  history(type: string, id: string, options: { before?: number; limit: number }): Promise<Row[]>;
  search(search: Search): Promise<Found[]>;
  count(type: string, plan: Plan): Promise<number>;
  /** Ids of all matches, unordered and unbounded; `deleted` includes rows whose resource is deleted (their scalars stay). */
  ids(type: string, plan: Plan, deleted?: boolean): Promise<string[]>;
  /** The epoch of a patient's facts; 0 before the first write. Read from the primary. */
  epoch(patient: string): Promise<number>;
  /** Owner of a uniqueness key. */
  owner(key: string): Promise<string | undefined>;
  /** All or nothing; durable when it resolves. Throws Conflict or Unavailable. */
  commit(commit: Commit): Promise<void>;
  /** Notices not yet delivered, oldest first; `done` removes one. */
  notices(limit: number): Promise<{ id: string; patient: string; text: string }[]>;
  noticeDone(id: string): Promise<void>;
  meta(key: string): Promise<string | undefined>;
  setMeta(key: string, value: string): Promise<void>;
  readonly trail: TrailStore;
  readonly content: {
    /** Writes content durably; the key is not bound until a commit names it. Aborts above `max` bytes with RangeError. */
    put(source: AsyncIterable<Buffer> | Iterable<Buffer>, max: number): Promise<ContentInfo>;
    open(key: string, range?: { start: number; end: number }): Promise<Readable>;
    remove(key: string): Promise<void>;
    /** Keys older than an instant (ms), for the sweeper. */
    olderThan(ms: number): Promise<string[]>;
  };
  close(): Promise<void>;
};
