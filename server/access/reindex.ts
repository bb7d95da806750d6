// When what index entries are made from changes (a search parameter, the habilitation matrix), they are made again in the background:
// resumably, in small commits; until then searches on the parameter say that they are not complete, and documents of the old matrix stay closed (R7).
import { createHash } from 'node:crypto';
import type { Logger } from 'pino';
import type { Resource } from '../fhir/types.ts';
import { typeCodings } from '../policy/matrix.ts';
import { extract } from '../search/extract.ts';
import { parametersOf, STORED_TYPES } from '../search/registry.ts';
import { ALL } from '../store/plan.ts';
import type { Reindex, Row } from '../store/port.ts';
import type { Deps } from './deps.ts';

const BATCH = 200;
/** Raised when extraction itself changes. */
const EXTRACTION = 1;
/** Events are indexed straight from their form (server/audit/terms.ts). */
const TYPES = STORED_TYPES.filter((t) => t !== 'AuditEvent');

type Prints = Record<string, string>;

/** What each parameter's entries are made from, as one hash each; the matrix counts as one of DocumentReference. */
function fingerprints(deps: Deps): Prints {
  const out: Prints = { 'DocumentReference matrix': deps.book.matrix.version };
  for (const type of TYPES) {
    for (const p of new Set(parametersOf(type).values())) {
      const { expression, component } = p.definition;
      out[`${type} ${p.code}`] = createHash('sha256').update(JSON.stringify([EXTRACTION, p.type, expression, component])).digest('base64').slice(0, 16);
    }
  }
  return out;
}

const changed = (now: Prints, then: Prints): string[] => Object.keys(now).filter((k) => now[k] !== then[k]);

function entriesOf(deps: Deps, row: Row): Reindex {
  const resource = JSON.parse(row.text) as Resource;
  const { entries, present } = extract(resource, deps.base);
  const matrix = row.type === 'DocumentReference' ? { opens: deps.book.matrix.opens(typeCodings(resource)), matrix: deps.book.matrix.version } : {};
  return { kind: 'index', type: row.type, id: row.id, version: row.version, entries, scalars: { present, ...matrix } };
}

type Progress = { print: string; type: string; after?: (string | number)[] };

/** One type, from where an earlier run stopped. */
async function indexType(deps: Deps, type: string, print: string, stopped: () => boolean): Promise<number> {
  const kept = JSON.parse((await deps.store.meta('reindex')) ?? 'null') as Progress | null;
  let after = kept?.print === print && kept.type === type ? kept.after : undefined;
  let n = 0;
  while (!stopped()) {
    const found = await deps.store.search({ type, plan: ALL, sort: [{ by: 'id', desc: false }], after, limit: BATCH });
    if (found.length) await deps.store.commit({ ops: found.map((f) => entriesOf(deps, f.row)), audit: [] });
    n += found.length;
    if (found.length < BATCH) return n;
    after = found[found.length - 1].keys;
    await deps.store.setMeta('reindex', JSON.stringify({ print, type, after } satisfies Progress));
    await new Promise((r) => setImmediate(r));
  }
  return n;
}

/** Starts what is due; `deps.incomplete` holds `Type code` of each parameter that is not complete yet. */
export async function startReindexing(deps: Deps, log: Logger): Promise<{ stop(): Promise<void>; done: Promise<void> }> {
  const now = fingerprints(deps);
  const then = JSON.parse((await deps.store.meta('index')) ?? 'null') as Prints | null;
  const fresh = then === null && !(await anything(deps));
  const due = fresh ? [] : changed(now, then ?? {});
  if (fresh) await deps.store.setMeta('index', JSON.stringify(now));
  for (const k of due) deps.incomplete.add(k);
  let stopping = false;
  const run = async (): Promise<void> => {
    const print = createHash('sha256').update(JSON.stringify(now)).digest('base64');
    const standing: Prints = { ...then };
    for (const type of TYPES) {
      const own = due.filter((k) => k.startsWith(`${type} `));
      if (!own.length) continue;
      const n = await indexType(deps, type, print, () => stopping);
      if (stopping) return;
      for (const k of own) {
        standing[k] = now[k];
        deps.incomplete.delete(k);
      }
      await deps.store.setMeta('index', JSON.stringify(standing));
      log.info({ type, resources: n }, 'indexed again');
    }
    if (due.length) await deps.store.setMeta('index', JSON.stringify(now));
  };
  const done = run().catch((e) => log.warn({ detail: String(e) }, 'indexing again failed; it goes on at the next start'));
  return {
    done,
    async stop() {
      stopping = true;
      await done;
    },
  };
}

async function anything(deps: Deps): Promise<boolean> {
  for (const type of TYPES) if ((await deps.store.search({ type, plan: ALL, sort: [{ by: 'id', desc: false }], limit: 1 })).length) return true;
  return false;
}
