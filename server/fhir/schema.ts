// Elements of the base types, read from the packed StructureDefinitions when first asked for.
import { structures } from './packs.ts';
import type { Json } from './types.ts';

export type ElementType = { code: string; profile?: string[]; targetProfile?: string[]; regex?: string };
export type Element = {
  /** `Patient.contact.name` */
  path: string;
  name: string;
  min: number;
  /** Infinity for `*`. */
  max: number;
  types: ElementType[];
  /** Path whose children it has (`#Bundle.link`). */
  contentReference?: string;
  /** `value[x]`. */
  choice: boolean;
  def: Json;
};

const BASE = 'http://hl7.org/fhir/StructureDefinition/';
const byType = new Map<string, Map<string, Element[]> | undefined>();

function toElement(e: Json): Element {
  const last = e.path.slice(e.path.lastIndexOf('.') + 1);
  const choice = last.endsWith('[x]');
  return { path: e.path, name: choice ? last.slice(0, -3) : last, min: e.min, max: e.max === '*' ? Number.POSITIVE_INFINITY : Number(e.max), types: (e.type ?? []) as ElementType[], contentReference: e.contentReference, choice, def: e };
}

/** Children by parent path of a snapshot's unsliced elements. */
function childrenOf(elements: Json[]): Map<string, Element[]> {
  const map = new Map<string, Element[]>();
  for (const e of elements) {
    if (!e.path.includes('.')) continue;
    const parent = e.path.slice(0, e.path.lastIndexOf('.'));
    const list = map.get(parent) ?? [];
    list.push(toElement(e));
    map.set(parent, list);
  }
  return map;
}

function typeChildren(type: string): Map<string, Element[]> | undefined {
  if (!byType.has(type)) {
    const sd = structures.get(BASE + type);
    byType.set(type, sd && childrenOf(sd.snapshot.element));
  }
  return byType.get(type);
}

const constraints = new Map<string, Json[]>();

/** Invariants on what stands at a place: those of the type itself at its root, of the element within. */
export function constraintsAt(place: Place): Json[] {
  const key = `${place.type} ${place.path}`;
  let known = constraints.get(key);
  if (!known) {
    const own = structures.get(BASE + place.type)?.snapshot.element.find((e: Json) => e.path === place.path);
    known = ((own?.constraint ?? []) as Json[]).filter((c) => c.expression !== undefined && c.severity === 'error');
    constraints.set(key, known);
  }
  return known;
}

/** Where a node stands: a type's own tree and the path in it. */
export type Place = { type: string; path: string };

export const rootPlace = (type: string): Place | undefined => (typeChildren(type) ? { type, path: type } : undefined);

export const childElements = (place: Place): Element[] => typeChildren(place.type)?.get(place.path) ?? [];

const upper = (s: string): string => s[0].toUpperCase() + s.slice(1);

/** The element that a property name stands for, with the type that a choice's name says. */
export function property(place: Place, name: string): { element: Element; type: ElementType } | undefined {
  for (const element of childElements(place)) {
    if (!element.choice && element.name === name) return { element, type: element.types[0] ?? { code: 'BackboneElement' } };
    if (element.choice && name.startsWith(element.name)) {
      const type = element.types.find((t) => name === element.name + upper(t.code));
      if (type) return { element, type };
    }
  }
  return undefined;
}

/** Where the children of an element stand. */
export function placeOf(place: Place, element: Element, type: ElementType): Place | undefined {
  if (element.contentReference) return { type: place.type, path: element.contentReference.replace(/^.*#/, '') };
  if (type.code === 'BackboneElement' || type.code === 'Element') return { type: place.type, path: element.path };
  return rootPlace(type.code);
}
