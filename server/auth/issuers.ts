// Trusted issuers and what each may assert.
import type { AccessMode, CallerKind, Role } from '../policy/caller.ts';

export type IssuerConfig = {
  issuer: string;
  /** Where its keys are. */
  jwks: string;
  /** Expected audience; the server's base URL where absent. */
  audience?: string;
  mapping: 'dmp' | 'iua' | 'psc' | 'franceconnect' | 'smart';
  kinds: CallerKind[];
  roles?: Role[];
  modes?: AccessMode[];
  algorithms?: string[];
  /** Seconds between two looks at its keys, 60 where absent: a key that is published that long before its first use never fails a request. */
  refreshSeconds?: number;
};

export const ALGORITHMS = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA'];
