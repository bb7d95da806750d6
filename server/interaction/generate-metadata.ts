// ITI-106: DocumentReference/$generate-metadata. A CDA R2 or FHIR document describes itself: it is deposited with the metadata that it tells.
// https://profiles.ihe.net/ITI/MHD/ITI-106.html
import { XMLParser } from 'fast-xml-parser';
import * as errors from '../fhir/errors.ts';
import { parseJson } from '../fhir/json.ts';
import { asArray, type Json } from '../fhir/types.ts';
import { CONFIDENTIALITY, INS } from '../policy/vocabulary.ts';
import type { Context, Request, Response } from './context.ts';
import { resourceIn } from './parameters.ts';
import { create } from './write.ts';

const CODE_SYSTEMS: Record<string, string> = { '2.16.840.1.113883.6.1': 'http://loinc.org', '2.16.840.1.113883.5.25': CONFIDENTIALITY, '1.2.250.1.213.1.1.4.12': 'https://mos.esante.gouv.fr/NOS/TRE_A05-TypeDocComplementaire/FHIR/TRE-A05-TypeDocComplementaire' };

/** Entities are not expanded: a document is no place to bring them from. */
const parser = new XMLParser({ ignoreAttributes: false, attributeNamePrefix: '@', removeNSPrefix: true, processEntities: false, parseAttributeValue: false, parseTagValue: false });

const concept = (c: Json | undefined): Json | undefined => (c?.['@code'] ? { coding: [{ system: CODE_SYSTEMS[c['@codeSystem']] ?? `urn:oid:${c['@codeSystem']}`, code: c['@code'], ...(c['@displayName'] ? { display: c['@displayName'] } : {}) }] } : undefined);

/** HL7 v3's 20260101120000+0100 as FHIR writes it. */
function time(v: unknown): string | undefined {
  const m = /^(\d{4})(\d{2})?(\d{2})?(?:(\d{2})(\d{2})(\d{2})?(?:\.\d+)?)?([+-]\d{2})?(\d{2})?$/.exec(String(v ?? ''));
  if (!m) return undefined;
  if (!m[4]) return [m[1], m[2], m[3]].filter(Boolean).join('-');
  return `${m[1]}-${m[2]}-${m[3]}T${m[4]}:${m[5]}:${m[6] ?? '00'}${m[7] ? `${m[7]}:${m[8] ?? '00'}` : 'Z'}`;
}

const instantOf = (t: string | undefined): string | undefined => (t?.includes('T') ? t : undefined);
const plain = (x: unknown): string | undefined => (typeof x === 'string' ? x : typeof x === 'object' && x !== null ? String((x as Json)['#text'] ?? '') || undefined : undefined);
const oid = (i: Json | undefined): string | undefined => (i?.['@root'] ? (i['@extension'] ? `urn:oid:${i['@root']}^${i['@extension']}` : /^[0-9.]+$/.test(i['@root']) ? `urn:oid:${i['@root']}` : `urn:uuid:${i['@root']}`) : undefined);

function fromCda(text: string): Json {
  let root: Json;
  try {
    root = parser.parse(text).ClinicalDocument;
  } catch {
    throw errors.malformed('The document is not well-formed XML.', ['Binary.data']);
  }
  if (!root) throw errors.businessRule('Only CDA R2 and FHIR documents are understood here.', ['Binary.data'], 'document-format');
  const role = asArray<Json>(root.recordTarget)[0]?.patientRole as Json | undefined;
  const person = role?.patient as Json | undefined;
  const authors = asArray<Json>(root.author).map((a) => a.assignedAuthor as Json).filter(Boolean);
  const act = (asArray<Json>(root.documentationOf)[0]?.serviceEvent ?? {}) as Json;
  const effective = time(root.effectiveTime?.['@value']);
  const ins = asArray<Json>(role?.id).find((i) => INS.has(`urn:oid:${i['@root']}`));
  return {
    masterIdentifier: { system: 'urn:ietf:rfc:3986', value: oid(root.id) }, type: concept(root.code), description: plain(root.title), date: instantOf(effective), securityLabel: [concept(root.confidentialityCode)].filter(Boolean),
    ...(ins ? { subject: { identifier: { system: `urn:oid:${ins['@root']}`, value: ins['@extension'] } } } : {}),
    contained: [
      ...authors.map((a, i) => ({ resourceType: 'Practitioner', id: `author${i + 1}`, identifier: asArray<Json>(a.id).map((x) => ({ system: `urn:oid:${x['@root']}`, value: x['@extension'] })).filter((x) => x.value), name: [{ family: plain(asArray<Json>(a.assignedPerson?.name)[0]?.family), given: asArray<unknown>(asArray<Json>(a.assignedPerson?.name)[0]?.given).map(plain) }] })),
      ...(person ? [{ resourceType: 'Patient', id: 'patient', identifier: asArray<Json>(role?.id).map((x) => ({ system: `urn:oid:${x['@root']}`, value: x['@extension'] })).filter((x) => x.value), name: [{ family: plain(asArray<Json>(person.name)[0]?.family), given: asArray<unknown>(asArray<Json>(person.name)[0]?.given).map(plain) }], birthDate: time(person.birthTime?.['@value'])?.slice(0, 10), gender: ({ M: 'male', F: 'female' } as Json)[person.administrativeGenderCode?.['@code']] }] : []),
    ],
    author: authors.map((_, i) => ({ reference: `#author${i + 1}` })),
    context: { ...(act.code ? { event: [concept(act.code)].filter(Boolean) } : {}), period: { start: time(act.effectiveTime?.low?.['@value']) ?? effective, end: time(act.effectiveTime?.high?.['@value']) }, ...(person ? { sourcePatientInfo: { reference: '#patient' } } : {}) },
    language: plain(root.languageCode?.['@code']),
  };
}

