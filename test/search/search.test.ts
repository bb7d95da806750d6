// Search semantics over HTTP: every parameter type, modifiers, chains, sorting, paging.
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import * as callers from '../../seed/callers.ts';
import type { Json } from '../../server/fhir/types.ts';
import { type Client, idsOf, openRecord, type Rec, type TestServer, testServer } from '../support/server.ts';

let s: TestServer;
let registry: Client;
let rec: Rec;
let hospital: Client;
const docs: string[] = [];
const LOINC = 'http://loinc.org';

beforeAll(async () => {
  s = await testServer();
  registry = await s.as(callers.registry);
  hospital = await s.as(callers.system('chu-demo'));
  const put = (r: Json) => registry.put(`${r.resourceType}/${r.id}`, r);
  await put({ resourceType: 'Practitioner', id: 's-eloise', identifier: [{ system: 'urn:s', value: 'A|1', type: { coding: [{ system: 'urn:t', code: 'X' }] } }], name: [{ family: "L'Hôpital-Œuvré", given: ['Éloïse'] }], telecom: [{ system: 'phone', value: '0600000001' }], birthDate: '1970-05-05', active: true, gender: 'female' });
  await put({ resourceType: 'Practitioner', id: 's-elodie', name: [{ family: 'Lhopital', given: ['Élodie'] }], active: false, gender: 'female' });
  await put({ resourceType: 'Organization', id: 's-top', name: 'Top Sante', identifier: [{ system: 'urn:o', value: '1,2' }] });
  await put({ resourceType: 'Organization', id: 's-sub', name: 'Sub Sante', partOf: { reference: 'Organization/s-top' }, meta: { tag: [{ system: 'urn:tag', code: 'blue' }], profile: ['http://example.org/a/b'], source: 'urn:feed' } });
  await put({ resourceType: 'PractitionerRole', id: 's-role', practitioner: { reference: 'Practitioner/s-eloise' }, organization: { reference: 'Organization/s-sub' }, period: { start: '2020-01-01', end: '2021-12-31' } });
  rec = await openRecord(s);
  const author = { resourceType: 'Practitioner', id: 'a', name: [{ family: 'Contenu', given: ['Zoé'] }] };
  for (const [date, code, more] of [['2026-01-10T10:00:00Z', '34112-3', {}], ['2026-02-10T10:00:00Z', '11490-0', { contained: [author], author: [{ reference: '#a' }] }], ['2026-03', '34112-3', { context: { period: { start: '2026-01-01', end: '2026-01-31' }, event: [{ coding: [{ system: 'urn:e', code: 'E1' }] }] } }]] as const) {
    const made = await rec.deposit(hospital, { date: date.length < 10 ? '2026-03-01T00:00:00Z' : date, type: { coding: [{ system: LOINC, code, display: 'Compte rendu' }] }, ...more });
    if (made.status !== 201) throw new Error(made.text);
    docs.push(made.body.id);
  }
});
afterAll(() => s.stop());

