// The trail: every interaction leaves its events; altering it by hand is caught; the patient reads it.
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { appendFileSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from '@photostructure/sqlite';
import { pino } from 'pino';
import * as callers from '../../seed/callers.ts';
import { anchorFile, startSealing } from '../../server/audit/seal.ts';
import { eventTerms } from '../../server/audit/terms.ts';
import { verifyTrail } from '../../server/audit/verify.ts';
import type { Json } from '../../server/fhir/types.ts';
import { extract } from '../../server/search/extract.ts';
import { sqliteStore } from '../../server/store/sqlite/store.ts';
import { validatorOf } from '../../server/validation/validate.ts';
import { type Answer, type Client, openRecord, type Rec, temporaryFolder, type TestServer, testServer } from '../support/server.ts';

describe('every interaction leaves its events', () => {
  let s: TestServer;
  let rec: Rec;
  let hospital: Client;
  let doctor: Client;
  let auditor: Client;
  beforeAll(async () => {
    s = await testServer();
    rec = await openRecord(s);
    hospital = await s.as(callers.system('chu-demo'));
    doctor = await s.as(callers.professional('dr-martin'));
    auditor = await s.as({ ...callers.registry, roles: ['auditor'] });
  });
  afterAll(() => s.stop());
  const validate = validatorOf({ strictProfiles: false, production: false });

  /** Events whose transaction is this request. */
  async function eventsOf(a: Answer): Promise<Json[]> {
    const id = a.headers.get('x-request-id');
    const found = await auditor.get(`AuditEvent?entity:identifier=${id}&_count=50`);
    return found.body.entry?.map((e: Json) => e.resource) ?? [];
  }
  const summary = (e: Json): string => `${e.meta.profile?.[0].split('.').pop() ?? '-'} ${e.subtype[0].code} ${e.action} ${e.outcome}`;

  const rows: [string, () => Promise<Answer>, string[]][] = [
    ['create', () => rec.deposit(hospital), ['PatientCreate create C 0']],
    ['read', async () => hospital.get(`DocumentReference/${(await rec.deposit(hospital)).body.id}`), ['PatientRead read R 0']],
    ['vread', async () => hospital.get(`DocumentReference/${(await rec.deposit(hospital)).body.id}/_history/1`), ['PatientRead vread R 0']],
    ['history', async () => hospital.get(`DocumentReference/${(await rec.deposit(hospital)).body.id}/_history`), ['PatientRead history-instance R 0']],
    ['content retrieval', async () => hospital.get((await rec.deposit(hospital)).body.content[0].attachment.url), ['PatientRead read R 0']],
    ['patch', async () => hospital.patch(`DocumentReference/${(await rec.deposit(hospital)).body.id}`, [{ op: 'replace', path: '/status', value: 'superseded' }]), ['PatientUpdate patch U 0']],
    ['delete', async () => hospital.delete(`DocumentReference/${(await rec.deposit(hospital)).body.id}`), ['PatientDelete delete D 0']],
    ['search', () => hospital.get(`DocumentReference?patient=${rec.id}`), ['PatientQuery search-type E 0']],
    ['search refused by consent', () => doctor.get(`DocumentReference?patient=${rec.id}&_id=x`), ['PatientQuery search-type E 0']],
    ['read denied', async () => doctor.get(`DocumentReference/${(await rec.deposit(hospital)).body.id}`), ['AuthZconsent AuthZ-Consent E 8', '- read R 4']],
    ['create refused', () => rec.deposit(hospital, { status: 'entered-in-error' }), ['- create C 4']],
    ['scope missing', async () => (await s.as({ ...callers.system('chu-demo'), scopes: ['system/Patient.r'] })).get(`DocumentReference?patient=${rec.id}`), ['- search-type E 8']],
    ['directory read', () => doctor.get('Organization/chu-demo'), ['Read read R 0']],
    ['a rolled-back transaction', () => hospital.post('', { resourceType: 'Bundle', type: 'transaction', entry: [{ request: { method: 'DELETE', url: 'DocumentReference/nothing' } }] }), ['- transaction E 4']],
    ['$dmp-status', () => doctor.get(`Patient/${rec.id}/$dmp-status`), ['PatientQuery operation E 0']],
  ];
  it.each(rows)('%s', async (_name, act, expected) => {
    const events = await eventsOf(await act());
    expect(events.map(summary).sort()).toEqual([...expected].sort());
    for (const e of events) {
      expect(validate(e as never).filter((i) => i.severity === 'error')).toEqual([]);
      expect(e.agent.filter((x: Json) => x.requestor).length).toBe(1);
    }
  });

  it('names the rule of a refusal, the mode and the reason', async () => {
    const d = (await rec.deposit(hospital)).body.id;
    const denied = (await eventsOf(await doctor.get(`DocumentReference/${d}`))).find((e) => e.subtype[0].code === 'AuthZ-Consent');
    expect(denied?.outcomeDesc).toBe('no-consent');
    const glass = await s.as(callers.professional('dr-garnier', { mode: 'bris_de_glace', reason: 'coma' }));
    const [e] = await eventsOf(await glass.get(`DocumentReference/${d}`));
    expect(JSON.stringify(e.agent)).toContain('bris_de_glace');
    expect(JSON.stringify(e.agent)).toContain('coma');
  });

  it('indexes its events as the search definitions would', async () => {
    const all = await auditor.get(`AuditEvent?patient=Patient/${rec.id}&_count=30`);
    for (const { resource } of all.body.entry) {
      const { id: _i, ...event } = resource;
      const own = eventTerms({ ...event, meta: { profile: event.meta.profile } }).terms.filter((t) => !t.startsWith('~doc')).sort();
      const made = extract(event, s.base).entries.terms.filter((t) => !t.includes('.agent:') && !/display|~/.test(t)).sort();
      expect(made.filter((t) => !own.includes(t))).toEqual([]);
    }
  });

  it('is read by the patient and the auditor, changed by nobody', async () => {
    const mine = await rec.patient.get(`AuditEvent?patient=${rec.id}&date=ge2020-01-01&_count=5`);
    expect(mine.body.entry.length).toBe(5);
    const id = mine.body.entry[0].resource.id;
    expect((await rec.patient.get(`AuditEvent/${id}`)).status).toBe(200);
    expect((await doctor.get(`AuditEvent/${id}`)).status).toBe(404);
    for (const c of [rec.patient, auditor, hospital]) expect((await c.delete(`AuditEvent/${id}`)).status).toBe(405);
    expect((await doctor.post('AuditEvent', mine.body.entry[0].resource)).status).toBe(403);
    const posted = { ...mine.body.entry[0].resource, id: undefined, recorded: '2026-01-01T00:00:00Z', entity: [{ what: { reference: `Patient/${rec.id}` } }] };
    const accepted = await hospital.post('AuditEvent', posted);
    expect([accepted.status, accepted.body?.meta?.tag?.[0]?.code]).toEqual([201, 'external']);
    const laboratory = await s.as(callers.system('labo-demo'));
    expect((await laboratory.post('AuditEvent', posted)).status).toBe(403);
  });
});

describe('altering the trail by hand is caught', () => {
  async function sealed(): Promise<{ folder: string; ids: string[] }> {
    const folder = temporaryFolder();
    const store = sqliteStore(folder, 'p');
    const ids: string[] = [];
    for (let i = 0; i < 30; i++) {
      ids.push(`e${String(i).padStart(2, '0')}`);
      await store.commit({ ops: [], audit: [{ id: ids[i], patient: null, date: i, text: JSON.stringify({ resourceType: 'AuditEvent', n: i }), terms: [], docs: [] }] });
      if (i % 10 === 9) await (await startSealing({ store, dataDir: folder, anchor: undefined, process: 'p', now: Date.now, log: pino({ level: 'silent' }) })).stop();
    }
    await store.close();
    return { folder, ids };
  }
  async function verdict(folder: string) {
    const store = sqliteStore(folder, 'v');
    const v = await verifyTrail(store, anchorFile(folder, undefined));
    await store.close();
    rmSync(folder, { recursive: true, force: true });
    return v;
  }
  const sql = (folder: string, text: string): void => {
    const db = new DatabaseSync(join(folder, 'dmp.sqlite'));
    db.exec(text);
    db.close();
  };

  it('a whole trail verifies', async () => {
    const { folder } = await sealed();
    expect(await verdict(folder)).toEqual({ events: 30, seals: 3, open: 0, exported: 0, finding: undefined });
  });
  it.each([
    ['altered', "UPDATE audit SET text = replace(text, '15', '99') WHERE id = 'e15'", 'altered', 'e15'],
    ['removed', "DELETE FROM audit WHERE id = 'e15'", 'removed', 'e15'],
    ['reordered', "UPDATE audit SET seq = 1000 WHERE id = 'e14'; UPDATE audit SET seq = 15 WHERE id = 'e15'; UPDATE audit SET seq = 16 WHERE id = 'e14'", 'reordered', 'e14'],
    ['inserted', "INSERT INTO audit (id, process, date, terms, text) VALUES ('forged', 'p', 1, '', '{}')", 'inserted', 'forged'],
    ['a missing tail', "DELETE FROM audit WHERE seq > 20; DELETE FROM seal WHERE number = 3", 'seal-missing', undefined],
    ['a seal altered', "UPDATE seal SET text = replace(text, 'e05', 'e99') WHERE number = 1", 'seal-altered', undefined],
  ])('%s', async (_name, change, fault, event) => {
    const { folder } = await sealed();
    sql(folder, change);
    expect((await verdict(folder)).finding).toMatchObject({ fault, ...(event ? { event } : {}) });
  });
  it('a line of the anchor that is missing, but for the last: a crash may fall between a seal and its line', async () => {
    for (const [gone, fault] of [[2, 'anchor-missing'], [3, undefined]] as const) {
      const { folder } = await sealed();
      const anchor = anchorFile(folder, undefined);
      writeFileSync(anchor, readFileSync(anchor, 'utf8').split('\n').filter((l) => !l.includes(`"number":${gone},`)).join('\n'));
      expect((await verdict(folder)).finding?.fault).toBe(fault);
    }
  });
  it('a seal made with another key, its anchor line too', async () => {
    const { folder } = await sealed();
    const anchor = anchorFile(folder, undefined);
    writeFileSync(anchor, readFileSync(anchor, 'utf8').replace(/"hash":"[^"]+"/, '"hash":"AAAA"'));
    appendFileSync(anchor, '');
    expect((await verdict(folder)).finding).toMatchObject({ fault: 'seal-altered', number: 1 });
  });
});