/** What a reference of the Composition leads to inside the document; the server's own resources are referred to as they are. */
function inside(bundle: Json, reference: Json | undefined): Json | undefined {
  const text = reference?.reference;
  return typeof text === 'string' ? asArray<Json>(bundle.entry).find((e) => e.fullUrl === text || (e.fullUrl?.endsWith(`/${text}`) ?? false) || (e.resource?.id && `${e.resource.resourceType}/${e.resource.id}` === text))?.resource : undefined;
}

/** A person or an organisation of the document, named by identifier: its ids are not ours. */
function named(bundle: Json, reference: Json | undefined): Json | undefined {
  const found = inside(bundle, reference);
  if (!found) return reference;
  const ids = asArray<Json>(found.identifier);
  return { identifier: ids.find((i) => INS.has(i.system)) ?? ids[0], display: reference?.display ?? plain(found.name) ?? asArray<Json>(found.name)[0]?.family };
}

function fromFhir(bundle: Json): Json {
  const composition = asArray<Json>(bundle.entry)[0]?.resource as Json | undefined;
  if (bundle.type !== 'document' || composition?.resourceType !== 'Composition') throw errors.businessRule('A FHIR document is a Bundle of type document whose first entry is its Composition.', ['Bundle'], 'document-format');
  const id = bundle.identifier?.value ?? composition.identifier?.value;
  const people = asArray<Json>(composition.author).map((a) => ({ a, found: inside(bundle, a) }));
  const contained = people.flatMap(({ found }, i) => (found ? [{ resourceType: found.resourceType, id: `author${i + 1}`, identifier: found.identifier, name: found.name }] : []));
  return {
    masterIdentifier: id ? { system: bundle.identifier?.system ?? composition.identifier?.system ?? 'urn:ietf:rfc:3986', value: id } : undefined, type: composition.type, category: asArray<Json>(composition.category), description: composition.title, date: instantOf(composition.date),
    subject: named(bundle, composition.subject), contained, author: people.map(({ a, found }, i) => (found ? { reference: `#author${i + 1}` } : a)), custodian: named(bundle, composition.custodian),
    securityLabel: composition.confidentiality ? [{ coding: [{ system: CONFIDENTIALITY, code: composition.confidentiality }] }] : [],
    context: { event: asArray<Json>(composition.event).flatMap((e) => asArray<Json>(e.code)), period: asArray<Json>(composition.event)[0]?.period },
    language: composition.language ?? bundle.language,
  };
}

/** Drops what is empty. */
function dense(x: any): any {
  if (Array.isArray(x)) {
    const list = x.map(dense).filter((v) => v !== undefined);
    return list.length ? list : undefined;
  }
  if (!x || typeof x !== 'object') return x === '' || x === null ? undefined : x;
  const out = Object.fromEntries(Object.entries(x).map(([k, v]) => [k, dense(v)]).filter(([, v]) => v !== undefined));
  return Object.keys(out).length ? out : undefined;
}

/** Answers Parameters with a reference to the DocumentReference: https://profiles.ihe.net/ITI/MHD/OperationDefinition/generate-metadata */
export async function generateMetadata(ctx: Context, { req }: { req: Request }): Promise<Response> {
  const given = resourceIn(req, 'document') ?? req.body;
  if (!given || (given.resourceType !== 'Binary' && given.resourceType !== 'Bundle')) throw errors.malformed('A Binary with a CDA R2 document, or a FHIR document, is expected as `document`.');
  const binary = given.resourceType === 'Binary';
  const bytes = binary ? Buffer.from(String(given.data ?? ''), 'base64') : Buffer.from(JSON.stringify(given));
  const contentType = binary ? String(given.contentType ?? '') : 'application/fhir+json';
  const { language, ...rest } = binary && /xml/.test(contentType) ? fromCda(bytes.toString('utf8')) : fromFhir(binary ? parseJson(bytes.toString('utf8')) : given);
  const body = dense({ resourceType: 'DocumentReference', ...rest, status: 'current', content: [{ attachment: { contentType, language, title: rest.description, creation: rest.date, data: bytes.toString('base64') } }] });
  const done = await create({ ...ctx, act: { ...ctx.act, kind: 'create' } }, 'DocumentReference', { ...req, headers: {}, body });
  const [reference] = done.headers.Location.slice(ctx.settings.base.length + 1).split('/_history');
  return { status: done.status, headers: done.headers, resource: { resourceType: 'Parameters', parameter: [{ name: 'DocumentReference', valueReference: { reference } }] } };
}
