// Who asks: what a verified token said, and nothing else (C1).

export type CallerKind = 'patient' | 'representative' | 'professional' | 'system';
export type AccessMode = 'normal' | 'bris_de_glace' | 'centre_15';
export type Role = 'registry' | 'auditor' | 'operator';

export type Caller = {
  kind: CallerKind;
  /** `Patient/x`, `RelatedPerson/x`, `Practitioner/x`; a system: `Device/x` or its name. */
  ref: string;
  /** `Organization/x`: a professional's or a system's. */
  organization?: string;
  /** TRE_R02. */
  sector?: string;
  /** TRE_G15 code; outside it `R95#93`, `R94#41`. */
  profession?: string;
  /** TRE_R38. */
  specialty?: string;
  mode: AccessMode;
  reason?: string;
  roles: Role[];
  /** SMART scopes as given. */
  scopes: string[];
  /** A patient's or launch context that narrows `patient/` scopes. */
  launchPatient?: string;
  /** A minor's connexion secrète: only documents hidden from representatives may be deposited. */
  secret?: boolean;
  /** For the trail. */
  name?: string;
  issuer: string;
  client?: string;
  tokenId?: string;
  /** Set by server/import alone, never from a token: records that imports hold stand open to it. */
  importing?: true;
};

export const practitionerOf = (c: Caller): string | undefined => (c.kind === 'professional' ? c.ref : undefined);
export const patientOf = (c: Caller): string | undefined => (c.kind === 'patient' ? c.ref.slice('Patient/'.length) : undefined);
