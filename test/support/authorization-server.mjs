// An authorization server for one client (oidc-provider): argv is its port and the audience of its tokens; prints the client's private key.
import { exportJWK, generateKeyPair } from 'jose';
import { Provider } from 'oidc-provider';

const [port, audience] = process.argv.slice(2);
const client = await generateKeyPair('ES256', { extractable: true });
const signing = await generateKeyPair('RS256', { extractable: true });
const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients: [{ client_id: 'lab', token_endpoint_auth_method: 'private_key_jwt', token_endpoint_auth_signing_alg: 'ES256', grant_types: ['client_credentials'], redirect_uris: [], response_types: [], jwks: { keys: [{ ...(await exportJWK(client.publicKey)), kid: 'c', use: 'sig' }] } }],
  jwks: { keys: [{ ...(await exportJWK(signing.privateKey)), kid: 's', use: 'sig', alg: 'RS256' }] },
  scopes: ['openid', 'system/DocumentReference.rs', 'system/Device.rs'],
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: false },
    resourceIndicators: { enabled: true, defaultResource: () => audience, useGrantedResource: () => true, getResourceServerInfo: () => ({ scope: 'system/DocumentReference.rs system/Device.rs', audience, accessTokenFormat: 'jwt', accessTokenTTL: 300 }) },
  },
  extraTokenClaims: () => ({ fhirUser: 'Device/lab-software', organization: 'Organization/labo-demo', sector: 'SA25' }),
});
provider.listen(Number(port), '127.0.0.1', async () => process.stdout.write(`${JSON.stringify(await exportJWK(client.privateKey))}\n`));
