// Import: every form of file, write rules and trail held; interrupted half-way and resumed, the store is that of one that ran through.
import { expect, it } from '@jest/globals';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { writeNdjson } from '../seed/ndjson.ts';
import { factsOf } from '../server/access/facts.ts';
import { letGoOfAll, runImport } from '../server/import/run.ts';
import { RANKS, rankOf } from '../server/import/order.ts';
import { A07 } from '../server/policy/vocabulary.ts';
import { filesOf } from '../server/import/source.ts';
import { laneHere } from '../server/import/writer.ts';
import type { Json } from '../server/fhir/types.ts';
import * as callers from '../seed/callers.ts';
import { consent } from '../seed/consents.ts';
import { random } from '../seed/random.ts';
import type { ConsentKind } from '../server/policy/consent.ts';
import { Unavailable } from '../server/store/port.ts';
import { contentsOf } from './support/contents.ts';
import { temporaryFolder, type TestServer, testServer } from './support/server.ts';

const importInto = (s: TestServer, files: string[], progress?: (n: number) => void) => runImport({ lanes: async () => [laneHere(s.running.deps, s.running.services)], dataDir: s.dataDir, files, chunk: 20, progress });

it('one that is interrupted and resumed ends with the same store', async () => {
  const file = join(temporaryFolder(), 'region.ndjson');
  const documents = await writeNdjson(file, { patients: 30, seed: 9, documents: 6, now: Date.parse('2026-06-01T00:00:00Z') });
  const whole = await testServer({ directory: false });
  const first = await importInto(whole, [file]);
  expect(first.refused).toBe(0);
  const broken = await testServer({ directory: false });
  const real = broken.running.deps.store.commit;
  let commits = 0;
  // The store dies after some commits; one of them was made though its writer never learnt of it.
  broken.running.deps.store.commit = async (c) => {
    if (++commits > 25) {
      if (commits === 26) await real(c);
      throw new Error('killed');
    }
    return real(c);
  };
  await expect(importInto(broken, [file])).rejects.toThrow();
  broken.running.deps.store.commit = real;
  const again = await importInto(broken, [file]);
  expect(again.skipped).toBeGreaterThan(0);
  expect(again.refused).toBe(0);
  const [a, b] = [await contentsOf(whole.running.deps.store), await contentsOf(broken.running.deps.store)];
  expect(b).toEqual(a);
  expect(a.filter((x) => x.startsWith('DocumentReference ')).length).toBe(documents);
  expect((await importInto(broken, [file])).taken).toBe(0);
  await whole.stop();
  await broken.stop();
});

it('takes NDJSON, Bundles, folders, gzip; refuses one by one, and says why', async () => {
  const folder = temporaryFolder();
  const patient = (id: string): Json => ({ resourceType: 'Patient', id, name: [{ family: 'Import' }] });
  writeFileSync(join(folder, 'a.ndjson.gz'), gzipSync(`${JSON.stringify(patient('i1'))}\nnot json\n`));
  writeFileSync(join(folder, 'b.json'), JSON.stringify({ resourceType: 'Bundle', type: 'collection', entry: [{ resource: patient('i2') }, { resource: { ...patient('i3'), gender: 'neither' } }, { resource: { resourceType: 'Observation', id: 'o' } }] }));
  writeFileSync(join(folder, 'c.json'), JSON.stringify({ resourceType: 'DocumentReference', status: 'current', subject: { reference: 'Patient/i1' }, type: { text: 'x' }, content: [{ attachment: { contentType: 'text/plain', data: 'eA==' } }] }));
  const s = await testServer();
  const r = await importInto(s, filesOf([folder]));
  expect([r.taken, r.refused]).toEqual([2, 4]);
  const why = readFileSync(r.report, 'utf8').split('\n').filter(Boolean).map((l) => JSON.parse(l));
  expect(why.map((w) => [w.line, w.type])).toEqual(expect.arrayContaining([[2, undefined], [2, 'Patient'], [3, 'Observation'], [1, 'DocumentReference']]));
  expect(why.find((w) => w.type === 'DocumentReference').why).toMatch(/record|deposited/i);
  expect(await s.running.deps.store.count('AuditEvent', { kind: 'all' })).toBeGreaterThan(2);
  await s.stop();
});

