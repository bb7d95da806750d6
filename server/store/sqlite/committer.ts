// Group commit: what is asked for in one turn of the loop shares one transaction and one fsync.
import { Unavailable } from '../port.ts';

type Task = { run: () => void; resolve: () => void; reject: (e: unknown) => void };
type Exec = (sql: string) => void;

/** Most tasks in one transaction, so that one fsync never waits for an unbounded batch. */
const MAX_BATCH = 256;

export class Committer {
  private readonly exec: Exec;
  private queue: Task[] = [];
  private scheduled = false;

  constructor(exec: Exec) {
    this.exec = exec;
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

  /** Commits what waits, now. */
  flush(): void {
    this.scheduled = false;
    while (this.queue.length) this.batch(this.queue.splice(0, MAX_BATCH));
  }

  private batch(tasks: Task[]): void {
    const done: Task[] = [];
    const failed: [Task, unknown][] = [];
    try {
      this.exec('BEGIN IMMEDIATE');
    } catch (e) {
      for (const t of tasks) t.reject(new Unavailable(String(e)));
      return;
    }
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
