// Configuration → a running server: store, services, app, jobs. Kept apart from main so that tests start servers too.
import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer as createHttp, type Server } from 'node:http';
import { createServer as createHttps } from 'node:https';
import { join } from 'node:path';
import { pino, type Logger } from 'pino';
import type { Deps } from './access/deps.ts';
import { directoryOf } from './access/directory.ts';
import { Records } from './access/records.ts';
import { newCursorKey } from './access/cursor.ts';
import { createApp } from './app.ts';
import { developmentConfig, developmentIssuer, developmentKey, publicJwks, tokenEndpoint } from './auth/development.ts';
import { verifier } from './auth/verify.ts';
import { type Config, ConfigError } from './config.ts';
import { definitionsFrom } from './terminology/definitions.ts';
import type { World } from './fhir/types.ts';
import { ROOT } from './fhir/packs.ts';
import { smartEndpoints } from './http/smart.ts';
import { capabilityStatement } from './interaction/capabilities.ts';
import { operationDefinitions } from './interaction/operations.ts';
import { auditContext, type Services } from './interaction/context.ts';
import { matrixFrom } from './policy/matrix.ts';
import type { WriteTable } from './policy/write.ts';
import { securityEvent } from './audit/event.ts';
import { exportClosed } from './audit/export.ts';
import { addMonths } from './fhir/dates.ts';
import { startSealing } from './audit/seal.ts';
import { startReindexing } from './access/reindex.ts';
import { startSweeping } from './access/sweep.ts';
import { Conflict, type Store } from './store/port.ts';
import { sqliteStore } from './store/sqlite/store.ts';
import { terminologyMistakes, terminologyOf } from './terminology/terms.ts';
import { validatorOf } from './validation/validate.ts';

export type Running = { base: string; port: number; deps: Deps; services: Services; log: Logger; stop(): Promise<void> };

const data = (folder: string, name: string): any => JSON.parse(readFileSync(join(folder, name), 'utf8'));

const DAY = 86_400_000;

const systemWorld: World = { now: () => Date.now(), newId: () => randomUUID() };

/** The store that the configuration names; `bulk`: for one long run of writes. */
export async function openStore(config: Config, processName: string, bulk = false): Promise<Store> {
  if (!config.mongoUrl) return sqliteStore(config.dataDir, processName, { queryMs: config.limits.query, bulk });
  const { mongoStore } = await import('./store/mongo/store.ts');
  return mongoStore(config.mongoUrl, processName, { acceptStandalone: config.mongoStandalone, queryMs: config.limits.query });
}

async function cursorKey(store: Store): Promise<Buffer> {
  let key = await store.meta('cursor-key');
  if (key === undefined) {
    // Of two first starts at the same instant, one's key stands.
    await store.commit({ ops: [], claim: [{ key: 'cursor-key', owner: newCursorKey() }], audit: [] }).catch((e) => {
      if (!(e instanceof Conflict)) throw e;
    });
    key = (await store.owner('cursor-key')) as string;
    await store.setMeta('cursor-key', key);
  }
  return Buffer.from(key, 'base64');
}

export async function makeDeps(config: Config, store: Store, world: World): Promise<Deps> {
  const folder = join(ROOT, 'terminology');
  return {
    store, world, base: config.base,
    book: { matrix: matrixFrom(data(folder, 'matrix-read.json')), admission: data(folder, 'admission.json'), occupationalMedicine: config.occupationalMedicine },
    table: data(folder, 'write-table.json') as WriteTable,
    limits: config.limits, terms: terminologyOf(config.terminologyDir), open: config.access === 'open', facts: new Map(), incomplete: new Set(), cursorKey: await cursorKey(store), site: 'dmp-server',
  };
}

const version: string = data(ROOT, 'package.json').version;

export function makeServices(config: Config, deps: Deps, smart: ReturnType<typeof smartEndpoints>, started: number): Services {
  const definitions = definitionsFrom();
  const options = { base: config.base, version, started, profiles: definitions.supportedProfiles, smart, open: deps.open };
  const capabilities = () => capabilityStatement(options);
  const published = (type: string) => (type === 'CapabilityStatement' ? [capabilities(), ...definitions.all(type)] : type === 'OperationDefinition' ? operationDefinitions() : definitions.all(type));
  return {
    settings: deps,
    records: (ask) => new Records(deps, ask),
    capabilities,
    validate: validatorOf({ strictProfiles: config.profiles === 'dmp' && !deps.open, production: config.production, terms: deps.terms }),
    definition: (type, id) => published(type).find((d) => d.id === id),
    definitions: published,
  };
}

