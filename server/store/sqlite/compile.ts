// Plan → SQL. The atoms only; what they mean was settled above the port.
import { type Plan, SCALAR_NAMES, type Search, type Sort } from '../port.ts';
import { pinned } from '../plan.ts';

/** The columns of a row beside its text, as one JSON array (see toRow in store.ts). */
export const ROW_META = `json_array(${['type', 'id', 'version', 'updated', 'deleted', 'method', ...SCALAR_NAMES].map((c) => `r.${c}`).join(', ')})`;

type Bind = string | number | null;
export type Compiled = { sql: string; bind: Bind[] };

const HIGH = '\u{10ffff}';
const SEP = '\u001f';

/** Where a type's terms are kept: rows of `term`, or one delimited column (AuditEvent: many, rarely searched by term). */
type Place = 'table' | 'inline';

function scalarSql(plan: Extract<Plan, { kind: 'scalar' }>, bind: Bind[]): string {
  const f = `r.${plan.field}`;
  if (plan.op === 'has') {
    bind.push(`,${plan.value},`);
    return `instr(${f}, ?) > 0`;
  }
  if (plan.value === null) return plan.op === 'eq' ? `${f} IS NULL` : '0';
  bind.push(plan.value);
  const op = { eq: '=', le: '<=', ge: '>=', lt: '<', gt: '>' }[plan.op];
  // IS, not =: a NULL must count as different, inside NOT too.
  return plan.op === 'eq' ? `${f} IS ?` : `(${f} IS NOT NULL AND ${f} ${op} ?)`;
}

function rangeSql(plan: Extract<Plan, { kind: 'range' }>, bind: Bind[]): string {
  bind.push(plan.p);
  let sql = 'EXISTS (SELECT 1 FROM range g WHERE g.p = ? AND g.rid = r.rid';
  for (const [k, cond] of [['loMin', 'g.lo >= ?'], ['loMax', 'g.lo <= ?'], ['hiMin', 'g.hi >= ?'], ['hiMax', 'g.hi <= ?']] as const) {
    const v = plan[k];
    if (v === undefined) continue;
    sql += ` AND ${cond}`;
    bind.push(v);
  }
  return `${sql})`;
}

function termSql(plan: Extract<Plan, { kind: 'term' | 'prefix' | 'contains' }>, place: Place, bind: Bind[], driving: boolean): string {
  if (place === 'inline') {
    if (plan.kind === 'contains') {
      bind.push(`${plan.key}`, plan.text);
      return 'inline_contains(r.terms, ?, ?)';
    }
    bind.push(plan.kind === 'term' ? `${SEP}${plan.key}${SEP}` : `${SEP}${plan.key}`);
    return 'instr(r.terms, ?) > 0';
  }
  if (plan.kind === 'term') {
    bind.push(plan.key);
    return driving ? 'r.rid IN (SELECT rid FROM term WHERE key = ?)' : 'EXISTS (SELECT 1 FROM term t WHERE t.key = ? AND t.rid = r.rid)';
  }
  bind.push(plan.key, plan.key + HIGH);
  if (plan.kind === 'prefix') return 'r.rid IN (SELECT rid FROM term WHERE key >= ? AND key < ?)';
  bind.push(plan.key.length + 1, plan.text);
  return 'r.rid IN (SELECT rid FROM term WHERE key >= ? AND key < ? AND in_time() AND instr(substr(key, ?), ?) > 0)';
}

function condition(plan: Plan, place: Place, bind: Bind[], driving: boolean): string {
  switch (plan.kind) {
    case 'all': return '1';
    case 'none': return '0';
    case 'and': return `(${plan.of.map((p) => condition(p, place, bind, driving)).join(' AND ')})`;
    case 'or': return `(${plan.of.map((p) => condition(p, place, bind, driving)).join(' OR ')})`;
    case 'not': return `NOT ${condition(plan.of, place, bind, false)}`;
    case 'ids':
      bind.push(JSON.stringify(plan.ids));
      return 'r.id IN (SELECT value FROM json_each(?))';
    case 'terms':
      bind.push(JSON.stringify(plan.keys));
      return place === 'inline' ? "EXISTS (SELECT 1 FROM json_each(?) j WHERE instr(r.terms, char(31) || j.value || char(31)) > 0)" : 'r.rid IN (SELECT rid FROM term WHERE key IN (SELECT value FROM json_each(?)))';
    case 'range': return place === 'inline' ? auditDate(plan, bind) : rangeSql(plan, bind);
    case 'scalar': return scalarSql(plan, bind);
    default: return termSql(plan, place, bind, driving);
  }
}

/** AuditEvent has one date, kept as a scalar. */
function auditDate(plan: Extract<Plan, { kind: 'range' }>, bind: Bind[]): string {
  const parts: string[] = [];
  for (const [k, op] of [['loMin', '>='], ['loMax', '<='], ['hiMin', '>='], ['hiMax', '<=']] as const) {
    const v = plan[k];
    if (v === undefined) continue;
    parts.push(`r.date ${op} ?`);
    bind.push(v);
  }
  return parts.length ? `(${parts.join(' AND ')})` : '1';
}

/** The expression that a sort orders by. */
function sortExpression(s: Sort, inline: boolean): string {
  if (s.by === 'date' || s.by === 'id') return `r.${s.by}`;
  if (s.by === 'updated') return inline ? 'r.date' : 'r.updated';
  return `COALESCE((SELECT json_extract(b.entries, '$.sorts."${s.by.replace(/[^A-Za-z0-9_-]/g, '')}"[${s.desc ? 1 : 0}]') FROM body b WHERE b.rid = r.rid), '')`;
}

