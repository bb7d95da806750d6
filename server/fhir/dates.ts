// FHIR date, dateTime, instant as intervals of milliseconds. https://hl7.org/fhir/R4/search.html#date

const FORM = /^(\d{4})(?:-(\d{2})(?:-(\d{2})(?:T(\d{2}):(\d{2})(?::(\d{2})(?:\.(\d+))?)?(Z|[+-]\d{2}:\d{2})?)?)?)?$/;

export type Interval = { lo: number; hi: number };
/** Ends of time: beyond any date that FHIR can write. */
export const FOREVER: Interval = { lo: -62_135_596_800_000, hi: 253_402_300_799_999 };

/** Intervals told lately: a resource names one date in several elements, and each is checked, indexed and stamped. */
const lately = new Map<string, Interval | undefined>();
const LATELY = 64;
/** Nothing longer is a date. */
const LONGEST = 64;

/** The interval that a date text covers, its end included (ms); a time without zone is UTC. Undefined when it is no date. */
export function interval(text: unknown): Interval | undefined {
  if (typeof text !== 'string' || text.length > LONGEST) return undefined;
  if (lately.has(text)) return lately.get(text);
  if (lately.size >= LATELY) lately.clear();
  const told = tell(text);
  lately.set(text, told);
  return told;
}

function tell(text: string): Interval | undefined {
  const m = FORM.exec(text);
  if (!m) return undefined;
  const [y, mo, d, h, mi, s] = [m[1], m[2] ?? '01', m[3] ?? '01', m[4] ?? '00', m[5] ?? '00', m[6] ?? '00'];
  const ms = (m[7] ?? '').slice(0, 3).padEnd(3, '0');
  const lo = Date.parse(`${y}-${mo}-${d}T${h}:${mi}:${s === '60' ? '59' : s}.${ms}${m[8] ?? 'Z'}`);
  if (Number.isNaN(lo) || !realDay(Number(y), Number(mo), Number(d))) return undefined;
  return { lo, hi: lo + width(m, lo) - 1 };
}

function realDay(y: number, m: number, d: number): boolean {
  return d <= new Date(Date.UTC(y, m, 0)).getUTCDate();
}

/** How long a date of this precision lasts, in ms. */
function width(m: RegExpExecArray, lo: number): number {
  if (m[7] !== undefined) return 10 ** Math.max(0, 3 - m[7].length);
  if (m[6] !== undefined) return 1_000;
  if (m[4] !== undefined) return 60_000;
  if (m[3] !== undefined) return 86_400_000;
  const next = new Date(lo);
  if (m[2] !== undefined) next.setUTCMonth(next.getUTCMonth() + 1);
  else next.setUTCFullYear(next.getUTCFullYear() + 1);
  return next.getTime() - lo;
}

/** The interval of a Period; an absent end is open. */
export function periodInterval(p: { start?: string; end?: string } | undefined): Interval | undefined {
  if (!p) return undefined;
  const start = p.start === undefined ? FOREVER.lo : interval(p.start)?.lo;
  const end = p.end === undefined ? FOREVER.hi : interval(p.end)?.hi;
  return start === undefined || end === undefined ? undefined : { lo: start, hi: end };
}

/** One calendar month later, UTC; the 31st becomes the month's last day (R6). */
export function monthAfter(ms: number): number {
  return addMonths(ms, 1);
}

/** `n` calendar months later, UTC; a day that the month lacks becomes its last. */
export function addMonths(ms: number, n: number): number {
  const d = new Date(ms);
  const day = d.getUTCDate();
  d.setUTCDate(1);
  d.setUTCMonth(d.getUTCMonth() + n);
  d.setUTCDate(Math.min(day, new Date(Date.UTC(d.getUTCFullYear(), d.getUTCMonth() + 1, 0)).getUTCDate()));
  return d.getTime();
}
