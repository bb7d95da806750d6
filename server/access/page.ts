import type { Decision } from '../policy/decide.ts';
import type { Plan } from '../store/port.ts';
import type { View } from './views.ts';

/** A page of a search, as the caller sees it. */
export type Page = { matches: View[]; included: View[]; total: number | undefined; next: string | undefined; refusal: Decision | undefined; /** The gated plan, for conditional interactions. */ plan?: Plan };