function keyset(search: Search, inline: boolean, bind: Bind[]): string {
  const after = search.after;
  if (!after) return '1';
  const columns = [...search.sort.map((s) => ({ sql: sortExpression(s, inline), desc: s.desc })), { sql: 'r.id', desc: search.sort[0]?.desc ?? true }];
  const ors: string[] = [];
  for (let i = 0; i < columns.length; i++) {
    const parts: string[] = [];
    for (let j = 0; j < i; j++) {
      parts.push(`${columns[j].sql} = ?`);
      bind.push(after[j]);
    }
    parts.push(`${columns[i].sql} ${columns[i].desc ? '<' : '>'} ?`);
    bind.push(after[i]);
    ors.push(`(${parts.join(' AND ')})`);
  }
  // The first column alone bounds the index scan.
  const head = columns[0];
  bind.push(after[0]);
  return `(${ors.join(' OR ')}) AND ${head.sql} ${head.desc ? '<=' : '>='} ?`;
}

const from = (type: string): { table: string; place: Place; base: string } =>
  type === 'AuditEvent' ? { table: 'audit r', place: 'inline', base: '1' } : { table: 'res r', place: 'table', base: 'r.deleted = 0' };

/** What narrows a search most: the planner, left alone, would rather walk a whole type in the order asked for. */
type Driver = 'patient' | 'ids' | 'terms' | 'scan';

/** Ids up to which looking each up beats walking a patient's rows. */
const FEW_IDS = 50;

function driverOf(plan: Plan): Driver {
  const parts = plan.kind === 'and' ? plan.of : [plan];
  const fewest = Math.min(...parts.map((p) => (p.kind === 'ids' ? p.ids.length : Number.POSITIVE_INFINITY)));
  if (fewest <= FEW_IDS) return 'ids';
  if (typeof pinned(plan, 'patient') === 'string') return 'patient';
  if (fewest < Number.POSITIVE_INFINITY) return 'ids';
  const narrow = parts.some((p) => p.kind === 'term' || p.kind === 'terms' || p.kind === 'prefix' || p.kind === 'contains');
  return narrow || typeof pinned(plan, 'chain') === 'string' || typeof pinned(plan, 'bound') === 'string' ? 'terms' : 'scan';
}

/** The type's condition; a leading + keeps its indexes out where something narrower drives. */
const typeSql = (driver: Driver): string => (driver === 'terms' ? '+r.type = ?' : 'r.type = ?');

/** A page of a search: row columns, then sort keys `k0…`, ordered. */
export function searchSql(search: Search): Compiled {
  const { table, place, base } = from(search.type);
  const inline = place === 'inline';
  const bind: Bind[] = [];
  const keys = search.sort.map((s, i) => `${sortExpression(s, inline)} AS k${i}`).join(', ');
  const driver = driverOf(search.plan);
  const driving = driver === 'terms';
  const where = [base, ...(inline || driver === 'scan' ? ['in_time()'] : [])];
  if (!inline) {
    where.push(typeSql(driver));
    bind.push(search.type);
  }
  where.push(patientHint(search.plan, driver), condition(search.plan, place, bind, driving), keyset(search, inline, bind));
  const byDate = search.sort[0]?.by === 'date';
  const kept = driver === 'scan' || (inline && driver !== 'ids') || (driver === 'patient' && byDate) ? '' : '+';
  const order = [...search.sort.map((s, i) => `${kept}${s.by === 'date' || s.by === 'id' ? sortExpression(s, inline) : `k${i}`} ${s.desc ? 'DESC' : 'ASC'}`), `${kept}r.id ${(search.sort[0]?.desc ?? true) ? 'DESC' : 'ASC'}`].join(', ');
  bind.push(search.limit);
  const row = inline ? 'r.*' : `${ROW_META} AS meta, (SELECT text FROM body WHERE body.rid = r.rid) AS text`;
  return { sql: `SELECT ${row}, r.id AS rowId${keys ? `, ${keys}` : ''} FROM ${table} WHERE ${where.join(' AND ')} ORDER BY ${order} LIMIT ?`, bind };
}

/** Lets the planner take the partial indexes: IS does not tell it that NULL is out. */
function patientHint(plan: Plan, driver: Driver): string {
  if (driver === 'ids') return '1';
  const fields = (['patient', 'chain', 'bound'] as const).filter((f) => typeof pinned(plan, f) === 'string');
  return fields.length ? fields.map((f) => `r.${f} IS NOT NULL`).join(' AND ') : '1';
}

/** `what` of all matches: a count, or ids. */
export function scanSql(type: string, plan: Plan, what: string, deleted = false): Compiled {
  const { table, place, base } = from(type);
  const bind: Bind[] = [];
  const driver = driverOf(plan);
  const where = [deleted ? '1' : base, ...(place === 'inline' || driver === 'scan' ? ['in_time()'] : [])];
  if (place !== 'inline') {
    where.push(typeSql(driver));
    bind.push(type);
  }
  where.push(patientHint(plan, driver), condition(plan, place, bind, driver === 'terms'));
  return { sql: `SELECT ${what} FROM ${table} WHERE ${where.join(' AND ')}`, bind };
}
