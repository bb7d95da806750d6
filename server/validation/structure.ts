// Structure, cardinality, primitives, choices, reference targets, bindings: the base type, element by element.
import type { Issue } from '../fhir/errors.ts';
import { asArray, ID, type Json, type Resource } from '../fhir/types.ts';
import { childElements, constraintsAt, type Element, type ElementType, type Place, placeOf, rootPlace } from '../fhir/schema.ts';
import type { Terminology } from '../terminology/terms.ts';
import { evaluate } from './invariants.ts';
import { narrativeFault } from './narrative.ts';
import { primitiveFault } from './primitives.ts';
import type { Constraint } from './profiles.ts';

type Slot = { element: Element; type: ElementType; list: boolean; primitive: boolean; place: () => Place | undefined; binding: string | undefined; targets: Set<string> | undefined; /** Invariants on this use of a type, beside the type's own. */ constraints: Constraint[] };
type Shape = { slots: Map<string, Slot>; required: { name: string; keys: string[] }[]; choices: string[][] };

const shapes = new Map<string, Shape>();
const upper = (s: string): string => s[0].toUpperCase() + s.slice(1);

const isPrimitiveType = (code: string): boolean => /^[a-z]/.test(code) || code.startsWith('http://hl7.org/fhirpath/');

const CODED = new Set(['code', 'Coding', 'CodeableConcept', 'Quantity', 'uri', 'string']);

function slotOf(place: Place, element: Element, type: ElementType): Slot {
  const primitive = isPrimitiveType(type.code) && !element.contentReference;
  const binding = element.def.binding?.strength === 'required' && CODED.has(type.code) ? String(element.def.binding.valueSet).split('|')[0] : undefined;
  const targets = type.code === 'Reference' && type.targetProfile?.length ? new Set(type.targetProfile.map((t) => t.slice(t.lastIndexOf('/') + 1))) : undefined;
  const constraints = primitive || type.code === 'BackboneElement' || type.code === 'Element' ? [] : ((element.def.constraint ?? []) as Constraint[]).filter((k) => k.severity === 'error' && k.expression !== undefined && k.key !== 'ele-1' && k.key !== 'ext-1');
  let known: Place | undefined | null = null;
  return { element, type, constraints, list: element.max > 1, primitive, binding, targets: targets?.has('Resource') ? undefined : targets, place: () => (known === null ? (known = placeOf(place, element, type)) : known) };
}

function shapeOf(place: Place): Shape {
  const key = `${place.type} ${place.path}`;
  let shape = shapes.get(key);
  if (shape) return shape;
  shape = { slots: new Map(), required: [], choices: [] };
  for (const element of childElements(place)) {
    const types = element.types.length ? element.types : [{ code: 'BackboneElement' }];
    const keys = element.choice ? types.map((t) => element.name + upper(t.code)) : [element.name];
    keys.forEach((k, i) => shape?.slots.set(k, slotOf(place, element, element.choice ? types[i] : types[0])));
    if (element.min > 0) shape.required.push({ name: element.choice ? `${element.name}[x]` : element.name, keys });
    if (element.choice) shape.choices.push(keys);
  }
  shapes.set(key, shape);
  return shape;
}

export type Checker = { issues: Issue[]; terms: Terminology; contained: Map<string, string>; max: number; /** The resource that a check is in, and the outermost one. */ resource: Json; root: Json };

function fault(c: Checker, path: string, code: string, reason: string, text: string, severity: Issue['severity'] = 'error'): void {
  if (c.issues.length < c.max) c.issues.push({ severity, code, reason, text, expression: [path] });
}

