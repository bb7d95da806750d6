// The trail's raw side on SQLite: one table, chains by process.
import type { AuditSlice, Seal, TrailStore } from '../port.ts';
import type { Committer } from './committer.ts';
import type { Statements } from './statements.ts';

export function sqliteTrail(statement: Statements, committer: Committer): TrailStore {
  return {
    async unsealed(process, limit) {
      return statement('SELECT a.seq, a.id, a.text FROM unsealed u CROSS JOIN audit a ON a.seq = u.seq WHERE u.process = ? ORDER BY u.seq LIMIT ?').all(process, limit) as AuditSlice[];
    },
    async processes() {
      const rows = statement('SELECT DISTINCT process FROM seal UNION SELECT DISTINCT process FROM unsealed').all() as { process: string }[];
      return rows.map((r) => r.process);
    },
    async lastSeal(process) {
      return statement('SELECT process, number, text FROM seal WHERE process = ? ORDER BY number DESC LIMIT 1').get(process) as Seal | undefined;
    },
    seal: (seal, upTo) =>
      committer.submit(() => {
        statement('INSERT INTO seal VALUES (?, ?, ?)').run(seal.process, seal.number, seal.text);
        statement('DELETE FROM unsealed WHERE process = ? AND seq <= ?').run(seal.process, upTo);
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
        n = Number(statement('DELETE FROM audit WHERE process = ?1 AND seq <= ?2 AND seq NOT IN (SELECT seq FROM unsealed WHERE process = ?1)').run(process, upTo).changes);
      });
      return n;
    },
  };
}