describe('directory searches', () => {
  it.each([
    ['Practitioner?family=lhopital', ['s-elodie']], ['Practitioner?family=l%20hopital', ['s-eloise']], ['Practitioner?family:contains=OEUV', ['s-eloise']], ['Practitioner?given=elo', ['s-elodie', 's-eloise']], ['Practitioner?given:exact=Éloïse', ['s-eloise']], ['Practitioner?given:exact=eloise', []],
    ['Practitioner?identifier=urn:s|A\\|1', ['s-eloise']], ['Practitioner?identifier=A\\|1', ['s-eloise']], ['Practitioner?identifier=urn:s|', ['s-eloise']], ['Practitioner?identifier=|A\\|1', []], ['Practitioner?identifier:of-type=urn:t|X|A\\|1', ['s-eloise']], ['Practitioner?phone=0600000001', ['s-eloise']],
    ['Practitioner?family=lhopital,l%20hopital', ['s-elodie', 's-eloise']], ['Practitioner?given=elo&active=true', ['s-eloise']], ['Practitioner?given=elo&active:not=true', ['s-elodie']], ['Practitioner?given=elo&telecom:missing=true', ['s-elodie']], ['Practitioner?given=elo&telecom:missing=false', ['s-eloise']],
    ['Practitioner?_id=s-eloise,s-elodie,none', ['s-elodie', 's-eloise']], ['Practitioner?phonetic=lopital', ['s-elodie']],
    ['Organization?partof=s-top', ['s-sub']], ['Organization?partof=Organization/s-top', ['s-sub']], ['Organization?partof:Organization=s-top', ['s-sub']], ['Organization?partof.name=top', ['s-sub']], ['Organization?partof:Organization.identifier=urn:o|1\\,2', ['s-sub']],
    ['Organization?_tag=urn:tag|blue', ['s-sub']], ['Organization?_profile=http://example.org/a/b', ['s-sub']], ['Organization?_profile:below=http://example.org/a', ['s-sub']], ['Organization?_profile:above=http://example.org/a/b/c', ['s-sub']], ['Organization?_source=urn:feed', ['s-sub']],
    ['PractitionerRole?practitioner.given=elo&organization.partof.name=top', ['s-role']], ['Practitioner?_has:PractitionerRole:practitioner:organization=s-sub', ['s-eloise']], ['Practitioner?_has:PractitionerRole:practitioner:organization.name=sub', ['s-eloise']],
    ['PractitionerRole?date=2020-06&organization=s-sub', []], ['PractitionerRole?date=ge2020-06&organization=s-sub', ['s-role']], ['PractitionerRole?date=sa2021&organization=s-sub', []], ['PractitionerRole?date=eb2022-06&organization=s-sub', ['s-role']], ['PractitionerRole?date=lt2020-06&organization=s-sub', ['s-role']],
    ['Practitioner?gender:in=http://hl7.org/fhir/ValueSet/administrative-gender&given=elo', ['s-elodie', 's-eloise']], ['Practitioner?gender:not-in=http://hl7.org/fhir/ValueSet/administrative-gender&given=elo', []],
    ['Organization?name=sub&_lastUpdated=ge2020-01-01', ['s-sub']], ['Organization?name=sub&_lastUpdated=lt2020-01-01', []],
  ])('%s', async (path, expected) => {
    const a = await registry.get(path, { Prefer: 'handling=strict' });
    expect([a.status, idsOf(a).sort()]).toEqual([200, [...expected].sort()]);
  });

  it('includes, and includes what includes bring', async () => {
    const a = await registry.get('PractitionerRole?_id=s-role&_include=PractitionerRole:organization&_include:iterate=Organization:partof&_include=PractitionerRole:practitioner');
    expect(idsOf(a).sort()).toEqual(['s-eloise', 's-role', 's-sub', 's-top']);
    expect(a.body.entry.filter((e: Json) => e.search.mode === 'match').length).toBe(1);
    expect(idsOf(await registry.get('Organization?_id=s-top&_revinclude=Organization:partof')).sort()).toEqual(['s-sub', 's-top']);
  });

  it('sorts and pages every way without loss or repetition', async () => {
    const all = idsOf(await registry.get('Organization?_count=100')).sort();
    for (const sort of ['name', '-name', '_lastUpdated', '-_lastUpdated,_id', '_id', '-_id', 'identifier,-name']) {
      const seen: string[] = [];
      let url: string | undefined = `Organization?_count=3&_sort=${sort}`;
      while (url) {
        const page = await registry.get(url);
        seen.push(...idsOf(page));
        url = page.body.link.find((l: Json) => l.relation === 'next')?.url;
      }
      expect([sort, [...seen].sort()]).toEqual([sort, all]);
    }
    const names = (await registry.get('Organization?_count=100&_sort=name')).body.entry.map((e: Json) => e.resource.name.toLowerCase());
    expect(names.indexOf('sub sante')).toBeLessThan(names.indexOf('top sante'));
  });
});

describe('documents of one patient', () => {
  it.each([
    ['', [0, 1, 2]], ['&type=34112-3', [0, 2]], [`&type=${LOINC}|11490-0`, [1]], [`&type:not=${LOINC}|11490-0`, [0, 2]], ['&type:text=compte', [0, 1, 2]], ['&date=2026-02', [1]], ['&date=gt2026-02-10', [2]], ['&date=ge2026-02-10&date=lt2026-03', [1]], ['&date=ne2026-02', [0, 2]],
    ['&author.family=contenu', [1]], ['&author.given=zoe', [1]], ['&author:Practitioner.family=personne', []], ['&period=2026-01', [2]], ['&period-start=2026-01-01', [2]], ['&period-end=ge2026-01-31', [2]], ['&event=urn:e|E1', [2]], ['&status=current', [0, 1, 2]], ['&category=10', [0, 1, 2]],
    ['&contenttype=text/plain', [0, 1, 2]], ['&subject:missing=true', []], ['&isArchived=true', []],
  ])('%s', async (more, expected) => {
    const a = await hospital.get(`DocumentReference?patient=${rec.id}${more}`, { Prefer: 'handling=strict' });
    expect([a.status, idsOf(a).sort()]).toEqual([200, expected.map((i) => docs[i]).sort()]);
  });
  it('newest first by default, and the other way when asked', async () => {
    expect(idsOf(await hospital.get(`DocumentReference?patient=${rec.id}`))).toEqual([docs[2], docs[1], docs[0]]);
    expect(idsOf(await hospital.get(`DocumentReference?patient=${rec.id}&_sort=date`))).toEqual(docs);
  });
});
