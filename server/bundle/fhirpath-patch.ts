// FHIRPath Patch: https://hl7.org/fhir/R4/fhirpatch.html
import fhirpath from 'fhirpath';
import * as errors from '../fhir/errors.ts';
import { asArray, type Json, type Resource, cloned } from '../fhir/types.ts';
import { type Place, placeOf, property, rootPlace } from '../fhir/schema.ts';

/** A place in the resource: its holder, the property, and the index in a list. */
type Node = { holder: Json; key: string; index?: number; place: Place | undefined };

const failed = (text: string) => errors.businessRule(text, ['Parameters.parameter'], 'patch-failed');

const nodeValue = (n: Node): unknown => (n.index === undefined ? n.holder[n.key] : n.holder[n.key][n.index]);

/** Splits a path at dots outside brackets and quotes. */
function steps(path: string): string[] {
  const out: string[] = [];
  let depth = 0;
  let quoted = false;
  let from = 0;
  for (let i = 0; i < path.length; i++) {
    const c = path[i];
    if (c === "'") quoted = !quoted;
    else if (!quoted && (c === '(' || c === '[')) depth++;
    else if (!quoted && (c === ')' || c === ']')) depth--;
    else if (!quoted && c === '.' && depth === 0) {
      out.push(path.slice(from, i));
      from = i + 1;
    }
  }
  out.push(path.slice(from));
  return out;
}

function children(nodes: Node[], name: string): Node[] {
  const out: Node[] = [];
  for (const n of nodes) {
    const value = nodeValue(n);
    if (value === null || typeof value !== 'object') continue;
    const o = value as Json;
    const key = name in o ? name : Object.keys(o).find((k) => k.startsWith(name) && /^[A-Z]/.test(k.slice(name.length)) && n.place !== undefined && property(n.place, k)?.element.name === name);
    if (key === undefined) continue;
    const p = n.place && property(n.place, key);
    const place = p && n.place ? placeOf(n.place, p.element, p.type) : undefined;
    if (Array.isArray(o[key])) o[key].forEach((_: unknown, index: number) => out.push({ holder: o, key, index, place }));
    else out.push({ holder: o, key, place });
  }
  return out;
}

function filtered(nodes: Node[], expression: string): Node[] {
  return nodes.filter((n) => {
    try {
      return (fhirpath.evaluate(nodeValue(n), expression) as unknown[])[0] === true;
    } catch {
      throw failed(`The path holds an expression that cannot be evaluated: \`${expression.slice(0, 100)}\`.`);
    }
  });
}

function step(nodes: Node[], text: string): Node[] {
  const indexed = /^(.*)\[(\d+)\]$/.exec(text);
  if (indexed) {
    const one = (indexed[1] ? step(nodes, indexed[1]) : nodes)[Number(indexed[2])];
    return one ? [one] : [];
  }
  const where = /^where\((.*)\)$/s.exec(text);
  if (where) return filtered(nodes, where[1]);
  const extension = /^extension\('(.*)'\)$/.exec(text);
  if (extension) return children(nodes, 'extension').filter((n) => (nodeValue(n) as Json)?.url === extension[1]);
  if (text === 'first()') return nodes.slice(0, 1);
  if (text === 'last()') return nodes.slice(-1);
  if (/^[A-Za-z_]+$/.test(text)) return children(nodes, text);
  throw failed(`The path step \`${text.slice(0, 100)}\` is not supported.`);
}

/** Nodes that a path selects; throws where its head is not the resource's type. */
function select(root: { r: Resource }, path: string): Node[] {
  const [head, ...rest] = steps(path.trim());
  const start: Node = { holder: root, key: 'r', place: rootPlace(root.r.resourceType) };
  if (head !== root.r.resourceType && head !== 'Resource' && head !== 'DomainResource') throw failed(`The path \`${path.slice(0, 100)}\` does not start with ${root.r.resourceType}.`);
  return rest.reduce(step, [start]);
}

const valueKey = (part: Json): string | undefined => Object.keys(part).find((k) => k.startsWith('value'));

/** The value of a part: a typed value[x], or an anonymous type made of nested parts. */
function partValue(part: Json, place: Place | undefined): unknown {
  const key = valueKey(part);
  if (key) return part[key];
  if (!part.part) return undefined;
  const out: Json = {};
  for (const p of asArray<Json>(part.part)) {
    const found = place && property(place, p.name);
    const value = partValue(p, found && place ? placeOf(place, found.element, found.type) : undefined);
    if (found && found.element.max > 1) out[p.name] = [...(out[p.name] ?? []), value];
    else out[p.name] = value;
  }
  return out;
}

const parts = (operation: Json): Record<string, Json> => Object.fromEntries(asArray<Json>(operation.part).map((p) => [p.name, p]));

function only(nodes: Node[], path: string, verb: string): Node {
  if (!nodes.length) throw failed(`No content found at \`${path.slice(0, 100)}\` when ${verb}.`);
  if (nodes.length > 1) throw failed(`More than one place at \`${path.slice(0, 100)}\` when ${verb}.`);
  return nodes[0];
}

