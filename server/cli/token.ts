// `npm run --silent token -- …`: prints a token of the development issuer and nothing else. Works with the server running or stopped.
import { randomUUID } from 'node:crypto';
import { parseArgs } from 'node:util';
import { developmentKey, type Claims, sign } from '../auth/development.ts';
import { readConfig } from '../config.ts';
import type { Json } from '../fhir/types.ts';
import { openStore } from '../start.ts';
import type { Store } from '../store/port.ts';
import { term } from '../store/plan.ts';
import * as keys from '../search/keys.ts';

const USAGE = `Usage: npm run --silent token -- (--patient Patient/ID | --representative RelatedPerson/ID | --practitioner Practitioner/ID | --system NAME)
  [--profession TRE_G15] [--specialty TRE_R38] [--organization Organization/ID] [--sector TRE_R02] [--mode normal|bris_de_glace|centre_15]
  [--reason TEXT] [--role registry|auditor|operator] [--scope "…"] [--ttl SECONDS] [--secret]
`;

const options = {
  patient: { type: 'string' }, representative: { type: 'string' }, practitioner: { type: 'string' }, system: { type: 'string' }, profession: { type: 'string' }, specialty: { type: 'string' },
  organization: { type: 'string' }, sector: { type: 'string' }, mode: { type: 'string' }, reason: { type: 'string' }, role: { type: 'string', multiple: true }, scope: { type: 'string' }, ttl: { type: 'string' }, secret: { type: 'boolean' },
} as const;

function usage(text: string): never {
  process.stderr.write(`${text}\n${USAGE}`);
  process.exit(2);
}

async function read(store: Store, ref: string | undefined): Promise<Json | undefined> {
  const [type, id] = (ref ?? '').split('/');
  const row = id ? await store.read(type, id) : undefined;
  return row && !row.deleted ? JSON.parse(row.text) : undefined;
}

const SYSTEMS: Record<string, string> = { hospital: 'chu-demo', laboratory: 'labo-demo', registry: 'cnam-demo' };

/** Profession, specialty, organisation and sector as the directory's PractitionerRole says. */
async function defaults(store: Store, practitioner: string | undefined, organization: string | undefined): Promise<Json> {
  const ids = practitioner ? await store.ids('PractitionerRole', term(keys.referenceKey(keys.paramKey('PractitionerRole', 'practitioner'), practitioner))) : [];
  const role = ids.length ? await read(store, `PractitionerRole/${ids.sort()[0]}`) : undefined;
  const org = organization ?? role?.organization?.reference;
  const o = await read(store, org);
  return { profession: role?.code?.[0]?.coding?.[0]?.code, specialty: role?.specialty?.[0]?.coding?.[0]?.code, organization: org, sector: o?.type?.[0]?.coding?.[0]?.code };
}

async function main(): Promise<void> {
  const { values: v } = parseArgs({ options, allowPositionals: false });
  const config = readConfig(process.env);
  if (config.production || config.issuers.length) usage('The development issuer is not there: an issuer is configured, or NODE_ENV=production.');
  const given = [v.patient, v.representative, v.practitioner, v.system].filter((x) => x !== undefined);
  if (given.length !== 1) usage('Say one of --patient, --representative, --practitioner, --system.');
  const kind = v.patient ? 'patient' : v.representative ? 'representative' : v.practitioner ? 'professional' : 'system';
  const store = await openStore(config, 'token');
  const organization = v.organization ?? (v.system ? `Organization/${SYSTEMS[v.system] ?? v.system}` : undefined);
  const d = kind === 'professional' || kind === 'system' ? await defaults(store, v.practitioner, organization) : {};
  await store.close();
  const roles = v.role ?? (v.system === 'registry' ? ['registry'] : []);
  const dmp: Json = {
    kind, ...(v.system ? { system: SYSTEMS[v.system] ?? v.system } : {}), profession: v.profession ?? d.profession, specialty: v.specialty ?? d.specialty, organization: organization ?? d.organization, sector: v.sector ?? d.sector,
    mode: v.mode, reason: v.reason, roles: roles.length ? roles : undefined, secret: v.secret,
  };
  const level = kind === 'system' ? 'system' : kind === 'professional' ? 'user' : 'patient';
  const fhirUser = v.patient ?? v.representative ?? v.practitioner;
  const claims: Claims = { dmp, ...(fhirUser ? { fhirUser } : {}), scope: v.scope ?? `${level}/*.cruds`, client_id: `token-command-${v.system ?? kind}` };
  const ttl = v.ttl === undefined ? 3_600 : Number(v.ttl);
  if (!Number.isFinite(ttl)) usage('--ttl is a number of seconds.');
  process.stdout.write(`${await sign(await developmentKey(config.dataDir), config.base, claims, { ttl, now: Date.now(), jti: randomUUID() })}\n`);
}

main().catch((e) => usage(e instanceof Error ? e.message : String(e)));
