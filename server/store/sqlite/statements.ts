import type { StatementSyncInstance } from '@photostructure/sqlite';

/** The prepared statement of a SQL text, kept. */
export type Statements = (sql: string) => StatementSyncInstance;
