// Two server processes over one database: a withdrawal answered by one holds at once on the other; writers to one patient lose nothing.
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import * as callers from '../../seed/callers.ts';
import { type Client, openRecord, temporaryFolder, type TestServer, testServer } from '../support/server.ts';

const mongo = process.env.TEST_MONGODB_URL;
if (!mongo) process.stdout.write('skipped: two processes on MongoDB (TEST_MONGODB_URL names no server; npm run test:mongo finds one)\n');

(mongo ? describe : describe.skip)('two servers on one MongoDB', () => {
  let a: TestServer;
  let b: TestServer;
  beforeAll(async () => {
    const dataDir = temporaryFolder();
    const env = { MONGODB_URL: `${String(mongo).replace(/\/[^/]*$/, '')}/two${randomUUID().slice(0, 8)}`, MONGODB_STANDALONE: 'accept', BASE_URL: 'http://dmp.example/fhir' };
    a = await testServer({ env, dataDir });
    b = await testServer({ env, dataDir, directory: false });
  });
  afterAll(async () => {
    await a.stop();
    await b.stop();
  });

  it('1,000 reads racing a withdrawal: none begun after its answer is served', async () => {
    const rec = await openRecord(a);
    const d = (await rec.deposit(await a.as(callers.system('chu-demo')))).body;
    const given = (await rec.consent('authorisation', { actors: ['Practitioner/dr-martin'] })).body;
    const doctor = await b.as(callers.professional('dr-martin'));
    let withdrawn = false;
    let served = 0;
    let wrong = 0;
    const reads = Array.from({ length: 20 }, async () => {
      for (let i = 0; i < 50; i++) {
        const after = withdrawn;
        const r = await doctor.get(`DocumentReference/${d.id}`);
        if (r.status === 200) served++;
        if (after && r.status !== 404) wrong++;
      }
    });
    await new Promise((r) => setTimeout(r, 300));
    expect((await rec.patient.put(`Consent/${given.id}`, { ...given, status: 'inactive' })).status).toBe(200);
    withdrawn = true;
    await Promise.all(reads);
    expect([served > 0, wrong]).toEqual([true, 0]);
  });

  it('ten writers to one patient, five on each: no lost update, no deadlock', async () => {
    const rec = await openRecord(a);
    const hospitals: Client[] = [await a.as(callers.system('chu-demo')), await b.as(callers.system('chu-demo'))];
    const answers = await Promise.all(Array.from({ length: 10 }, (_, i) => rec.deposit(hospitals[i % 2])));
    expect(answers.map((x) => x.status)).toEqual(Array(10).fill(201));
    expect((await rec.patient.get(`DocumentReference?patient=${rec.id}`)).body.total).toBe(10);
  });
});