const document = (id: string, patient: string, over: Json = {}): Json => ({
  resourceType: 'DocumentReference', id, status: 'current', masterIdentifier: { system: 'urn:ietf:rfc:3986', value: `urn:oid:1.2.3.${id.length}.${id.charCodeAt(0)}` },
  type: { coding: [{ system: 'http://loinc.org', code: '34112-3' }] }, category: [{ coding: [{ system: 'https://mos.esante.gouv.fr/NOS/TRE_A03-ClasseDocument/FHIR/TRE-A03-ClasseDocument', code: '10' }] }],
  subject: { reference: `Patient/${patient}` }, date: '2025-03-01T10:00:00Z', custodian: { reference: 'Organization/chu-demo' },
  content: [{ attachment: { contentType: 'text/plain', url: `Binary/b-${id}`, title: `Document ${id}` } }], ...over,
});
const replaces = (id: string): Json => ({ relatesTo: [{ code: 'replaces', target: { reference: `DocumentReference/${id}` } }] });
const at = { dateTime: new Date(Date.now() - 86_400_000).toISOString() };
const ndjson = (folder: string, type: string, resources: Json[]): void => writeFileSync(join(folder, `${type}.ndjson`), resources.map((r) => `${JSON.stringify(r)}\n`).join(''));

it('takes a bulk export: a file for each type, in any order; Binaries, replacements, Lists, Consents that name documents, closings', async () => {
  const folder = temporaryFolder();
  const ids = ['a', 'b', 'c', 'd', 'f'];
  ndjson(folder, 'Binary', [...ids, 'lost'].map((id) => ({ resourceType: 'Binary', id: `b-${id}`, contentType: 'text/plain', data: Buffer.from(`bytes of ${id}`).toString('base64') })));
  ndjson(folder, 'Consent', [
    { ...consent('closing', 'closed', at), id: 'closing' }, { ...consent('opening', 'closed', at), id: 'o1' }, { ...consent('opening', 'open', at), id: 'o2' }, { ...consent('authorisation', 'open', { ...at, actors: ['Practitioner/dr-martin'] }), id: 'gp' },
    { ...consent('authorisation', 'open', at), id: 'mask', provision: { type: 'deny', data: [{ meaning: 'instance', reference: { reference: 'DocumentReference/c' } }], actor: [{ role: { coding: [{ system: 'http://terminology.hl7.org/CodeSystem/v3-ParticipationType', code: 'IRCP' }] }, reference: { reference: 'Practitioner/dr-martin' } }] } },
  ]);
  // The newest first, and the old ones as they stand at their source.
  ndjson(folder, 'DocumentReference', [document('c', 'open', replaces('b')), document('b', 'open', { status: 'superseded', ...replaces('a') }), document('a', 'open', { status: 'superseded' }), document('d', 'closed'), document('f', 'open'), document('e', 'open', { ...replaces('nowhere'), content: [{ attachment: { contentType: 'text/plain', data: 'eA==' } }] })]);
  ndjson(folder, 'List', [{ resourceType: 'List', id: 'l', status: 'current', mode: 'working', title: 'Dossier', subject: { reference: 'Patient/open' }, entry: [{ item: { reference: 'DocumentReference/c' } }] }]);
  ndjson(folder, 'Patient', ['open', 'closed'].map((id) => ({ resourceType: 'Patient', id })));
  const s = await testServer();
  const r = await importInto(s, filesOf([folder]));
  const why = readFileSync(r.report, 'utf8').split('\n').filter(Boolean).map((l) => JSON.parse(l));
  expect(why.map((w) => [w.type, w.id])).toEqual([['Binary', 'b-lost'], ['DocumentReference', 'e']]);
  expect(why[1].why).toMatch(/DocumentReference.relatesTo.*`DocumentReference\/nowhere` names nothing here/);
  expect(r).toMatchObject({ taken: 13, refused: 2, skipped: 0 });

  const patient = await s.as(callers.patient('open'));
  const all: Json[] = (await patient.get('DocumentReference?patient=open&_sort=_id')).body.entry.map((e: Json) => e.resource);
  const by = (title: string): Json => all.find((d) => d.content[0].attachment.title === title) as Json;
  const [a, b, c] = ['Document a', 'Document b', 'Document c'].map(by);
  expect([a.status, b.status, c.status]).toEqual(['superseded', 'superseded', 'current']);
  expect([b, c].map((d) => d.relatesTo[0].target.reference)).toEqual([`DocumentReference/${a.id}`, `DocumentReference/${b.id}`]);
  expect((await patient.get(c.content[0].attachment.url, { Accept: 'text/plain' })).text).toBe('bytes of c');
  expect((await patient.get('List?patient=open')).body.entry[0].resource.entry[0].item.reference).toBe(`DocumentReference/${c.id}`);
  const doctor = await s.as(callers.professional('dr-martin'));
  expect((await doctor.get(`DocumentReference/${c.id}`)).status).toBe(404);
  expect((await doctor.get(`DocumentReference/${by('Document f').id}`)).status).toBe(200);
  expect((await doctor.get('DocumentReference?patient=closed')).body.total).toBe(0);
  expect(await s.running.deps.store.count('DocumentReference', { kind: 'scalar', field: 'patient', op: 'eq', value: 'closed' })).toBe(1);

  expect(await importInto(s, filesOf([folder]))).toMatchObject({ taken: 0, skipped: 14 });
  await s.stop();
});

