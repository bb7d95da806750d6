// The small record set that `npm start` loads into an empty store, and the tour that it prints.
import { generateKeyPairSync } from 'node:crypto';
import type { Deps } from '../server/access/deps.ts';
import { type Client, readClients, writeClients } from '../server/auth/development.ts';
import type { Config } from '../server/config.ts';
import { dispatch } from '../server/interaction/dispatch.ts';
import type { Services } from '../server/interaction/context.ts';
import type { Resource } from '../server/fhir/types.ts';
import type { Caller } from '../server/policy/caller.ts';
import { Conflict } from '../server/store/port.ts';
import * as callers from './callers.ts';
import { consent } from './consents.ts';
import { directoryResources, ORGS, sectorOf } from './directory.ts';
import { record, type Step } from './generate.ts';
import { random } from './random.ts';

const SEED = 42;
const PATIENTS = 12;

/** Runs one step through the same interactions as any client. */
export async function run(services: Services, caller: Caller, bundle: Resource): Promise<void> {
  await dispatch(services, { caller, requestId: 'seed', now: services.settings.world.now() }, { method: 'POST', path: '', query: [], headers: {}, body: bundle });
}

export const runStep = (services: Services, s: Step): Promise<void> => run(services, s.caller, s.bundle);

export async function seedDirectory(services: Services, seed: number): Promise<void> {
  await run(services, callers.registry, { resourceType: 'Bundle', type: 'transaction', entry: directoryResources(random(seed)).map((resource) => ({ resource, request: { method: 'PUT', url: `${resource.resourceType}/${resource.id}` } })) });
}

/** Clients of the development issuer's token endpoint: a hospital, a laboratory, the registry. Their private keys stand beside, for the examples. */
function seedClients(dataDir: string): void {
  if (readClients(dataDir).length) return;
  const client = (id: string, dmp: Client['dmp'], name: string): Client & { private_key: object } => {
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-384' });
    return { client_id: id, name, scope: 'system/*.cruds', dmp, jwks: { keys: [{ ...(publicKey.export({ format: 'jwk' }) as object), kid: id, alg: 'ES384', use: 'sig' } as never] }, private_key: privateKey.export({ format: 'jwk' }) };
  };
  const org = (id: string): string => ORGS.find((o) => o.id === id)?.name ?? id;
  writeClients(dataDir, [
    client('hospital', { kind: 'system', system: 'chu-demo', organization: 'Organization/chu-demo', sector: sectorOf('chu-demo') }, org('chu-demo')),
    client('laboratory', { kind: 'system', system: 'labo-demo', organization: 'Organization/labo-demo', sector: sectorOf('labo-demo') }, org('labo-demo')),
    client('registry', { kind: 'system', system: 'registry', organization: 'Organization/cnam-demo', sector: sectorOf('cnam-demo'), roles: ['registry'] }, 'Registre'),
  ]);
}

/** Loads the demonstration where the store is empty. */
export async function seedDemo(config: Config, deps: Deps, services: Services): Promise<void> {
  seedClients(config.dataDir);
  if (await deps.store.read('Organization', 'chu-demo')) return;
  try {
    // Of several first starts at the same instant, one loads it.
    await deps.store.commit({ ops: [], claim: [{ key: 'demo', owner: deps.world.newId() }], audit: [] });
  } catch (e) {
    if (e instanceof Conflict) return;
    throw e;
  }
  const now = deps.world.now();
  await seedDirectory(services, SEED);
  for (let n = 0; n < PATIENTS; n++) for (const s of record(SEED, n, now, { id: `demo-${n}`, documents: n === 0 ? 14 : undefined, demo: true }).steps) await runStep(services, s);
  const alice = 'demo-0';
  const at = new Date(now - 86_400_000).toISOString();
  for (const c of [consent('authorisation', alice, { dateTime: at, actors: ['Practitioner/dr-leroy'] }), consent('block', alice, { dateTime: at, actors: ['Practitioner/dentiste-petit'] })]) {
    await run(services, callers.patient(alice), { resourceType: 'Bundle', type: 'transaction', entry: [{ resource: c, request: { method: 'POST', url: 'Consent' } }] });
  }
}

/** Commands that work when pasted. */
export const tour = (base: string): string => `
The server is ready: ${base}
Try, in another terminal of this folder (fictitious people):

  # the médecin traitant reads the record of Patient/demo-0
  curl -s "${base}/DocumentReference?patient=demo-0&_count=3&_pretty=true" -H "Authorization: Bearer $(npm run --silent token -- --practitioner Practitioner/dr-martin)"
  # the patient sees who may, and who may not
  curl -s "${base}/Consent?patient=demo-0&_pretty=true" -H "Authorization: Bearer $(npm run --silent token -- --patient Patient/demo-0)"
  # a dentist whom the patient blocked sees nothing, and is told no more than that
  curl -s "${base}/DocumentReference?patient=demo-0&_pretty=true" -H "Authorization: Bearer $(npm run --silent token -- --practitioner Practitioner/dentiste-petit)"
  # the patient reads who did what
  curl -s "${base}/AuditEvent?patient=demo-0&_count=5&_pretty=true" -H "Authorization: Bearer $(npm run --silent token -- --patient Patient/demo-0)"

`;
