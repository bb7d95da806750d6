// The habilitation matrix: which professions open which document types. Data: terminology/matrix-read.json (R row 11).
import type { Json } from '../fhir/types.ts';
import { type Coding, codings } from './vocabulary.ts';

export type Matrix = {
  version: string;
  /** Columns that open every one of these type codings, strictest over them; '' where one is unknown (closed). As `,10,21,`. */
  opens(type: Coding[]): string;
  /** The group of the first coding, for explanations. */
  group(type: Coding[]): string | undefined;
  /** The column of a profession; undefined: closed. */
  column(profession: string | undefined): string | undefined;
  /** Group ids and labels. */
  groups: { id: string; label: string }[];
};

/** Reads the matrix from its data; throws where a cell is not Y or N. */
export function matrixFrom(data: Json): Matrix {
  const byCode = new Map<string, Json>();
  for (const g of data.groups) {
    for (const cell of Object.values(g.cells)) if (!/^[YN]/.test(String(cell))) throw new Error(`matrix ${data.version}: cell \`${cell}\` of ${g.id} is neither Y nor N`);
    for (const t of g.types) byCode.set(`${t.system}|${t.code}`, g);
  }
  const columns = new Map<string, string>();
  for (const c of data.columns) for (const p of c.professions) columns.set(p, c.id);
  const all: string[] = data.columns.map((c: Json) => c.id);
  const groupOf = (c: Coding): Json | undefined => byCode.get(`${c.system}|${c.code}`);
  return {
    version: data.version,
    groups: data.groups.map((g: Json) => ({ id: g.id, label: g.label })),
    opens(type) {
      if (!type.length) return '';
      let open = all;
      for (const c of type) {
        const cells = groupOf(c)?.cells ?? {};
        open = open.filter((col) => String(cells[col]).startsWith('Y'));
      }
      return open.length ? `,${open.join(',')},` : '';
    },
    group: (type) => type.map((c) => groupOf(c)?.id).find((id) => id !== undefined),
    column: (profession) => (profession === undefined ? undefined : columns.get(profession)),
  };
}

export const typeCodings = (document: Json): Coding[] => codings(document.type);
