// Terminology operations over HTTP; a folder of later versions, checked at start; what is without bound is bounded, and said.
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as callers from '../seed/callers.ts';
import type { Json } from '../server/fhir/types.ts';
import { A03, A05, A07, ACT_CODE, CONFIDENTIALITY, G15, LOINC } from '../server/policy/vocabulary.ts';
import { type Answer, type Client, reasons, temporaryFolder, type TestServer, testServer } from './support/server.ts';

const OWN = 'https://fhir.dmp.example';
let s: TestServer;
let c: Client;
beforeAll(async () => {
  s = await testServer();
  c = await s.as(callers.system('chu-demo'));
});
afterAll(() => s.stop());
const named = (a: Answer, name: string): Json | undefined => a.body.parameter?.find((p: Json) => p.name === name);
const q = encodeURIComponent;

describe('$expand', () => {
  it('by URL, filtered and paged', async () => {
    const all = await c.get(`ValueSet/$expand?url=${q(`${OWN}/ValueSet/dmp-rubric-synthese`)}`);
    expect(all.body.expansion.total).toBe(all.body.expansion.contains.length);
    const filtered = await c.get(`ValueSet/$expand?url=${q(`${OWN}/ValueSet/dmp-rubric-synthese`)}&filter=psych`);
    expect(filtered.body.expansion.contains.map((x: Json) => x.code).sort()).toEqual(['68599-0', '83901-9'].filter((x) => filtered.text.includes(x)).sort());
    expect(filtered.body.expansion.contains.map((x: Json) => x.display)).toContain('Synthèse psychiatrique');
    const page = await c.get(`ValueSet/$expand?url=${q(`${OWN}/ValueSet/dmp-rubric-synthese`)}&offset=2&count=3`);
    expect(page.body.expansion.contains.map((x: Json) => x.code)).toEqual(all.body.expansion.contains.slice(2, 5).map((x: Json) => x.code));
  });
  it('by instance, of a base set, and of one that is given', async () => {
    expect((await c.get('ValueSet/dmp-opening-origin/$expand')).body.expansion.total).toBe(7);
    expect((await c.get(`ValueSet/$expand?url=${q('http://hl7.org/fhir/ValueSet/administrative-gender')}`)).body.expansion.contains.map((x: Json) => x.code).sort()).toEqual(['female', 'male', 'other', 'unknown']);
    const given = await c.post('ValueSet/$expand', { resourceType: 'Parameters', parameter: [{ name: 'valueSet', resource: { resourceType: 'ValueSet', status: 'active', compose: { include: [{ system: G15 }], exclude: [{ system: G15, concept: [{ code: '10' }] }] } } }] });
    expect(given.body.expansion.contains.some((x: Json) => x.code === '10')).toBe(false);
    expect(given.body.expansion.contains.some((x: Json) => x.code === '60' && x.display === 'Infirmier')).toBe(true);
  });
  it('unknown sets, cycles and expansions of 100,000 codes are answered, not suffered', async () => {
    expect((await c.get(`ValueSet/$expand?url=${q('urn:none')}`)).status).toBe(404);
    const cyclic = await c.post('ValueSet/$expand', { resourceType: 'Parameters', parameter: [{ name: 'valueSet', resource: { resourceType: 'ValueSet', status: 'active', url: 'urn:a', compose: { include: [{ valueSet: ['urn:a'] }] } } }] });
    expect(cyclic.status).toBe(404);
    const large = { resourceType: 'ValueSet', status: 'active', compose: { include: [{ system: 'urn:x', concept: Array.from({ length: 100_000 }, (_, i) => ({ code: `c${i}` })) }] } };
    const ask = (extra: Json[]) => c.post('ValueSet/$expand', { resourceType: 'Parameters', parameter: [{ name: 'valueSet', resource: large }, ...extra] });
    const refused = await ask([]);
    expect([refused.status, reasons(refused)[0]]).toEqual([400, 'too-costly']);
    expect((await ask([{ name: 'count', valueInteger: 2 }])).body.expansion).toMatchObject({ total: 100_000, contains: [{ code: 'c0' }, { code: 'c1' }] });
  });
});