it('takes a Bundle whose entries name each other by fullUrl, and an id that stands twice once', async () => {
  const folder = temporaryFolder();
  const urn = (n: number): string => `urn:uuid:00000000-0000-4000-8000-00000000000${n}`;
  const doc = document('x', 'x', { id: undefined, subject: { reference: urn(1) }, content: [{ attachment: { contentType: 'text/plain', url: urn(3) } }] });
  writeFileSync(join(folder, 'bundle.json'), JSON.stringify({ resourceType: 'Bundle', type: 'collection', entry: [
    { fullUrl: urn(2), resource: doc }, { fullUrl: urn(3), resource: { resourceType: 'Binary', contentType: 'text/plain', data: Buffer.from('by urn').toString('base64') } },
    { fullUrl: urn(4), resource: { ...consent('opening', 'x', at), patient: { reference: urn(1) }, performer: [{ reference: urn(1) }] } }, { fullUrl: urn(1), resource: { resourceType: 'Patient', name: [{ family: 'Urn' }] } },
    { resource: { resourceType: 'Binary', contentType: 'text/plain', data: 'eA==' } },
  ] }));
  const twice = document('twice', '00000000-0000-4000-8000-000000000001', { content: [{ attachment: { contentType: 'text/plain', data: 'eA==' } }] });
  writeFileSync(join(folder, 'z.ndjson'), `${JSON.stringify(twice)}\n${JSON.stringify(twice)}\n`);
  const s = await testServer();
  expect(await importInto(s, filesOf([folder]))).toMatchObject({ taken: 4, refused: 1, skipped: 1 });
  const patient = await s.as(callers.patient('00000000-0000-4000-8000-000000000001'));
  const found = (await patient.get('DocumentReference?patient=00000000-0000-4000-8000-000000000001')).body;
  expect(found.total).toBe(2);
  const bytes = await Promise.all(found.entry.map(async (e: Json) => (await patient.get(e.resource.content[0].attachment.url, { Accept: 'text/plain' })).text));
  expect(bytes.sort()).toEqual(['by urn', 'x']);
  await s.stop();
});

it('the faults of a group are told one by one, though each is found only once those before are out', async () => {
  const folder = temporaryFolder();
  const text = (data: string): Json => ({ content: [{ attachment: { contentType: 'text/plain', data } }] });
  const misfit = { author: [{ reference: 'Organization/labo-demo' }] };
  ndjson(folder, 'Consent', [{ ...consent('opening', 'm', at), id: 'o' }]);
  ndjson(folder, 'Patient', [{ resourceType: 'Patient', id: 'm' }]);
  ndjson(folder, 'DocumentReference', Array.from({ length: 12 }, (_, i) => document(`${'m'.repeat(i + 1)}`, 'm', { ...text('eA=='), ...(i % 4 === 2 ? misfit : {}) })));
  const s = await testServer();
  expect(await importInto(s, filesOf([folder]))).toMatchObject({ taken: 11, refused: 3, skipped: 0 });
  await s.stop();
});

it('one fault does not cost a group: the rest go in together, the store that is away is waited for', async () => {
  const folder = temporaryFolder();
  ndjson(folder, 'Patient', Array.from({ length: 20 }, (_, i) => ({ resourceType: 'Patient', id: `g${i}`, ...(i % 10 === 0 ? { gender: 'neither' } : {}) })));
  const s = await testServer();
  const { store } = s.running.deps;
  const real = store.commit;
  let commits = 0;
  store.commit = async (c) => {
    if (c.ops.length && ++commits === 1) throw new Unavailable('away');
    return real(c);
  };
  expect(await importInto(s, filesOf([folder]))).toMatchObject({ taken: 18, refused: 2 });
  // One that found the store away, one for the rest: the entries at fault never came to a commit.
  expect(commits).toBe(2);
  store.commit = real;
  await s.stop();
});

