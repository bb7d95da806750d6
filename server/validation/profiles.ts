// StructureDefinitions → trees of constraints: a snapshot as it stands, or a differential laid over what it derives from.
// https://hl7.org/fhir/R4/profiling.html
import { structures } from '../fhir/packs.ts';
import { asArray, type Json } from '../fhir/types.ts';

export type Constraint = { key: string; severity: string; human?: string; expression?: string };

export type Node = {
  /** `Patient.identifier:ins.value` */
  id: string;
  name: string;
  /** `value[x]` */
  choice: boolean;
  def: Json;
  children: Node[];
  slices: Node[];
  constraints: Constraint[];
};

/** A profile, ready to hold instances against. */
export type Profile = { url: string; type: string; root: Node; context: Json[]; isExtension: boolean };

export type ProfileSource = (url: string) => Json | undefined;

const MAX_DERIVATION = 20;
const MAX_ELEMENTS = 5_000;

/** A profile that cannot be used, and why. */
export class BadProfile extends Error {}

type Defs = Map<string, Json>;

/** Later words on an element prevail; constraints add up. */
function laidOver(base: Json | undefined, own: Json): Json {
  if (!base) return own;
  const constraint = [...asArray<Json>(base.constraint), ...asArray<Json>(own.constraint).filter((c) => !asArray<Json>(base.constraint).some((b) => b.key === c.key))];
  return { ...base, ...own, ...(constraint.length ? { constraint } : {}) };
}

function definitions(sd: Json, source: ProfileSource, depth: number): Defs {
  if (depth > MAX_DERIVATION) throw new BadProfile(`\`${sd.url}\` derives from itself, or too deep.`);
  if (sd.snapshot) return new Map(asArray<Json>(sd.snapshot.element).map((e) => [String(e.id ?? e.path), e]));
  const parent = source(String(sd.baseDefinition).split('|')[0]);
  if (!parent) throw new BadProfile(`\`${sd.url}\` derives from \`${sd.baseDefinition}\`, which is not known here.`);
  // What the base type says is checked for itself; only constraints on it are inherited.
  const out: Defs = parent.derivation === 'constraint' ? new Map(definitions(parent, source, depth + 1)) : new Map();
  for (const e of asArray<Json>(sd.differential?.element)) {
    const id = String(e.id ?? e.path);
    out.set(id, laidOver(out.get(id), e));
  }
  if (out.size > MAX_ELEMENTS) throw new BadProfile(`\`${sd.url}\` has more than ${MAX_ELEMENTS} elements.`);
  return out;
}

const newNode = (id: string, name: string): Node => ({ id, name: name.replace(/\[x\]$/, ''), choice: name.endsWith('[x]'), def: {}, children: [], slices: [], constraints: [] });

/** Finds or makes the node of an element id below the root. */
function place(root: Node, id: string): Node {
  let at = root;
  const parts = id.split('.').slice(1);
  let path = root.id;
  for (const part of parts) {
    const [name, ...slice] = part.split(':');
    path += `.${name}`;
    let child = at.children.find((c) => c.name === name.replace(/\[x\]$/, '') && c.choice === name.endsWith('[x]'));
    if (!child) at.children.push((child = newNode(path, name)));
    if (slice.length) {
      path += `:${slice.join(':')}`;
      let s = child.slices.find((x) => x.id === path);
      if (!s) child.slices.push((s = newNode(path, name)));
      child = s;
    }
    at = child;
  }
  return at;
}

/** Invariants that the base check holds everywhere already. */
const EVERYWHERE = new Set(['ele-1', 'ext-1', 'dom-2', 'dom-3', 'dom-4', 'dom-5', 'dom-6']);

function build(sd: Json, source: ProfileSource): Profile {
  const defs = definitions(sd, source, 0);
  const root = newNode(String(sd.type), String(sd.type));
  for (const [id, def] of defs) {
    const node = id.includes('.') ? place(root, id) : root;
    node.def = def;
    node.constraints = asArray<Constraint>(def.constraint).filter((c) => c.expression !== undefined && !EVERYWHERE.has(c.key));
  }
  return { url: sd.url, type: sd.type, root, context: asArray<Json>(sd.context), isExtension: sd.type === 'Extension' };
}

/** Profiles by URL, built when first asked for; undefined where unknown. Throws BadProfile. */
export function profilesOf(own: Map<string, Json>): (url: string) => Profile | undefined {
  const built = new Map<string, Profile | BadProfile>();
  const source: ProfileSource = (url) => own.get(url) ?? structures.get(url);
  return (canonical) => {
    const url = canonical.split('|')[0];
    const known = built.get(url);
    if (known instanceof BadProfile) throw known;
    if (known) return known;
    const sd = source(url);
    if (sd?.derivation !== 'constraint') return undefined;
    try {
      const p = build(sd, source);
      built.set(url, p);
      return p;
    } catch (e) {
      if (e instanceof BadProfile) built.set(url, e);
      throw e;
    }
  };
}
