// createApp: the order in which a request is handled, on one screen.
import { createHash, randomUUID } from 'node:crypto';
import type { TLSSocket } from 'node:tls';
import express, { type Express, type Request as HttpRequest, type Response as HttpResponse } from 'express';
import type { Logger } from 'pino';
import { auditContext, type Services } from './interaction/context.ts';
import { dispatch } from './interaction/dispatch.ts';
import { failure } from './interaction/failure.ts';
import { securityEvent } from './audit/event.ts';
import type { Verifier } from './auth/verify.ts';
import type { TokenAnswer } from './auth/development.ts';
import * as errors from './fhir/errors.ts';
import { textOf, toRequest } from './http/request.ts';
import { send, sendError, type Sending } from './http/respond.ts';
import type { AuditRow } from './store/port.ts';
import { rateLimiter } from './http/limits.ts';
import { type SmartEndpoints, smartConfiguration } from './http/smart.ts';

export type AppDeps = {
  services: Services;
  verifier: Verifier;
  log: Logger;
  trustedProxies: string[];
  ready: () => Promise<string | undefined>;
  /** Makes security events durable. */
  keep: (rows: AuditRow[]) => Promise<void>;
  smart: SmartEndpoints | undefined;
  /** The development issuer, where there is one. */
  development?: { jwks: () => object; token: (form: URLSearchParams) => Promise<TokenAnswer> };
};

const REQUEST_ID = /^[\w.:+/=-]{1,128}$/;

const howOf = (req: HttpRequest, open: boolean): Sending => ({ pretty: /[?&]_pretty=true(&|$)/.test(req.url), head: req.method === 'HEAD', open });

/** CORS for browser clients: bearer tokens, never cookies, so any origin may ask. */
function cors(req: HttpRequest, res: HttpResponse): boolean {
  if (req.headers.origin === undefined) return false;
  res.setHeader('Access-Control-Allow-Origin', '*');
  res.setHeader('Access-Control-Expose-Headers', 'Content-Location, ETag, Last-Modified, Location, X-Request-Id, Retry-After, WWW-Authenticate, Warning');
  if (req.method !== 'OPTIONS') return false;
  res.setHeader('Access-Control-Allow-Methods', 'GET, HEAD, POST, PUT, PATCH, DELETE');
  res.setHeader('Access-Control-Allow-Headers', 'Authorization, Content-Type, Accept, Prefer, If-Match, If-None-Match, If-Modified-Since, If-None-Exist, X-Request-Id, traceparent, DPoP, Range, DMP-Patient-Request');
  res.setHeader('Access-Control-Max-Age', '600');
  res.status(204).end();
  return true;
}

function certificateOf(req: HttpRequest, trusted: boolean): string | undefined {
  const socket = req.socket as TLSSocket;
  const own = typeof socket.getPeerCertificate === 'function' && socket.authorized ? socket.getPeerCertificate() : undefined;
  if (own?.fingerprint256) return Buffer.from(own.fingerprint256.replace(/:/g, ''), 'hex').toString('base64url');
  // RFC 9440: the certificate as a byte sequence, from a proxy that ended TLS for us.
  const header = trusted ? /^:([A-Za-z0-9+/=]+):$/.exec(String(req.headers['client-cert'] ?? '')) : null;
  return header ? createHash('sha256').update(Buffer.from(header[1], 'base64')).digest('base64url') : undefined;
}

