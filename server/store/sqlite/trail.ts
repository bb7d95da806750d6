// The trail's raw side on SQLite: one table, chains by process.
import type { AuditSlice, Seal, TrailStore } from '../port.ts';
import type { Committer } from './committer.ts';
import type { Statements } from './statements.ts';

export function sqliteTrail(statement: Statements, committer: Committer): TrailStore {
  return {
    async unsealed(process, limit) {
      return statement('SELECT seq, id, text FROM audit WHERE process = ? AND sealed = 0 ORDER BY seq LIMIT ?').all(process, limit) as AuditSlice[];
    },
    async processes() {
      const rows = statement('SELECT DISTINCT process FROM seal UNION SELECT DISTINCT process FROM audit WHERE sealed = 0').all() as { process: string }[];
      return rows.map((r) => r.process);
    },
    async lastSeal(process) {
      return statement('SELECT process, number, text FROM seal WHERE process = ? ORDER BY number DESC LIMIT 1').get(process) as Seal | undefined;
    },
    seal: (seal, upTo) =>
      committer.submit(() => {
        statement('INSERT INTO seal VALUES (?, ?, ?)').run(seal.process, seal.number, seal.text);
        statement('UPDATE audit SET sealed = 1 WHERE process = ? AND sealed = 0 AND seq <= ?').run(seal.process, upTo);
      }),
    async *seals(process) {
      for (let n = 0; ; ) {
        const rows = statement('SELECT process, number, text FROM seal WHERE process = ? AND number > ? ORDER BY number LIMIT 500').all(process, n) as Seal[];
        yield* rows;
        if (rows.length < 500) return;
        n = rows[rows.length - 1].number;
      }
    },
    async events(process, from, limit) {
      return statement('SELECT seq, id, text FROM audit WHERE process = ? AND seq > ? ORDER BY seq LIMIT ?').all(process, from, limit) as AuditSlice[];
    },
    async drop(process, upTo) {
      let n = 0;
      await committer.submit(() => {
        n = Number(statement('DELETE FROM audit WHERE process = ? AND sealed = 1 AND seq <= ?').run(process, upTo).changes);
      });
      return n;
    },
  };
}
