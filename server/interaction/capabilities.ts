// The CapabilityStatement, from the registries that route and search: it never says what is not done.
import { instant, isGated, type Json } from '../fhir/types.ts';
import { parametersOf, STORED_TYPES } from '../search/registry.ts';
import { operations } from './operations.ts';

const OAUTH_URIS = 'http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris';

export type CapabilityOptions = { base: string; version: string; started: number; profiles: Record<string, string[]>; smart?: { token: string; authorize?: string }; open: boolean };

function interactions(type: string): string[] {
  if (type === 'AuditEvent') return ['read', 'vread', 'search-type', 'create'];
  if (type === 'Binary') return ['read', 'vread', 'create', 'delete'];
  if (type === 'List') return ['read', 'update', 'patch', 'delete', 'create', 'search-type'];
  return ['read', 'vread', 'update', 'patch', 'delete', 'history-instance', 'create', 'search-type'];
}

function resource(type: string, profiles: string[]): Json {
  const gated = isGated(type);
  const params = type === 'Binary' ? [] : [...new Set(parametersOf(type).values())];
  const refs = params.filter((p) => p.type === 'reference').map((p) => `${type}:${p.code}`);
  const back = STORED_TYPES.filter((t) => t !== 'Binary').flatMap((t) => [...new Set(parametersOf(t).values())].filter((p) => p.type === 'reference' && p.targets.includes(type)).map((p) => `${t}:${p.code}`));
  const writes = type !== 'AuditEvent' && type !== 'Binary';
  const own = operations.filter((o) => o.types === '*' || o.types.includes(type));
  return {
    type,
    profile: `http://hl7.org/fhir/StructureDefinition/${type}`,
    ...(profiles.length ? { supportedProfile: profiles } : {}),
    interaction: interactions(type).map((code) => ({ code })),
    versioning: writes ? 'versioned-update' : 'versioned',
    readHistory: type !== 'List' && type !== 'AuditEvent',
    updateCreate: !gated && writes,
    conditionalCreate: type !== 'AuditEvent' && type !== 'Binary',
    conditionalRead: 'full-support',
    conditionalUpdate: writes,
    conditionalDelete: writes ? 'single' : 'not-supported',
    referencePolicy: ['literal', 'logical', 'local'],
    ...(type !== 'Binary' && refs.length ? { searchInclude: ['*', ...refs] } : {}),
    ...(back.length && type !== 'Binary' ? { searchRevInclude: back } : {}),
    ...(params.length ? { searchParam: params.map((p) => ({ name: p.code, definition: p.url, type: p.type })) } : {}),
    ...(own.length ? { operation: own.map((o) => ({ name: o.name, definition: o.definition })) } : {}),
  };
}

const operationsOf = (type: string): Json => {
  const own = operations.filter((o) => o.types !== '*' && o.types.includes(type));
  return own.length ? { operation: own.map((o) => ({ name: o.name, definition: o.definition })) } : {};
};

const DEFINITIONS = ['StructureDefinition', 'SearchParameter', 'OperationDefinition', 'ValueSet', 'CodeSystem', 'ConceptMap', 'CapabilityStatement'];

export function capabilityStatement(o: CapabilityOptions): Json {
  const uris = o.smart && [{ url: OAUTH_URIS, extension: [{ url: 'token', valueUri: o.smart.token }, ...(o.smart.authorize ? [{ url: 'authorize', valueUri: o.smart.authorize }] : [])] }];
  return {
    resourceType: 'CapabilityStatement',
    id: 'dmp-server',
    url: 'https://fhir.dmp.example/CapabilityStatement/dmp-server',
    version: o.version,
    name: 'DmpServer',
    title: 'DMP FHIR server',
    status: 'active',
    date: instant(o.started),
    publisher: 'DMP FHIR server project',
    kind: 'instance',
    software: { name: 'dmp-fhir-server', version: o.version },
    implementation: { description: o.open ? 'ACCESS=open: no consent is evaluated' : 'Shared medical record; consents gate every read and every write of a document', url: o.base },
    fhirVersion: '4.0.1',
    format: ['application/fhir+json', 'json'],
    patchFormat: ['application/json-patch+json', 'application/fhir+json'],
    rest: [{
      mode: 'server',
      security: {
        ...(uris ? { extension: uris } : {}),
        cors: true,
        service: [{ coding: [{ system: 'http://terminology.hl7.org/CodeSystem/restful-security-service', code: 'SMART-on-FHIR' }] }],
        description: 'Bearer tokens; each read and write of a document is decided by the patient\'s Consents.',
      },
      resource: [
        ...STORED_TYPES.map((t) => resource(t, o.profiles[t] ?? [])),
        ...DEFINITIONS.map((type) => ({ type, interaction: [{ code: 'read' }, { code: 'search-type' }], searchParam: [{ name: 'url', type: 'uri' }, { name: 'name', type: 'string' }], ...operationsOf(type) })),
      ],
      interaction: [{ code: 'transaction' }, { code: 'batch' }],
      searchParam: [{ name: '_id', type: 'token' }, { name: '_lastUpdated', type: 'date' }],
      operation: operations.filter((x) => x.system).map((x) => ({ name: x.name, definition: x.definition })).concat([]).length ? operations.filter((x) => x.system).map((x) => ({ name: x.name, definition: x.definition })) : undefined,
    }],
  };
}