it('$validate-code on sets and systems', async () => {
  const set = `${OWN}/ValueSet/dmp-security-label`;
  expect(named(await c.get(`ValueSet/$validate-code?url=${q(set)}&code=MASQUE_PS&system=${q(A07)}`), 'result')?.valueBoolean).toBe(true);
  expect(named(await c.get(`ValueSet/$validate-code?url=${q(set)}&code=NOPAT&system=${q(ACT_CODE)}`), 'result')?.valueBoolean).toBe(true);
  expect(named(await c.get(`ValueSet/$validate-code?url=${q(set)}&code=X&system=${q(A07)}`), 'result')?.valueBoolean).toBe(false);
  expect(named(await c.get(`CodeSystem/$validate-code?url=${q(G15)}&code=10&display=Dentiste`), 'result')?.valueBoolean).toBe(false);
  expect(named(await c.get(`CodeSystem/$validate-code?url=${q(G15)}&code=10`), 'display')?.valueString).toBe('Médecin');
});

it('$lookup, $subsumes, $translate', async () => {
  expect(named(await c.get(`CodeSystem/$lookup?system=${q(A05)}&code=PROT_ALD`), 'display')?.valueString).toBe('Protocole de soins ALD');
  expect(named(await c.get(`CodeSystem/$lookup?system=${q(LOINC)}&code=34112-3`), 'display')?.valueString).toBe('CR hospitalier (séjour)');
  expect((await c.get(`CodeSystem/$lookup?system=${q(A05)}&code=NONE`)).status).toBe(404);
  const reason = 'http://terminology.hl7.org/CodeSystem/v3-ActReason';
  const rel = async (a: string, b: string) => named(await c.get(`CodeSystem/$subsumes?system=${q(reason)}&codeA=${a}&codeB=${b}`), 'outcome')?.valueCode;
  expect([await rel('TREAT', 'TREAT'), await rel('TREAT', 'ETREAT'), await rel('ETREAT', 'TREAT')]).toEqual(['equivalent', 'subsumes', 'subsumed-by']);
  const translated = async (map: string, system: string, code: string) => named(await c.get(`ConceptMap/$translate?url=${q(`${OWN}/ConceptMap/${map}`)}&system=${q(system)}&code=${code}`), 'match')?.part.find((p: Json) => p.name === 'concept').valueCoding;
  expect(await translated('confidentiality-to-hl7', A07, 'INVISIBLE_PATIENT')).toMatchObject({ system: ACT_CODE, code: 'NOPAT' });
  expect(await translated('confidentiality-from-hl7', CONFIDENTIALITY, 'R')).toMatchObject({ code: 'R', display: 'Restreint' });
  expect(await translated('type-to-class', LOINC, '34112-3')).toMatchObject({ system: A03, code: '10', display: 'Compte rendu' });
});

it('a folder of later versions replaces what is built in; one that cannot stand is refused at start', async () => {
  const folder = temporaryFolder();
  const system = (code: string) => ({ resourceType: 'CodeSystem', url: `${OWN}/CodeSystem/dmp-opening-origin`, version: '2030', status: 'active', content: 'complete', concept: [{ code, display: 'Plus tard' }] });
  writeFileSync(join(folder, 'origin.json'), JSON.stringify(system('later')));
  const t = await testServer({ env: { TERMINOLOGY_DIR: folder } });
  const client = await t.as(callers.system('chu-demo'));
  expect((await client.get('ValueSet/dmp-opening-origin/$expand')).body.expansion.contains).toMatchObject([{ code: 'later', display: 'Plus tard' }]);
  await t.stop();
  writeFileSync(join(folder, 'cycle.json'), JSON.stringify({ resourceType: 'ValueSet', url: 'urn:a', version: '1', status: 'active', compose: { include: [{ valueSet: ['urn:b'] }] } }));
  writeFileSync(join(folder, 'cycle2.json'), JSON.stringify({ resourceType: 'ValueSet', url: 'urn:b', version: '1', status: 'active', compose: { include: [{ valueSet: ['urn:a'] }] } }));
  writeFileSync(join(folder, 'odd.json'), JSON.stringify({ resourceType: 'Patient' }));
  await expect(testServer({ env: { TERMINOLOGY_DIR: folder } })).rejects.toThrow(/cannot be expanded[\s\S]*neither a code system/);
});
