// C6: each use of an emergency mode puts a notice for the patient and the médecin traitant into a durable outbox.
import { instant } from '../fhir/types.ts';
import type { Gate } from './gate.ts';

export type Notice = { id: string; patient: string; text: string };

/** Notices for the patients whose record was asked for in an emergency mode; none in normal mode. */
export async function emergencyNotices(gate: Gate, patients: string[]): Promise<Notice[]> {
  const { caller, now, requestId } = gate.ask;
  if (caller.mode === 'normal') return [];
  const notices: Notice[] = [];
  for (const patient of patients) {
    const { treating } = await gate.facts(patient);
    const text = JSON.stringify({ at: instant(now), to: [`Patient/${patient}`, ...treating], by: caller.ref, organization: caller.organization, mode: caller.mode, reason: caller.reason, request: requestId });
    notices.push({ id: gate.deps.world.newId(), patient, text });
  }
  return notices;
}
