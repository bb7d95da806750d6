// What one request did, showed and was refused: the trail's input.
import type { Decision } from '../policy/decide.ts';
import type { Row } from '../store/port.ts';

export type Shown = { ref: string; patient: string | null; documents: string[]; rule?: string; consents: string[] };

export type Notes = {
  /** Resources disclosed or written, in order, each once. */
  resources: Map<string, Shown>;
  /** Documents refused by the gate: rule and Consents. */
  refusals: Map<string, { patient: string | null; decision: Decision; documents: string[] }>;
  /** Patients that the interaction concerns though nothing of theirs was shown. */
  patients: Set<string>;
  /** The record-level refusal shown (S4). */
  refusal?: { patient: string; decision: Decision };
  query?: string;
  /** True once the events of this interaction went into a commit of its own. */
  recorded: boolean;
  shown(row: Row, decision: Decision): void;
  refused(row: Row, decision: Decision): void;
};

/** The documents that an event about this row is about. */
function documentsOf(row: Row): string[] {
  if (row.type === 'DocumentReference') return [row.id];
  if (row.type === 'Binary') return row.scalars.bound === null ? [] : [row.scalars.bound];
  if (row.type === 'List') return [...row.text.matchAll(/"reference":"(?:[^"]*\/)?DocumentReference\/([A-Za-z0-9\-.]{1,64})/g)].map((m) => m[1]);
  return [];
}

export function newNotes(): Notes {
  const notes: Notes = {
    resources: new Map(),
    refusals: new Map(),
    patients: new Set(),
    recorded: false,
    shown(row, decision) {
      const ref = `${row.type}/${row.id}`;
      const patient = row.type === 'Patient' ? row.id : row.scalars.patient;
      if (!notes.resources.has(ref)) notes.resources.set(ref, { ref, patient, documents: documentsOf(row), rule: decision.rule, consents: decision.consents });
      if (patient !== null) notes.patients.add(patient);
    },
    refused(row, decision) {
      if (row.scalars.patient !== null) notes.patients.add(row.scalars.patient);
      notes.refusals.set(`${row.type}/${row.id}`, { patient: row.scalars.patient, decision, documents: documentsOf(row) });
    },
  };
  return notes;
}