/** The list that a path such as `Patient.identifier` names. */
function list(root: { r: Resource }, path: string, verb: string): { values: unknown[]; place: Place | undefined } {
  const nodes = select(root, path);
  const first = nodes[0];
  if (!first) throw failed(`No content found at \`${path.slice(0, 100)}\` when ${verb}.`);
  const values = first.holder[first.key];
  if (!Array.isArray(values) || nodes.some((n) => n.holder !== first.holder)) throw failed(`\`${path.slice(0, 100)}\` is not one list.`);
  return { values, place: first.place };
}

const integer = (p: Json | undefined, name: string, max: number): number => {
  const n = p?.valueInteger;
  if (!Number.isInteger(n) || n < 0 || n > max) throw failed(`\`${name}\` is not a place in the list.`);
  return n;
};

function add(root: { r: Resource }, path: string, p: Record<string, Json>): void {
  const node = only(select(root, path), path, 'adding');
  const holder = nodeValue(node) as Json;
  const name = String(p.name?.valueString ?? '');
  if (!/^[A-Za-z]+$/.test(name) || !p.value) throw failed('An add has `name` and `value`.');
  const typed = valueKey(p.value)?.slice('value'.length) ?? '';
  const found = node.place && (property(node.place, name) ? { key: name, ...property(node.place, name) } : property(node.place, name + typed) ? { key: name + typed, ...property(node.place, name + typed) } : undefined);
  if (!found?.element || !found.type) throw failed(`\`${name}\` is no element at \`${path.slice(0, 100)}\`.`);
  const value = partValue(p.value, node.place ? placeOf(node.place, found.element, found.type) : undefined);
  if (found.element.max > 1) holder[found.key] = [...asArray(holder[found.key]), value];
  else if (holder[found.key] !== undefined) throw failed(`\`${name}\` is there already at \`${path.slice(0, 100)}\`.`);
  else holder[found.key] = value;
}

/** Deletes a node and what becomes empty by it. */
function remove(node: Node): void {
  if (node.key === 'r') throw failed('A patch does not delete the resource.');
  if (node.index === undefined) {
    delete node.holder[node.key];
    delete node.holder[`_${node.key}`];
  } else {
    node.holder[node.key].splice(node.index, 1);
    if (!node.holder[node.key].length) delete node.holder[node.key];
  }
}

/** Removes objects that a deletion left empty, which FHIR does not allow. */
function prune(value: unknown): boolean {
  if (Array.isArray(value)) {
    for (let i = value.length - 1; i >= 0; i--) if (prune(value[i])) value.splice(i, 1);
    return value.length === 0;
  }
  if (value === null || typeof value !== 'object') return false;
  const o = value as Json;
  for (const k of Object.keys(o)) if (o[k] !== null && typeof o[k] === 'object' && prune(o[k])) delete o[k];
  return Object.keys(o).length === 0;
}

function operate(root: { r: Resource }, operation: Json): void {
  const p = parts(operation);
  const kind = p.type?.valueCode ?? p.type?.valueString;
  const path = String(p.path?.valueString ?? '');
  if (!path) throw failed('An operation has a `path`.');
  switch (kind) {
    case 'add': return add(root, path, p);
    case 'insert': {
      const { values, place } = list(root, path, 'inserting');
      values.splice(integer(p.index, 'index', values.length), 0, partValue(p.value ?? {}, place));
      return;
    }
    case 'delete': {
      const nodes = select(root, path);
      if (nodes.length > 1) throw failed(`More than one place at \`${path.slice(0, 100)}\` when deleting.`);
      if (nodes[0]) remove(nodes[0]);
      prune(root.r);
      return;
    }
    case 'replace': {
      const node = only(select(root, path), path, 'replacing');
      const value = partValue(p.value ?? {}, node.place);
      if (value === undefined) throw failed('A replace has a `value`.');
      if (node.key === 'r') throw failed('A patch does not replace the resource.');
      if (node.index === undefined) node.holder[node.key] = value;
      else node.holder[node.key][node.index] = value;
      return;
    }
    case 'move': {
      const { values } = list(root, path, 'moving');
      const [moved] = values.splice(integer(p.source, 'source', values.length - 1), 1);
      values.splice(integer(p.destination, 'destination', values.length), 0, moved);
      return;
    }
    default: throw failed(`\`${String(kind).slice(0, 40)}\` is no operation of a FHIRPath Patch.`);
  }
}

/** Applies the operations of a Parameters resource in order; a 422 names what does not apply. */
export function applyFhirPathPatch(resource: Resource, patch: Resource): Resource {
  const root = { r: cloned(resource) };
  for (const operation of asArray<Json>(patch.parameter)) {
    if (operation.name !== 'operation') throw failed(`\`${String(operation.name).slice(0, 40)}\` is no operation.`);
    operate(root, operation);
  }
  return root.r;
}
