// Forms of primitive values. https://hl7.org/fhir/R4/datatypes.html#primitive
import { interval } from '../fhir/dates.ts';

const DATE = /^\d{4}(-(0[1-9]|1[0-2])(-(0[1-9]|[12]\d|3[01]))?)?$/;
const DATE_TIME = /^\d{4}(-(0[1-9]|1[0-2])(-(0[1-9]|[12]\d|3[01])(T([01]\d|2[0-3]):[0-5]\d:([0-5]\d|60)(\.\d{1,9})?(Z|[+-]((0\d|1[0-3]):[0-5]\d|14:00)))?)?)?$/;
const INSTANT = /^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])T([01]\d|2[0-3]):[0-5]\d:([0-5]\d|60)(\.\d{1,9})?(Z|[+-]((0\d|1[0-3]):[0-5]\d|14:00))$/;
const FORMS: Record<string, RegExp> = {
  date: DATE, dateTime: DATE_TIME, instant: INSTANT,
  time: /^([01]\d|2[0-3]):[0-5]\d:([0-5]\d|60)(\.\d{1,9})?$/,
  code: /^[^\s]+( [^\s]+)*$/,
  id: /^[A-Za-z0-9\-.]{1,64}$/,
  oid: /^urn:oid:[0-2](\.(0|[1-9]\d*))+$/,
  uuid: /^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/,
  uri: /^\S*$/, url: /^\S*$/, canonical: /^\S*$/,
  'http://hl7.org/fhirpath/System.String': /[\s\S]/,
};
const NUMBERS: Record<string, [number, number]> = { integer: [-2147483648, 2147483647], positiveInt: [1, 2147483647], unsignedInt: [0, 2147483647] };
const MAX_STRING = 1_048_576;

function base64(v: string): boolean {
  // Linear: no nested repetition. Whole quadruples are checked where the data is decoded.
  return /^[0-9a-zA-Z+/=\s]+$/.test(v);
}

/** What is wrong with a value of a primitive type; undefined: nothing. */
export function primitiveFault(type: string, v: unknown): string | undefined {
  if (type === 'boolean') return typeof v === 'boolean' ? undefined : 'is true or false';
  if (type === 'decimal') return typeof v === 'number' ? undefined : 'is a number';
  const bounds = NUMBERS[type];
  if (bounds) return typeof v === 'number' && Number.isInteger(v) && v >= bounds[0] && v <= bounds[1] ? undefined : `is a whole number from ${bounds[0]} to ${bounds[1]}`;
  if (typeof v !== 'string') return 'is a string';
  if (v === '') return 'is not empty';
  if (type === 'base64Binary') return base64(v) ? undefined : 'is base64';
  const form = FORMS[type];
  if (form && !form.test(v)) return `has the form of a ${type}`;
  if ((type === 'date' || type === 'dateTime' || type === 'instant') && !interval(v)) return 'is a day of the calendar';
  if ((type === 'string' || type === 'markdown') && (v.length > MAX_STRING || !/\S/.test(v))) return 'is text, not blank, at most 1 MB';
  return undefined;
}