function listen(server: Server, port: number, host: string): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => resolve((server.address() as { port: number }).port));
  });
}

/** Starts a server; resolves once it listens. */
export async function start(config: Config, options: { world?: World; bulk?: boolean; beforeListen?: (r: { deps: Deps; services: Services }) => Promise<void> } = {}): Promise<Running> {
  const log = pino({ level: config.logLevel, base: undefined, timestamp: pino.stdTimeFunctions.isoTime });
  const world = options.world ?? systemWorld;
  const processName = `${new Date(world.now()).toISOString().slice(0, 19)}-${randomBytes(4).toString('hex')}`;
  const mistakes = config.terminologyDir === undefined ? [] : terminologyMistakes(config.terminologyDir);
  if (mistakes.length) throw new ConfigError(mistakes);
  const store = await openStore(config, processName, options.bulk);
  const deps = await makeDeps(config, store, world);
  const dev = config.issuers.length || config.production ? undefined : await developmentKey(config.dataDir);
  const smart = smartEndpoints(dev && developmentIssuer(config.base), config.issuers);
  const services = makeServices(config, deps, smart, world.now());
  // Before anything is loaded: what an empty store then takes in is indexed as it should be.
  const reindexing = await startReindexing(deps, log);
  await options.beforeListen?.({ deps, services });
  const tokens = verifier({ issuers: config.issuers, audience: config.base, directory: directoryOf(store), now: world.now, ...(dev ? { local: { config: developmentConfig(config.base), jwks: () => publicJwks(dev) } } : {}) });
  const app = createApp({
    services, log, trustedProxies: config.trustedProxies, smart, verifier: tokens,
    keep: (audit) => store.commit({ ops: [], audit }),
    ready: () => store.ping().then(() => undefined, () => 'store'),
    ...(dev ? { development: { jwks: () => publicJwks(dev), token: tokenEndpoint({ base: config.base, dataDir: config.dataDir, key: dev, now: world.now, newId: world.newId }) } } : {}),
  });
  const server = config.tls ? createHttps({ ...config.tls, requestCert: config.tls.ca !== undefined, rejectUnauthorized: false }, app) : createHttp(app);
  server.requestTimeout = 600_000;
  const configHash = createHash('sha256').update(JSON.stringify({ access: config.access, issuers: config.issuers, occupational: config.occupationalMedicine, matrix: deps.book.matrix.version, table: deps.table.version })).digest('hex');
  await lifecycle(deps, '110120', 'Application Start', configHash);
  const sealing = await startSealing({ store, dataDir: config.dataDir, anchor: config.auditAnchor, process: processName, now: world.now, log });
  const sweeping = startSweeping(deps, log);
  const retention = setInterval(() => void exportClosed({ store, dataDir: config.dataDir, before: addMonths(world.now(), -12 * config.auditRetentionYears) }).catch((e) => log.warn({ detail: String(e) }, 'export of the trail failed')), DAY);
  retention.unref();
  const port = await listen(server, config.port, config.host);
  return {
    base: config.base, port, deps, services, log,
    async stop() {
      clearInterval(retention);
      tokens.stop();
      sweeping.stop();
      await reindexing.stop();
      await new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeIdleConnections();
      });
      await lifecycle(deps, '110121', 'Application Stop', configHash);
      await sealing.stop();
      await store.close();
    },
  };
}

/** Start and stop, and changes of configuration that bear on access, are events of the trail. */
async function lifecycle(deps: Deps, subtype: string, display: string, configHash: string): Promise<void> {
  const ctx = auditContext(deps);
  const now = deps.world.now();
  const rows = [securityEvent({ code: '110100', display: `Application Activity: ${display}`, subtype }, { code: '0' }, { now }, ctx)];
  if ((await deps.store.meta('config-hash')) !== configHash) {
    rows.push(securityEvent({ code: '110100', display: 'Security Configuration', subtype: '110129' }, { code: '0', text: 'configuration that bears on access' }, { now, detail: [['configuration', configHash]] }, ctx));
    await deps.store.setMeta('config-hash', configHash);
  }
  await deps.store.commit({ ops: [], audit: rows });
}