const MIME_TYPES = 'http://hl7.org/fhir/ValueSet/mimetypes';
/** Besides, FHIR's own short names of its formats. */
const MIME = /^(?:json|xml|ttl)$|^[A-Za-z0-9!#$&^_.+-]+\/[A-Za-z0-9!#$&^_.+-]+(\s*;.{1,200})?$/;

/** Required binding: the code, or one coding of the concept, is in the set. */
function checkBinding(c: Checker, value: unknown, slot: Slot, path: string): void {
  // BCP 13 is a form, not a list.
  if (slot.binding === MIME_TYPES && typeof value === 'string' && !MIME.test(value)) return fault(c, path, 'code-invalid', 'code', `\`${value.slice(0, 64)}\` is no media type.`);
  const set = c.terms.members(slot.binding as string);
  if (!set) return;
  if (typeof value === 'string') {
    if (!set.has(`|${value}`)) fault(c, path, 'code-invalid', 'code', `\`${value.slice(0, 64)}\` is not a code of ${slot.binding}.`);
    return;
  }
  const o = value as Json;
  const codings = slot.type.code === 'CodeableConcept' ? asArray<Json>(o.coding) : slot.type.code === 'Quantity' ? (o.code ? [{ system: o.system, code: o.code }] : []) : [o];
  const ok = codings.some((x) => set.has(`${x.system ?? ''}|${x.code}`));
  if (!ok && (codings.length > 0 || slot.type.code === 'CodeableConcept')) fault(c, path, 'code-invalid', 'code', `No coding is a code of ${slot.binding}.`);
}

const REFERENCE_TYPE = /(?:^|\/)([A-Z][A-Za-z]+)\/[A-Za-z0-9\-.]{1,64}(?:\/_history\/[A-Za-z0-9\-.]{1,64})?$/;

function checkReference(c: Checker, value: Json, slot: Slot, path: string): void {
  const text = value.reference;
  if (text !== undefined && typeof text !== 'string') return;
  let type: string | undefined;
  if (text?.startsWith('#')) {
    type = text === '#' ? undefined : c.contained.get(text.slice(1));
    if (text !== '#' && type === undefined) return fault(c, `${path}.reference`, 'not-found', 'contained', `\`${text.slice(0, 64)}\` names no contained resource.`);
  } else if (text) type = REFERENCE_TYPE.exec(text)?.[1] ?? /^([A-Z][A-Za-z]+)\?/.exec(text)?.[1];
  if (slot.targets && type && !slot.targets.has(type)) fault(c, path, 'value', 'reference-target', `A reference to ${type} is not allowed here; allowed: ${[...slot.targets].join(', ')}.`);
}

function checkPrimitive(c: Checker, value: unknown, shadow: unknown, slot: Slot, path: string): void {
  if (value === null || value === undefined) return checkShadow(c, shadow, path);
  const type = slot.type.code === 'xhtml' ? 'xhtml' : slot.type.code;
  if (type === 'xhtml') {
    const f = narrativeFault(value);
    if (f) fault(c, path, 'invalid', 'narrative', f);
    return;
  }
  if (typeof value === 'object') return fault(c, path, 'structure', 'type', `The value is a ${slot.type.code}, not an ${Array.isArray(value) ? 'array' : 'object'}.`);
  const f = primitiveFault(type, value);
  if (f) fault(c, path, 'value', 'primitive', `The value ${f}.`);
  else if (slot.binding) checkBinding(c, value, slot, path);
  if (shadow !== undefined && shadow !== null) checkShadow(c, shadow, path);
}

const ELEMENT_PLACE: Place = { type: 'Element', path: 'Element' };

function checkShadow(c: Checker, shadow: unknown, path: string): void {
  if (shadow === null || shadow === undefined) return fault(c, path, 'structure', 'empty', 'The element has neither a value nor an extension.');
  if (typeof shadow !== 'object' || Array.isArray(shadow)) return fault(c, path, 'structure', 'type', 'The element\'s companion (`_…`) is an object.');
  checkObject(c, shadow as Json, ELEMENT_PLACE, path, 0);
}

function checkValue(c: Checker, value: unknown, slot: Slot, path: string, depth: number): void {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) return fault(c, path, 'structure', 'type', `The value is an object of type ${slot.type.code}.`);
  const o = value as Json;
  if (slot.type.code === 'Resource' || (slot.place()?.type ?? '') === 'Resource') return checkResource(c, o as Resource, path, depth);
  const place = slot.place();
  if (!place) return;
  checkObject(c, o, place, path, depth + 1);
  for (const k of slot.constraints) if (evaluate(k, o, slot.element.path, c.resource, c.root) === 'fails') fault(c, path, 'invariant', k.key, `${k.key}: ${k.human}`);
  if (slot.type.code === 'Reference') checkReference(c, o, slot, path);
  if (slot.binding) checkBinding(c, o, slot, path);
}