it('holds closed, until all is there, the records whose Consents can only follow their documents', async () => {
  const folder = temporaryFolder();
  const actor = (reference: string): Json => ({ role: { coding: [{ system: 'http://terminology.hl7.org/CodeSystem/v3-ParticipationType', code: 'IRCP' }] }, reference: { reference } });
  const text = { content: [{ attachment: { contentType: 'text/plain', data: 'eA==' } }] };
  const people = ['closed', 'masked', 'blocking', 'replacing', 'plain'];
  const system = 'http://example.org/folder';
  const mask = { securityLabel: [{ coding: [{ system: A07, code: 'MASQUE_PS' }] }] };
  ndjson(folder, 'Patient', people.map((id) => ({ resourceType: 'Patient', id, identifier: [{ system, value: id }] })));
  ndjson(folder, 'Consent', [
    ...people.flatMap((p) => [{ ...consent('opening', p, at), id: `o-${p}` }, { ...consent('authorisation', p, { ...at, actors: ['Practitioner/dr-martin'] }), id: `gp-${p}` }]),
    { ...consent('closing', 'closed', at), id: 'closing' }, { ...consent('block', 'blocking', { ...at, actors: ['Organization/chu-demo'] }), id: 'block' },
    { ...consent('authorisation', 'masked', at), id: 'mask', provision: { type: 'deny', data: [{ meaning: 'instance', reference: { reference: 'DocumentReference/masked' } }], actor: [actor('Practitioner/dr-martin')] } },
  ]);
  ndjson(folder, 'DocumentReference', [...people.map((p) => document(p, p, text)), document('replacement', 'replacing', { ...text, ...mask, ...replaces('replacing'), subject: { reference: `Patient?identifier=${system}|replacing` } })]);
  const s = await testServer();
  const doctor = await s.as(callers.professional('dr-martin'));
  const shown = async (): Promise<unknown[]> => Promise.all(people.map(async (p) => (await doctor.get(`DocumentReference?patient=${p}`)).body.total));
  const { store } = s.running.deps;
  const real = store.commit;
  // Killed once most documents are there; what comes late is not.
  store.commit = async (c) => {
    if (c.ops.some((o) => o.kind === 'put' && RANKS[rankOf(JSON.parse(o.row.text || '{}'))].late)) throw new Error('killed');
    return real(c);
  };
  await expect(importInto(s, filesOf([folder]))).rejects.toThrow();
  store.commit = real;
  expect(await store.count('DocumentReference', { kind: 'all' })).toBe(5);
  expect(await shown()).toEqual([0, 0, 0, 0, 1]);
  for (const p of ['masked', 'blocking', 'replacing']) {
    const patient = await s.as(callers.patient(p));
    expect((await patient.get(`DocumentReference?patient=${p}`)).body).toMatchObject({ total: 0, entry: [{ search: { mode: 'outcome' }, resource: { issue: [{ details: { coding: [{ code: 'record-closed' }] } }] } }] });
    expect((await patient.get(`Patient/${p}/$dmp-status`)).body.parameter).toContainEqual({ name: 'open', valueBoolean: false });
  }
  // Nor does the registry carry a held document into a record that is not.
  const registry = await s.as(callers.registry);
  expect((await registry.post('Patient/masked/$merge', { resourceType: 'Parameters', parameter: [{ name: 'target', valueReference: { reference: 'Patient/plain' } }] })).status).toBe(409);
  // One that brings the same records meanwhile does not open them; it tells that they stay held.
  const other = join(temporaryFolder(), 'other.ndjson');
  writeFileSync(other, `${JSON.stringify({ ...consent('closing', 'closed', at), id: 'again' })}\n`);
  expect(await importInto(s, [other])).toMatchObject({ taken: 1, closed: 4 });
  expect(await shown()).toEqual([0, 0, 0, 0, 1]);
  expect(await importInto(s, filesOf([folder]))).toMatchObject({ refused: 0, closed: 0 });
  expect(await shown()).toEqual([0, 0, 1, 0, 1]);
  const hospital = await s.as(callers.system('chu-demo'));
  expect((await hospital.get('DocumentReference?patient=blocking')).body.total).toBe(0);
  expect((await (await s.as(callers.patient('masked'))).get('DocumentReference?patient=masked')).body.total).toBe(1);
  await s.stop();
});

