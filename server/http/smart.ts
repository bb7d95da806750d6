// What SMART clients look for: it agrees with the oauth-uris extension of /metadata. https://hl7.org/fhir/smart-app-launch/conformance.html
import type { Json } from '../fhir/types.ts';
import type { IssuerConfig } from '../auth/issuers.ts';

export type SmartEndpoints = { issuer: string; jwks: string; token: string; authorize?: string };

/** Endpoints of the issuer that clients turn to: the development issuer, or the first configured. */
export function smartEndpoints(development: string | undefined, issuers: IssuerConfig[]): SmartEndpoints | undefined {
  if (development) return { issuer: development, jwks: `${development}/jwks`, token: `${development}/token` };
  const first = issuers[0] as (IssuerConfig & { token?: string; authorize?: string }) | undefined;
  return first?.token ? { issuer: first.issuer, jwks: first.jwks, token: first.token, ...(first.authorize ? { authorize: first.authorize } : {}) } : undefined;
}

export const smartConfiguration = (s: SmartEndpoints): Json => ({
  issuer: s.issuer,
  jwks_uri: s.jwks,
  token_endpoint: s.token,
  ...(s.authorize ? { authorization_endpoint: s.authorize } : {}),
  grant_types_supported: s.authorize ? ['authorization_code', 'client_credentials'] : ['client_credentials'],
  token_endpoint_auth_methods_supported: ['private_key_jwt'],
  token_endpoint_auth_signing_alg_values_supported: ['RS384', 'ES384'],
  scopes_supported: ['system/*.cruds', 'user/*.cruds', 'patient/*.cruds', 'openid', 'fhirUser'],
  code_challenge_methods_supported: ['S256'],
  capabilities: ['client-confidential-asymmetric', 'permission-v1', 'permission-v2', 'permission-patient', 'permission-user', ...(s.authorize ? ['launch-standalone', 'context-standalone-patient'] : [])],
});
