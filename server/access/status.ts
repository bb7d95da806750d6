// What may be told of a record's state (T6): the record, and the caller alone.
import { isTreating, type RecordState, recordState } from '../policy/decide.ts';
import { residual } from '../policy/residual.ts';
import { consentRules } from '../policy/rules.ts';
import type { Records } from './records.ts';

export type Status = { state: RecordState; authorised: boolean; treating: boolean };

/** `authorised`: some document of the record could be read on the strength of consent, mode, or role. */
export async function statusOf(records: Records, patient: string): Promise<Status> {
  const { gate, ask, deps } = records;
  const facts = await gate.facts(patient);
  const { state } = recordState(facts, ask.now);
  const refusal = await gate.refusal(patient);
  const byConsent = ask.caller.kind !== 'professional' || ask.caller.mode !== 'normal' || consentRules(facts.consents, ask.caller, ask.now).some((r) => r.effect === 'permit');
  const authorised = refusal === undefined && residual(ask.caller, facts, deps.book, ask.now).kind !== 'none' && (isTreating(ask.caller, facts) || (ask.caller.kind !== 'system' && byConsent));
  return { state, authorised, treating: isTreating(ask.caller, facts) };
}