it('opens as they stand the records of an import that will not be run again', async () => {
  const folder = temporaryFolder();
  ndjson(folder, 'Patient', [{ resourceType: 'Patient', id: 'demo' }]);
  const s = await testServer();
  await importInto(s, filesOf([folder]));
  const { deps, services } = s.running;
  const lane = laneHere(deps, services);
  await lane.perform({ act: 'hold', digest: 'gone', secret: '', items: [{ file: 'f', nth: 0, line: 1, resource: { resourceType: 'Consent', patient: { reference: 'Patient/demo' } } }] });
  expect((await factsOf(deps, 'demo')).held).toBe(true);
  await letGoOfAll(lane);
  expect((await factsOf(deps, 'demo')).held).toBe(false);
  await s.stop();
});

it('shows nothing on the way that it would not show at its end', async () => {
  const folder = temporaryFolder();
  const r = random(7);
  const people = Array.from({ length: 14 }, (_, i) => `p${i}`);
  const label = (code: string): Json => ({ securityLabel: [{ coding: [{ system: A07, code }] }] });
  const documents: Json[] = [];
  const consents: Json[] = [];
  for (const p of people) {
    const add = (kind: ConsentKind, over: Json = {}, actors?: string[]): void => void consents.push({ ...consent(kind, p, { ...at, actors }), id: `c${consents.length}`, ...over });
    add('opening');
    add('authorisation', {}, ['Practitioner/dr-leroy', 'Organization/cabinet-demo']);
    const own: string[] = [];
    for (let i = r.whole(1, 4); i > 0; i--) {
      const id = `d${documents.length}`;
      const old = own.length && r.chance(0.5) ? own[own.length - 1] : undefined;
      const labels = r.pick([{}, {}, label('MASQUE_PS'), ...(old ? [] : [label('INVISIBLE_PATIENT')])]);
      documents.push(document(id, p, { masterIdentifier: { system: 'urn:ietf:rfc:3986', value: id }, content: [{ attachment: { contentType: 'text/plain', data: 'eA==', title: id } }], ...labels, ...(old ? replaces(old) : {}) }));
      own.push(id);
    }
    if (r.chance(0.3)) add('closing');
    if (r.chance(0.3)) add('block', {}, [r.pick(['Organization/chu-demo', 'Practitioner/dr-leroy'])]);
    // A patient names no document that they have not seen yet.
    if (r.chance(0.6) && !JSON.stringify(documents.filter((d) => own.includes(d.id))).includes('INVISIBLE_PATIENT')) add('authorisation', { provision: { type: 'deny', data: [{ meaning: 'instance', reference: { reference: `DocumentReference/${r.pick(own)}` } }] } });
  }
  ndjson(folder, 'Consent', consents);
  ndjson(folder, 'DocumentReference', documents);
  ndjson(folder, 'Patient', people.map((id) => ({ resourceType: 'Patient', id, ...(id === 'p0' ? { generalPractitioner: [{ reference: 'Practitioner/dr-martin' }] } : {}) })));
  const s = await testServer();
  const who = await Promise.all(['dr-leroy', 'dr-martin', 'dentiste-petit'].map((id) => s.as(callers.professional(id))));
  who.push(await s.as(callers.system('chu-demo')));
  const shown = async (): Promise<string[]> => {
    const pairs = people.flatMap((p) => [...who.map((c) => ({ p, c }))]);
    const own = await Promise.all(people.map(async (p) => ({ p, c: await s.as(callers.patient(p)) })));
    const found = await Promise.all([...pairs, ...own].map(async ({ p, c }) => ((await c.get(`DocumentReference?patient=${p}&_count=50`)).body.entry ?? []).filter((e: Json) => e.search.mode === 'match').map((e: Json) => `${c.caller.ref} ${e.resource.content[0].attachment.title}`)));
    return found.flat();
  };
  const { store } = s.running.deps;
  const real = store.commit;
  const onTheWay = new Set<string>();
  store.commit = async (c) => {
    await real(c);
    if (c.ops.some((o) => o.kind === 'put' && ['DocumentReference', 'Consent'].includes(o.row.type))) for (const x of await shown()) onTheWay.add(x);
  };
  const report = await importInto(s, filesOf([folder]));
  store.commit = real;
  expect(report).toMatchObject({ refused: 0, closed: 0 });
  const end = new Set(await shown());
  expect([...onTheWay].filter((x) => !end.has(x))).toEqual([]);
  expect(onTheWay.size).toBeGreaterThan(20);
  await s.stop();
});
