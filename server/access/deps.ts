// What enforcement needs; made once in main.
import type { World } from '../fhir/types.ts';
import type { Facts, Rulebook } from '../policy/decide.ts';
import type { WriteTable } from '../policy/write.ts';
import type { Caller } from '../policy/caller.ts';
import type { Store } from '../store/port.ts';

export type Limits = {
  /** Bytes. */
  resource: number;
  bundle: number;
  binary: number;
  url: number;
  entries: number;
  count: number;
  /** Milliseconds. */
  query: number;
  /** Requests per client and minute; 0: no limit. */
  rate: number;
  /** Ids that one hop of a chain may pass on. */
  chain: number;
};

export type { Terminology as Terms } from '../terminology/terms.ts';
import type { Terminology as Terms } from '../terminology/terms.ts';

export type Deps = {
  store: Store;
  world: World;
  /** Absolute base URL, without a slash at its end. */
  base: string;
  book: Rulebook;
  table: WriteTable;
  limits: Limits;
  terms: Terms;
  /** ACCESS=open: the gate permits all; never in production. */
  open: boolean;
  /** Facts by patient, valid for their epoch only. */
  facts: Map<string, Facts>;
  /** `Type code` of search parameters whose index entries are being made again (server/access/reindex.ts). */
  incomplete: Set<string>;
  /** Seals cursors. */
  cursorKey: Buffer;
  /** Names the observer in AuditEvents. */
  site: string;
  /** Called with each content before it is bound; throws to refuse it (antivirus). */
  inspect?: (content: { key: string; contentType: string; size: number }) => Promise<void>;
};

/** What the rooms outside access/ may know of the deployment: everything but the store. */
export type Settings = Omit<Deps, 'store' | 'facts' | 'book' | 'table'>;

/** One request, or one entry of a batch. */
export type Ask = {
  caller: Caller;
  requestId: string;
  /** The instant that every decision of this request takes as now. */
  now: number;
  remote?: string;
  /** The patient's request that a professional records (W4). */
  patientRequest?: string;
};
