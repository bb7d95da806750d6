// Group commit: what is asked for in one turn of the loop shares one transaction and one fsync.
// Where another process writes, this one asks again and goes on with its other work meanwhile: the loop never sleeps for a lock.
import { Unavailable } from '../port.ts';

type Task = { run: () => void; resolve: () => void; reject: (e: unknown) => void };
type Exec = (sql: string) => void;

/** Most tasks in one transaction, so that one fsync never waits for an unbounded batch. */
const MAX_BATCH = 256;
/** How long another process's transaction is waited for (ms). */
const PATIENCE = 2_000;
/** Between two tries (ms). */
const AGAIN = 2;

export class Committer {
  private readonly exec: Exec;
  private readonly begin: () => boolean;
  private queue: Task[] = [];
  private scheduled = false;
  private waiting: number | undefined;

  /** `begin` starts a transaction; false where another process holds the lock. */
  constructor(exec: Exec, begin: () => boolean) {
    this.exec = exec;
    this.begin = begin;
  }

  /** Runs `work` inside a savepoint of the next transaction; resolves once it is durable. */
  submit(work: () => void): Promise<void> {
    return new Promise((resolve, reject) => {
      this.queue.push({ run: work, resolve, reject });
      if (!this.scheduled) {
        this.scheduled = true;
        setImmediate(() => this.flush());
      }
    });
  }

  /** Commits what waits, as far as the lock is to be had. */
  flush(): void {
    this.scheduled = false;
    while (this.queue.length) {
      try {
        if (!this.begin()) return this.later();
      } catch (e) {
        this.refuse(e);
        continue;
      }
      this.waiting = undefined;
      this.batch(this.queue.splice(0, MAX_BATCH));
    }
  }

  /** Refuses what waits at the front. */
  private refuse(e: unknown): void {
    this.waiting = undefined;
    for (const t of this.queue.splice(0, MAX_BATCH)) t.reject(new Unavailable(String(e)));
  }

  private later(): void {
    this.waiting ??= Date.now() + PATIENCE;
    if (Date.now() > this.waiting) this.refuse('the store is locked by another process');
    if (!this.queue.length) return;
    this.scheduled = true;
    setTimeout(() => this.flush(), AGAIN);
  }

  /** Within a transaction that has begun. */
  private batch(tasks: Task[]): void {
    const done: Task[] = [];
    const failed: [Task, unknown][] = [];
    try {
      // Alone in its transaction, a task needs no savepoint: its failure rolls all back.
      if (tasks.length === 1) return this.alone(tasks[0]);
      for (const t of tasks) {
        this.exec('SAVEPOINT s');
        try {
          t.run();
          done.push(t);
        } catch (e) {
          this.exec('ROLLBACK TO s');
          failed.push([t, e]);
        }
        this.exec('RELEASE s');
      }
      this.exec('COMMIT');
    } catch (e) {
      this.rollback();
      for (const t of tasks) t.reject(new Unavailable(String(e)));
      return;
    }
    for (const t of done) t.resolve();
    for (const [t, e] of failed) t.reject(e);
  }

  private alone(task: Task): void {
    try {
      task.run();
    } catch (e) {
      this.rollback();
      task.reject(e);
      return;
    }
    this.exec('COMMIT');
    task.resolve();
  }

  private rollback(): void {
    try {
      this.exec('ROLLBACK');
    } catch {
      // The transaction is gone already.
    }
  }
}
