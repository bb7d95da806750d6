// Moving a region in: a survey of the source, then rank after rank, in chunks, over several lanes, resumably.
import { join } from 'node:path';
import { Journal } from './journal.ts';
import { FAULTY, FIRST_CONSENTS, RANKS } from './order.ts';
import { type Item, itemsOf, ranksOf, resourceOf, type Source, survey, whole } from './source.ts';
import { type Chunk, type Lane, type Outcome, refusal, type Refusal } from './writer.ts';

export type ImportOptions = {
  dataDir: string;
  files: string[];
  /** Opens lanes for so many resources. */
  lanes: (total: number) => Promise<Lane[]>;
  /** Resources that are done, or not, together when an import is resumed. */
  chunk?: number;
  begun?: (total: number) => void;
  progress?: (done: number) => void;
};
/** `skipped`: what an earlier run took, or stands twice in the source. */
export type Report = { taken: number; refused: number; skipped: number; /** Records that other imports, which did not end, hold closed. */ closed: number; report: string };

const CHUNK = 400;
/** Chunks under way at once in a lane: while one is committed, the next is decided. */
const AT_ONCE = 2;

/** Hands chunks to the lanes, each to the one that has the least to do. */
class Lanes {
  private readonly lanes: { lane: Lane; busy: number }[];
  private readonly under = new Set<Promise<void>>();
  private failed: { why: unknown } | undefined;

  constructor(lanes: Lane[]) {
    this.lanes = lanes.map((lane) => ({ lane, busy: 0 }));
  }

  /** Waits for a free place, no longer; `done` is told the outcome later. */
  async perform(chunk: Chunk, done: (o: Outcome) => void): Promise<void> {
    while (this.under.size >= this.lanes.length * AT_ONCE) await Promise.race(this.under);
    this.check();
    const l = this.lanes.reduce((a, b) => (b.busy < a.busy ? b : a));
    l.busy++;
    const work: Promise<void> = l.lane
      .perform(chunk)
      .then(done)
      .catch((why) => {
        this.failed ??= { why };
      })
      .finally(() => {
        l.busy--;
        this.under.delete(work);
      });
    this.under.add(work);
  }

  /** All that was handed out is done. */
  async idle(): Promise<void> {
    await Promise.all(this.under);
    this.check();
  }

  private check(): void {
    if (this.failed) throw this.failed.why;
  }

  async end(): Promise<void> {
    await Promise.all(this.under);
    await Promise.all(this.lanes.map((l) => l.lane.end()));
  }
}

class Import {
  readonly counts = { taken: 0, refused: 0, skipped: 0, closed: 0 };
  private readonly source: Source;
  private readonly journal: Journal;
  private readonly lanes: Lanes;
  private readonly progress: (done: number) => void;
  private next = 0;

  constructor(source: Source, journal: Journal, lanes: Lanes, progress: (done: number) => void) {
    this.source = source;
    this.journal = journal;
    this.lanes = lanes;
    this.progress = progress;
  }

  private async *chunks(rank: number): AsyncGenerator<Item[]> {
    let items: Item[] = [];
    for await (const item of itemsOf(this.source, rank)) {
      items.push(item);
      if (items.length < this.journal.chunk) continue;
      yield items;
      items = [];
    }
    if (items.length) yield items;
  }

  private hand(items: Item[], done: (o: Outcome) => void, act: Chunk['act'] = 'write'): Promise<void> {
    return this.lanes.perform({ act, digest: this.source.digest, secret: this.journal.secret, items: act === 'write' ? items.map((i) => whole(this.source, i)) : items }, done);
  }

  private count(o: Outcome): void {
    this.counts.taken += o.taken;
    this.counts.skipped += o.held;
    this.counts.refused += o.refused.length;
  }

  /** What cannot be imported at all. */
  faulty(): void {
    const n = this.next++;
    if (this.journal.isDone(n)) return;
    this.journal.finish(n, this.source.unnamed.map((i) => refusal(i, 'no document of the import names this Binary')));
    this.counts.refused += this.source.unnamed.length;
  }

  /** Closes, to all but imports, the records in which something comes late. */
  async hold(ranks: number[]): Promise<void> {
    for (const rank of ranks) for await (const items of this.chunks(rank)) await this.hand(items, () => undefined, 'hold');
    await this.lanes.idle();
  }

  /** All is there: what is held is let go. */
  async letGo(): Promise<void> {
    await this.hand([], (o) => {
      this.counts.closed = o.closed;
    }, 'let go');
    await this.lanes.idle();
    this.journal.end();
  }

  /** Chunk by chunk; what the journal has is passed over. */
  async once(rank: number): Promise<void> {
    for await (const items of this.chunks(rank)) {
      const n = this.next++;
      if (this.journal.isDone(n)) {
        this.counts.skipped += items.length;
        this.progress(items.length);
        continue;
      }
      const finish = (o: Outcome): void => {
        this.count(o);
        this.journal.finish(n, o.refused);
        this.progress(items.length);
      };
      if (rank === FAULTY) finish({ taken: 0, held: 0, closed: 0, refused: items.map((i) => refusal(i, i.fault ?? `type ${resourceOf(i)?.resourceType} is not imported`)) });
      else await this.hand(items, finish);
    }
    await this.lanes.idle();
  }

  /** Resources that name each other: read again, one chunk after the other, while that brings something new. */
  async whole(rank: number): Promise<void> {
    const read = this.journal.isRead(rank);
    for (let reading = 1; ; reading++) {
      let taken = 0;
      const refused: Refusal[] = [];
      for await (const items of this.chunks(rank)) {
        if (read) this.counts.skipped += items.length;
        else
          await this.hand(items, (o) => {
            taken += o.taken;
            refused.push(...o.refused);
            if (reading === 1) this.counts.skipped += o.held;
          });
        await this.lanes.idle();
        if (reading === 1) this.progress(items.length);
      }
      if (read) return;
      this.counts.taken += taken;
      if (taken && refused.some((r) => r.missing)) continue;
      this.counts.refused += refused.length;
      return this.journal.finishRank(rank, refused);
    }
  }
}

/** Imports files; what an earlier, interrupted run of the same files did is not done again. */
export async function runImport(o: ImportOptions): Promise<Report> {
  const folder = join(o.dataDir, 'imports');
  const source = await survey(o.files, folder);
  const journal = new Journal(join(folder, source.digest), o.chunk ?? CHUNK);
  o.begun?.(source.total);
  const lanes = new Lanes(await o.lanes(source.total));
  const run = new Import(source, journal, lanes, o.progress ?? (() => undefined));
  try {
    run.faulty();
    const ranks = ranksOf(source);
    const write = async (rank: number): Promise<void> => (RANKS[rank].again ? run.whole(rank) : run.once(rank));
    for (const rank of ranks.filter((r) => r < FIRST_CONSENTS)) await write(rank);
    if (!journal.hasEnded) await run.hold(ranks.filter((r) => RANKS[r].late));
    for (const rank of ranks.filter((r) => r >= FIRST_CONSENTS)) await write(rank);
    await run.letGo();
  } finally {
    await lanes.end();
    source.binaries.end();
  }
  return { ...run.counts, report: journal.report };
}

/** Opens the records that imports hold which will not be run again. */
export async function letGoOfAll(lane: Lane): Promise<void> {
  await lane.perform({ act: 'let go of all', digest: '', secret: '', items: [] });
  await lane.end();
}