export function createApp(d: AppDeps): Express {
  const { services, log } = d;
  const { settings } = services;
  const basePath = new URL(settings.base).pathname.replace(/\/$/, '');
  const { origin } = new URL(settings.base);
  const plain = new Set(['/.well-known/smart-configuration', '/.well-known/openid-configuration', '/metadata'].map((p) => basePath + p));
  const limit = rateLimiter(settings.limits.rate, () => Date.now());
  const app = express();
  app.disable('x-powered-by');
  app.disable('etag');
  app.set('trust proxy', d.trustedProxies);

  app.use((req, res, next) => {
    const given = req.headers['x-request-id'];
    const id = typeof given === 'string' && REQUEST_ID.test(given) ? given : randomUUID();
    res.locals.requestId = id;
    res.locals.started = process.hrtime.bigint();
    res.setHeader('X-Request-Id', id);
    const trace = req.headers.traceparent;
    if (typeof trace === 'string' && /^[0-9a-f-]{55}$/.test(trace)) res.setHeader('traceparent', trace);
    res.on('close', () => log.info({ requestId: id, trace: res.getHeader('traceparent'), method: req.method, route: routeName(req.path, basePath), status: res.statusCode, ms: Number((process.hrtime.bigint() - res.locals.started) / 10_000n) / 100 }, 'request'));
    if (!cors(req, res)) next();
  });

  // FHIR before all else: what it does not answer falls through to the few plain routes below.
  app.use(async (req, res, next) => {
    const path = req.path;
    if (!(path === basePath || path.startsWith(`${basePath}/`)) || plain.has(path)) return next();
    const how = howOf(req, settings.open);
    if (req.url.length > settings.limits.url) return sendError(res, errors.uriTooLong(), how);
    const trusted = req.ip !== req.socket.remoteAddress;
    const requestId = res.locals.requestId as string;
    const caller = await authenticate(d, req, `${origin}${path}`, requestId, trusted);
    limit(caller.client ?? caller.ref);
    const at = req.url.indexOf('?');
    const request = await toRequest(req, safeDecode(path.slice(basePath.length).replace(/^\/|\/$/g, '')), at < 0 ? '' : req.url.slice(at + 1), settings.limits);
    const wish = req.headers['dmp-patient-request'];
    const ask = { caller, requestId, now: settings.world.now(), remote: req.ip, ...(typeof wish === 'string' && wish.length > 2 ? { patientRequest: wish.slice(0, 200) } : {}) };
    await send(res, await dispatch(services, ask, request), how);
  });

  app.get('/livez', (_req, res) => void res.json({ status: 'alive' }));
  app.get('/readyz', async (_req, res) => {
    const why = await d.ready();
    res.status(why === undefined ? 200 : 503).json({ status: why === undefined ? 'ready' : 'not ready', ...(why ? { why } : {}) });
  });
  if (d.development) {
    const dev = d.development;
    app.get('/auth/jwks', (_req, res) => void res.json(dev.jwks()));
    app.get('/auth/.well-known/openid-configuration', (_req, res) => void res.json(smartConfiguration(d.smart as SmartEndpoints)));
    app.post('/auth/token', async (req, res) => {
      limit(req.ip ?? '');
      const answer = await dev.token(new URLSearchParams(await textOf(req, 65_536, 'form')));
      res.setHeader('Cache-Control', 'no-store');
      res.status(answer.status).json(answer.body);
    });
  }
  const wellKnown = (_req: HttpRequest, res: HttpResponse): void => {
    if (d.smart) res.json(smartConfiguration(d.smart));
    else res.status(404).end();
  };
  app.get(`${basePath}/.well-known/smart-configuration`, wellKnown);
  app.get(`${basePath}/.well-known/openid-configuration`, wellKnown);
  app.get(`${basePath}/metadata`, (req, res) => send(res, { status: 200, headers: {}, resource: services.capabilities() }, howOf(req, settings.open)));

  app.use((req, res) => sendError(res, errors.unknownRoute(req.path.slice(0, 100)), howOf(req, settings.open)));

  // The one error handler.
  app.use((err: unknown, req: HttpRequest, res: HttpResponse, _next: express.NextFunction) => {
    const e = failure(err);
    if (e.status >= 500) log.error({ requestId: res.locals.requestId, reason: e.reason, detail: e.detail, stack: e.status === 500 && e.cause instanceof Error ? e.cause.stack : undefined }, 'failed');
    if (!req.complete) res.setHeader('Connection', 'close');
    void sendError(res, e, howOf(req, settings.open));
  });
  return app;
}

/** A refused token leaves its event too; an audit that cannot be written refuses the request. */
async function authenticate(d: AppDeps, req: HttpRequest, url: string, requestId: string, trusted: boolean) {
  const { settings } = d.services;
  try {
    return await d.verifier.verify({ authorization: req.headers.authorization, dpop: req.headers.dpop as string | undefined, method: req.method, url, certificate: certificateOf(req, trusted) });
  } catch (e) {
    if (e instanceof errors.FhirError && e.status === 401) {
      const row = securityEvent({ code: '110114', display: 'User Authentication', subtype: '110122' }, { code: '8', text: 'unauthenticated' }, { now: settings.world.now(), requestId, remote: req.ip }, auditContext(settings));
      await d.keep([row]);
    }
    throw e;
  }
}

function safeDecode(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    throw errors.invalid('The address is not properly encoded.');
  }
}

/** The route without ids or values: nothing personal reaches the log. */
const routeName = (path: string, base: string): string =>
  path.startsWith(`${base}/`) ? path.slice(base.length + 1).split('/').map((p, i) => (i % 2 === 0 && /^[A-Z][A-Za-z]+$/.test(p)) || /^[_$]/.test(p) || p === 'metadata' ? p : '-').join('/') : /^\/(livez|readyz|auth\/(jwks|token))$/.test(path) ? path : '-';
