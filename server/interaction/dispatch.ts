// Which interaction a request is: the same table for HTTP and for a Bundle's entries.
import type { Ask } from '../access/deps.ts';
import { auditRows, type Act, type InteractionKind } from '../audit/event.ts';
import type { Entry } from '../bundle/entries.ts';
import * as errors from '../fhir/errors.ts';
import { ID, isDefinition, isStored } from '../fhir/types.ts';
import { Unavailable } from '../store/port.ts';
import { batch } from './batch.ts';
import { createRawBinary, readBinary } from './binary.ts';
import { auditContext, auditInput, type Context, contextOf, type Request, type Response, type Services } from './context.ts';
import { failure } from './failure.ts';
import { definitionRead, definitionSearch } from './definitions.ts';
import { operations } from './operations.ts';
import { historyInstance, read, vread } from './read.ts';
import { searchCompartment, searchType } from './search.ts';
import { transaction } from './transaction.ts';
import { conditionalDelete, conditionalPatch, conditionalUpdate, create, patch, remove, update } from './write.ts';

export type Handler = (ctx: Context, req: Request) => Promise<Response>;
export type Route = { kind: InteractionKind; type?: string; id?: string; operation?: string; handler: Handler };

const isRead = (m: string): boolean => m === 'GET' || m === 'HEAD';

function systemRoute(method: string): Route {
  if (method !== 'POST') throw errors.unknownRoute('');
  return {
    kind: 'transaction',
    handler: async (ctx, req) => {
      if (req.body?.resourceType !== 'Bundle') throw errors.invalid('A Bundle is expected here.', ['resourceType']);
      if (req.body.type === 'transaction') return transaction(ctx, req.body, req.ids);
      if (req.body.type === 'batch') return batch(ctx, req.body);
      throw errors.invalid('The Bundle is a batch or a transaction.', ['Bundle.type']);
    },
  };
}

function typeRoute(method: string, type: string, conditional: boolean): Route {
  switch (method) {
    case 'GET': case 'HEAD': return { kind: 'search-type', type, handler: (ctx, req) => searchType(ctx, type, req.query) };
    case 'POST': return { kind: 'create', type, handler: (ctx, req) => (req.raw && type === 'Binary' ? createRawBinary(ctx, req) : create(ctx, type, req)) };
    case 'PUT': if (conditional) return { kind: 'update', type, handler: (ctx, req) => conditionalUpdate(ctx, type, req) }; break;
    case 'PATCH': if (conditional) return { kind: 'patch', type, handler: (ctx, req) => conditionalPatch(ctx, type, req) }; break;
    case 'DELETE': if (conditional) return { kind: 'delete', type, handler: (ctx, req) => conditionalDelete(ctx, type, req) }; break;
  }
  throw errors.methodNotAllowed('GET, HEAD, POST');
}

function instanceRoute(method: string, type: string, id: string): Route {
  switch (method) {
    case 'GET': case 'HEAD': return { kind: 'read', type, id, handler: (ctx, req) => (type === 'Binary' ? readBinary(ctx, id, req) : read(ctx, type, id, req)) };
    case 'PUT': if (type !== 'AuditEvent') return { kind: 'update', type, id, handler: (ctx, req) => update(ctx, type, id, req) }; break;
    case 'PATCH': if (type !== 'AuditEvent' && type !== 'Binary') return { kind: 'patch', type, id, handler: (ctx, req) => patch(ctx, type, id, req) }; break;
    case 'DELETE': if (type !== 'AuditEvent') return { kind: 'delete', type, id, handler: (ctx, req) => remove(ctx, type, id, req) }; break;
  }
  throw errors.methodNotAllowed('GET, HEAD');
}

function operationRoute(method: string, type: string | undefined, id: string | undefined, name: string): Route {
  const op = operations.find((o) => o.name === name && (type === undefined ? o.system : id === undefined ? o.type && (o.types === '*' || o.types.includes(type)) : o.instance && (o.types === '*' || o.types.includes(type))));
  if (!op) throw errors.unknownRoute([type, id, `$${name}`].filter(Boolean).join('/'));
  if (method !== 'POST' && !(isRead(method) && !op.affectsState)) throw errors.methodNotAllowed(op.affectsState ? 'POST' : 'GET, HEAD, POST');
  return { kind: 'operation', type, id, operation: `$${name}`, handler: (ctx, req) => op.run(ctx, { type, id, req }) };
}

