// Parsing of bodies that may be hostile. https://hl7.org/fhir/R4/json.html
import { malformed } from './errors.ts';

const MAX_DEPTH = 100;
const QUOTE = 34;
const BACKSLASH = 92;

/** Where in the text: enough for an integrator to find the place. */
function place(text: string, index: number): string {
  const before = text.slice(0, index);
  const line = before.split('\n').length;
  return `line ${line}, column ${index - before.lastIndexOf('\n')}`;
}

type Frame = { keys: Set<string> | undefined };

/** Refuses what JSON.parse lets pass in silence: depth, repeated keys (the first would be lost), `__proto__`. */
function scan(text: string): void {
  const stack: Frame[] = [];
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c === QUOTE) {
      const start = i + 1;
      i = text.indexOf('"', start);
      while (i > 0 && escaped(text, i)) i = text.indexOf('"', i + 1);
      if (i < 0) return;
      const frame = stack[stack.length - 1];
      if (frame?.keys && followedByColon(text, i)) checkKey(text, start, i, frame.keys);
    } else if (c === 123 || c === 91) {
      stack.push({ keys: c === 123 ? new Set() : undefined });
      if (stack.length > MAX_DEPTH) throw malformed(`The JSON is nested deeper than ${MAX_DEPTH} levels at ${place(text, i)}.`);
    } else if (c === 125 || c === 93) stack.pop();
  }
}

function escaped(text: string, quote: number): boolean {
  let n = 0;
  while (text.charCodeAt(quote - 1 - n) === BACKSLASH) n++;
  return n % 2 === 1;
}

function followedByColon(text: string, quote: number): boolean {
  let j = quote + 1;
  for (let c = text.charCodeAt(j); c === 32 || c === 10 || c === 13 || c === 9; c = text.charCodeAt(j)) j++;
  return text.charCodeAt(j) === 58;
}

function checkKey(text: string, start: number, end: number, keys: Set<string>): void {
  const raw = text.slice(start, end);
  const key = raw.includes('\\') ? String(JSON.parse(`"${raw}"`)) : raw;
  if (key === '__proto__' || key === 'constructor' || key === 'prototype') throw malformed(`The property name \`${key}\` at ${place(text, start)} is not allowed.`);
  if (keys.has(key)) throw malformed(`The property \`${key.slice(0, 64)}\` appears twice in one object at ${place(text, start)}.`);
  keys.add(key);
}

/** Parses a JSON object; throws a 400 that names the place. */
export function parseJson(text: string): Record<string, any> {
  const clean = text.charCodeAt(0) === 0xfeff ? text.slice(1) : text;
  let value: unknown;
  try {
    value = JSON.parse(clean);
  } catch (e) {
    const at = /position (\d+)/.exec(String(e));
    throw malformed(`The body is not JSON${at ? ` (${place(clean, Number(at[1]))})` : ''}.`);
  }
  scan(clean);
  if (value === null || typeof value !== 'object' || Array.isArray(value)) throw malformed('The body is not a JSON object.');
  return value as Record<string, any>;
}
