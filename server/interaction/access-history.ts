// Patient/$access-history: who did what in the record, as a person reads it; JSON (Parameters) or CSV, newest first, paged.
import { accessHistory, type Coded, type Line } from '../access/history.ts';
import * as errors from '../fhir/errors.ts';
import type { Json } from '../fhir/types.ts';
import type { Context, Request, Response } from './context.ts';
import { parametersIn, valuesIn } from './parameters.ts';

const text = (name: string, value: string | undefined): Json[] => (value === undefined ? [] : [{ name, valueString: value }]);
const coding = (name: string, c: Coded | undefined): Json[] => (c ? [{ name, valueCoding: { system: c.system, code: c.code, ...(c.display ? { display: c.display } : {}) } }] : []);
const reference = (name: string, ref: string | undefined, display?: string): Json[] => (ref || display ? [{ name, valueReference: { ...(ref ? { reference: ref } : {}), ...(display ? { display } : {}) } }] : []);

const partOf = (l: Line): Json[] => [
  { name: 'at', valueInstant: l.at }, ...reference('event', l.event), ...reference('who', l.who.reference, l.who.name), ...coding('profession', l.profession), ...coding('specialty', l.specialty), ...coding('sector', l.sector),
  ...reference('establishment', l.establishment?.reference, l.establishment?.name), ...coding('action', l.action), { name: 'permitted', valueBoolean: l.permitted }, ...text('outcome', l.outcome), ...coding('mode', l.mode), ...text('purpose', l.purpose), ...text('reason', l.reason),
  ...l.documents.flatMap((d) => reference('document', d.reference, d.title)), ...l.rules.flatMap((r) => coding('rule', r)), ...l.consents.flatMap((c) => reference('consent', c)),
];

const COLUMNS: [string, (l: Line) => string | undefined][] = [
  ['date', (l) => l.at], ['qui', (l) => l.who.name ?? l.who.reference], ['profession', (l) => shown(l.profession)], ['spécialité', (l) => shown(l.specialty)], ['établissement', (l) => l.establishment?.name ?? l.establishment?.reference],
  ['action', (l) => shown(l.action)], ['résultat', (l) => (l.permitted ? 'autorisé' : 'refusé')], ['documents', (l) => l.documents.map((d) => (d.title ? `${d.title} (${d.reference})` : d.reference)).join(' ; ')],
  ['mode', (l) => shown(l.mode)], ['motif', (l) => l.reason], ['règle', (l) => l.rules.map(shown).join(' ; ')], ['consentements', (l) => l.consents.join(' ; ')], ['trace', (l) => l.event],
];

const shown = (c: Coded | undefined): string => (c ? (c.display ? `${c.display} (${c.code})` : c.code) : '');

/** RFC 4180; a cell that a spreadsheet would take for a formula is kept from it. */
function cell(value: string | undefined): string {
  const plain = (value ?? '').replace(/^[=+\-@\t\r]/, "'$&");
  return /[",\r\n]/.test(plain) ? `"${plain.replace(/"/g, '""')}"` : plain;
}

const csv = (lines: Line[]): string => [COLUMNS.map(([n]) => n), ...lines.map((l) => COLUMNS.map(([, f]) => cell(f(l))))].map((r) => r.join(',')).join('\r\n');

export async function accessHistoryOperation(ctx: Context, { id, req }: { id?: string; req: Request }): Promise<Response> {
  ctx.records.requireScope('AuditEvent', 's');
  const patient = (await ctx.records.read('Patient', id as string)).id;
  const p = parametersIn(req);
  if (p('_count') !== undefined && !/^\d{1,4}$/.test(p('_count') as string)) throw errors.invalidParameter('`_count` is a number.');
  const count = Math.max(1, Math.min(Number(p('_count') ?? 50), ctx.settings.limits.count));
  const dates = valuesIn(req)('date');
  const { lines, next } = await accessHistory(ctx.records, patient, { count, cursor: p('_cursor'), date: dates });
  const more = next && `${ctx.settings.base}/Patient/${patient}/$access-history?${new URLSearchParams([...dates.map((d): [string, string] => ['date', d]), ['_count', String(count)], ['_cursor', next]])}`;
  const asCsv = p('_format') === 'csv' || p('_format') === 'text/csv' || (p('_format') === undefined && /text\/csv/.test(req.headers.accept ?? ''));
  if (asCsv) return { status: 200, headers: { 'Content-Type': 'text/csv; charset=utf-8; header=present', 'Content-Disposition': 'attachment; filename="historique.csv"', ...(more ? { Link: `<${more}>; rel="next"` } : {}) }, text: `${csv(lines)}\r\n` };
  return { status: 200, headers: {}, resource: { resourceType: 'Parameters', parameter: [...lines.map((l) => ({ name: 'access', part: partOf(l) })), ...(more ? [{ name: 'next', valueUri: more }] : [])] } };
}