/** Finds the interaction; throws 404 or 405 where there is none. */
function routeOf(method: string, path: string, conditional: boolean): Route {
  const parts = path === '' ? [] : path.split('/');
  if (!parts.length) return systemRoute(method);
  const [type, second, third, fourth] = parts;
  if (type.startsWith('$') && parts.length === 1) return operationRoute(method, undefined, undefined, type.slice(1));
  if (!/^[A-Z][A-Za-z]+$/.test(type)) throw errors.unknownRoute(path.slice(0, 100));
  if (second?.startsWith('$') && parts.length === 2) return operationRoute(method, type, undefined, second.slice(1));
  if (third?.startsWith('$') && parts.length === 3) return operationRoute(method, type, checkedId(second), third.slice(1));
  if (isDefinition(type)) return definitionRoute(method, type, second, parts.length);
  if (!isStored(type)) throw errors.typeNotSupported(type);
  if (parts.length === 1) return typeRoute(method, type, conditional);
  if (parts.length === 2 && second === '_search') {
    if (method !== 'POST') throw errors.methodNotAllowed('POST');
    return { kind: 'search-type', type, handler: (ctx, req) => searchType(ctx, type, req.query) };
  }
  const id = checkedId(second);
  if (parts.length === 2) return instanceRoute(method, type, id);
  if (!isRead(method) && !(method === 'POST' && fourth === '_search')) throw errors.methodNotAllowed('GET, HEAD');
  if (parts.length === 3 && third === '_history') return { kind: 'history-instance', type, id, handler: (ctx, req) => historyInstance(ctx, type, id, req) };
  if (parts.length === 4 && third === '_history') return { kind: 'vread', type, id, handler: (ctx, req) => vread(ctx, type, id, fourth, req) };
  if (type === 'Patient' && (parts.length === 3 || fourth === '_search')) return { kind: 'search-type', type: third, handler: (ctx, req) => searchCompartment(ctx, id, third, req.query) };
  throw errors.unknownRoute(path.slice(0, 100));
}

function checkedId(id: string): string {
  if (!ID.test(id)) throw errors.invalid(`\`${id.slice(0, 64)}\` is no id.`);
  return id;
}

function definitionRoute(method: string, type: string, id: string | undefined, parts: number): Route {
  if (!isRead(method) && !(method === 'POST' && id === '_search')) throw errors.methodNotAllowed('GET, HEAD');
  if (parts === 1 || id === '_search') return { kind: 'search-type', type, handler: (ctx, req) => definitionSearch(ctx, type, req.query) };
  if (parts === 2) return { kind: 'read', type, id, handler: (ctx, req) => definitionRead(ctx, type, checkedId(id as string), req) };
  throw errors.unknownRoute(`${type}/${id}`);
}

const outcomeOf = (e: unknown): { code: '4' | '8'; text: string } => {
  const { status, reason } = failure(e);
  return { code: status === 403 || status === 401 || status >= 500 ? '8' : '4', text: reason };
};

async function record(ctx: Context, outcome: Parameters<typeof auditInput>[1]): Promise<void> {
  await ctx.records.keep(auditRows(auditInput(ctx, outcome), auditContext(ctx.settings)));
}

/** Runs one interaction; its events are durable before it answers (A1). An audit that cannot be written fails the request. */
export async function dispatch(services: Services, ask: Ask, req: Request): Promise<Response> {
  const route = routeOf(req.method, req.path, req.query.length > 0);
  const act: Act = { kind: req.body?.resourceType === 'Bundle' && req.path === '' && req.body.type === 'batch' ? 'batch' : route.kind, type: route.type, id: route.id, operation: route.operation };
  if (act.kind === 'search-type' || act.kind === 'operation') act.query = queryText(req);
  const ctx = contextOf(services, ask, act, req.headers);
  let response: Response;
  try {
    response = await route.handler(ctx, req);
  } catch (e) {
    if (!(e instanceof Unavailable)) await record(ctx, outcomeOf(e));
    throw e;
  }
  if (!ctx.records.notes.recorded) await record(ctx, { code: '0' });
  return response;
}

const queryText = (req: Request): string => `${req.path}${req.query.length ? `?${new URLSearchParams(req.query).toString()}` : ''}`;

/** A read inside a transaction: same records, so gated by the state before (W7). */
export async function dispatchRead(ctx: Context, e: Entry): Promise<Response> {
  const req: Request = { method: e.method, path: e.path, query: e.query, headers: e.headers };
  const route = routeOf(e.method, e.path, e.query.length > 0);
  return route.handler({ ...ctx, act: { kind: route.kind, type: route.type, id: route.id } }, req);
}
