// What an import has done, kept beside the store: an interrupted one goes on from there. What a journal does not know was done is known by its id.
import { randomBytes } from 'node:crypto';
import { appendFileSync, existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Refusal } from './writer.ts';

/** `chunk`: resources in one; `done`: chunks finished without a gap; `read`: ranks that are read as a whole, finished; `ended`: all is there. */
type Kept = { secret: string; chunk: number; done: number; read: number[]; ended?: true };

export class Journal {
  /** Where refusals are told, one a line. */
  readonly report: string;
  private readonly file: string;
  private readonly kept: Kept;
  private readonly finished = new Set<number>();

  /** `path` without its ending; `chunk` holds for an import that begins. */
  constructor(path: string, chunk: number) {
    mkdirSync(dirname(path), { recursive: true });
    this.file = `${path}.json`;
    this.report = `${path}.refused.ndjson`;
    const stands = existsSync(this.file);
    this.kept = stands ? JSON.parse(readFileSync(this.file, 'utf8')) : { secret: randomBytes(32).toString('hex'), chunk, done: 0, read: [] };
    if (!Array.isArray(this.kept.read)) throw new Error(`${this.file} was begun by an earlier version of this server: finish it with that one, or remove the file to begin anew.`);
    if (!stands) this.keep();
  }

  get secret(): string {
    return this.kept.secret;
  }

  get chunk(): number {
    return this.kept.chunk;
  }

  isDone(chunk: number): boolean {
    return chunk < this.kept.done;
  }

  isRead(rank: number): boolean {
    return this.kept.read.includes(rank);
  }

  get hasEnded(): boolean {
    return this.kept.ended === true;
  }

  end(): void {
    this.kept.ended = true;
    this.keep();
  }

  finish(chunk: number, refused: Refusal[]): void {
    this.tell(refused);
    this.finished.add(chunk);
    while (this.finished.delete(this.kept.done)) this.kept.done++;
    this.keep();
  }

  finishRank(rank: number, refused: Refusal[]): void {
    this.tell(refused);
    this.kept.read.push(rank);
    this.keep();
  }

  private tell(refused: Refusal[]): void {
    if (refused.length) appendFileSync(this.report, refused.map(({ missing: _m, ...r }) => `${JSON.stringify(r)}\n`).join(''), { mode: 0o600 });
  }

  private keep(): void {
    writeFileSync(`${this.file}.new`, JSON.stringify(this.kept), { mode: 0o600 });
    renameSync(`${this.file}.new`, this.file);
  }
}