function checkList(c: Checker, key: string, value: unknown, shadow: unknown, slot: Slot, path: string, depth: number): void {
  const list = value ?? shadow;
  if (!Array.isArray(list)) return fault(c, `${path}.${key}`, 'structure', 'array', `\`${key}\` is an array.`);
  if (!list.length) return fault(c, `${path}.${key}`, 'structure', 'empty', `\`${key}\` is not an empty array.`);
  const shadows = Array.isArray(shadow) ? shadow : [];
  for (let i = 0; i < Math.max(list.length, shadows.length); i++) {
    const at = `${path}.${key}[${i}]`;
    if (slot.primitive) checkPrimitive(c, Array.isArray(value) ? value[i] : undefined, shadows[i], slot, at);
    else checkValue(c, list[i], slot, at, depth);
  }
  if (list.length > slot.element.max) fault(c, `${path}.${key}`, 'structure', 'cardinality', `\`${key}\` stands at most ${slot.element.max} times.`);
}

const MAX_DEPTH = 60;

function checkObject(c: Checker, o: Json, place: Place, path: string, depth: number, root = false): void {
  if (depth > MAX_DEPTH) return fault(c, path, 'structure', 'depth', 'The resource is nested too deep.');
  const shape = shapeOf(place);
  const keys = Object.keys(o);
  if (!root && (!keys.length || (keys.length === 1 && keys[0] === 'id'))) fault(c, path, 'structure', 'empty', 'The element is empty.');
  for (const key of keys) {
    if (key === 'resourceType' && !path.includes('.')) continue;
    const shadowed = key.charCodeAt(0) === 95;
    const name = shadowed ? key.slice(1) : key;
    const slot = shape.slots.get(name);
    if (!slot || (shadowed && !slot.primitive)) {
      if (!(key === 'resourceType' && place.path === place.type)) fault(c, `${path}.${name}`, 'structure', 'unknown-element', `\`${key.slice(0, 64)}\` is no element of ${place.path}.`);
      continue;
    }
    if (shadowed && name in o) continue;
    const value = shadowed ? undefined : o[key];
    const shadow = slot.primitive ? o[`_${name}`] : undefined;
    if (slot.list) checkList(c, name, value, shadow, slot, path, depth);
    else if (slot.primitive) {
      if (value === null) fault(c, `${path}.${name}`, 'structure', 'empty', 'A null stands only in an array beside its companion.');
      else checkPrimitive(c, value, shadow, slot, `${path}.${name}`);
    } else checkValue(c, value, slot, `${path}.${name}`, depth);
  }
  for (const r of shape.required) if (!r.keys.some((k) => o[k] !== undefined || o[`_${k}`] !== undefined)) fault(c, `${path}.${r.name.replace('[x]', '')}`, 'required', 'required', `\`${r.name}\` is required.`);
  checkInvariants(c, root ? c.resource : o, place, path);
  for (const choice of shape.choices) {
    let n = 0;
    for (const k of choice) if (o[k] !== undefined || o[`_${k}`] !== undefined) n++;
    if (n > 1) fault(c, path, 'structure', 'choice', `Only one of ${choice.filter((k) => o[k] !== undefined).join(', ')} may stand.`);
  }
}

/** Invariants on an object; what cannot be evaluated is no fault of the instance. */
function checkInvariants(c: Checker, o: Json, place: Place, path: string): void {
  for (const k of constraintsAt(place)) if (evaluate(k as Constraint, o, place.path, c.resource, c.root) === 'fails') fault(c, path, 'invariant', k.key, `${k.key}: ${k.human}`);
}

/** A resource by its base type: every fault with its place. */
export function checkResource(c: Checker, resource: Resource, path: string, depth = 0): void {
  const type = resource?.resourceType;
  const place = typeof type === 'string' && /^[A-Z][A-Za-z]+$/.test(type) ? rootPlace(type) : undefined;
  if (!place) return fault(c, `${path}.resourceType`, 'structure', 'unknown-type', `\`${String(type).slice(0, 64)}\` is no resource type.`);
  const outer = c.contained;
  if (resource.contained || depth === 0) {
    c.contained = new Map(outer);
    for (const inner of asArray<Json>(resource.contained)) if (inner && typeof inner === 'object' && inner.id) c.contained.set(inner.id, inner.resourceType);
  }
  if (resource.id !== undefined && !ID.test(String(resource.id))) fault(c, `${path}.id`, 'value', 'primitive', 'The value has the form of an id.');
  const { resourceType: _r, ...body } = resource;
  const within = c.resource;
  c.resource = resource;
  checkObject(c, body, place, path, depth + 1, true);
  c.resource = within;
  c.contained = outer;
}
