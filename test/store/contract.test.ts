// One contract for both stores: SQLite always, MongoDB where TEST_MONGODB_URL names one.
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { rmSync } from 'node:fs';
import { Readable } from 'node:stream';
import fc from 'fast-check';
import { and, matches, not, or } from '../../server/store/plan.ts';
import { Conflict, type Entries, NO_ENTRIES, NO_SCALARS, type Plan, type Put, type Row, type Sort, type Store } from '../../server/store/port.ts';
import { mongoStore } from '../../server/store/mongo/store.ts';
import { sqliteStore } from '../../server/store/sqlite/store.ts';
import { temporaryFolder } from '../support/server.ts';

const put = (id: string, version = 1, over: Partial<Row['scalars']> = {}, entries: Entries = NO_ENTRIES, type = 'List'): Put => ({
  kind: 'put', expect: version - 1, entries,
  row: { type, id, version, updated: 1000 + version, deleted: false, method: 'POST', text: JSON.stringify({ resourceType: type, id, v: version }), scalars: { ...NO_SCALARS, date: 5, ...over } },
});

const stores: [string, () => Promise<Store>][] = [['SQLite', async () => sqliteStore(folder, 'p1')]];
const folder = temporaryFolder();
const mongo = process.env.TEST_MONGODB_URL;
if (mongo) stores.push(['MongoDB', () => mongoStore(`${mongo.replace(/\/[^/]*$/, '')}/c${randomUUID().slice(0, 8)}`, 'p1', { acceptStandalone: true })]);
else process.stdout.write('skipped: the contract on MongoDB (TEST_MONGODB_URL names no server; npm run test:mongo finds one)\n');
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe.each(stores)('the store on %s', (_name, open) => {
  let store: Store;
  beforeAll(async () => {
    store = await open();
  });
  afterAll(() => store.close());
  const id = (): string => randomUUID();

  it('keeps current and history apart, newest first', async () => {
    const a = id();
    for (const v of [1, 2, 3]) await store.commit({ ops: [put(a, v)], audit: [] });
    expect((await store.read('List', a))?.version).toBe(3);
    expect((await store.readVersion('List', a, 2))?.text).toContain('"v":2');
    expect(await store.readVersion('List', a, 4)).toBeUndefined();
    expect((await store.history('List', a, { limit: 2 })).map((r) => r.version)).toEqual([3, 2]);
    expect((await store.history('List', a, { limit: 9, before: 2 })).map((r) => r.version)).toEqual([1]);
  });

  it('refuses a commit whose version expectation fails, and does nothing of it', async () => {
    const [a, b] = [id(), id()];
    await store.commit({ ops: [put(a)], audit: [] });
    await expect(store.commit({ ops: [put(b), put(a)], audit: [{ id: id(), patient: null, date: 1, text: '{}', terms: [], docs: [] }] })).rejects.toBeInstanceOf(Conflict);
    expect(await store.read('List', b)).toBeUndefined();
  });

  it('lets one of many racing writers of a version pass', async () => {
    const a = id();
    const results = await Promise.allSettled(Array.from({ length: 10 }, () => store.commit({ ops: [put(a)], audit: [] })));
    expect(results.filter((r) => r.status === 'fulfilled').length).toBe(1);
    expect(results.filter((r) => r.status === 'rejected' && r.reason instanceof Conflict).length).toBe(9);
  });

  it('gives a uniqueness key to one owner, and back after release', async () => {
    const key = id();
    await store.commit({ ops: [], claim: [{ key, owner: 'List/a' }], audit: [] });
    await store.commit({ ops: [], claim: [{ key, owner: 'List/a' }], audit: [] });
    await expect(store.commit({ ops: [], claim: [{ key, owner: 'List/b' }], audit: [] })).rejects.toMatchObject({ kind: 'unique' });
    await store.commit({ ops: [], release: [{ key, owner: 'List/a' }], audit: [] });
    await store.commit({ ops: [], claim: [{ key, owner: 'List/b' }], audit: [] });
    expect(await store.owner(key)).toBe('List/b');
  });

  it('holds commits to the epoch that they rest on', async () => {
    const patient = id();
    await store.commit({ ops: [], epochs: [{ patient, expect: 0, raise: true }], audit: [] });
    expect(await store.epoch(patient)).toBe(1);
    await expect(store.commit({ ops: [], epochs: [{ patient, expect: 0, raise: false }], audit: [] })).rejects.toMatchObject({ kind: 'epoch' });
    await store.commit({ ops: [], epochs: [{ patient, expect: 1, raise: false }], audit: [] });
    expect(await store.epoch(patient)).toBe(1);
  });

  it('refuses a commit whose absent match is there', async () => {
    const a = id();
    const absent = [{ type: 'List', plan: { kind: 'term' as const, key: `k${a}` }, sort: [], limit: 1 }];
    const made = put(a, 1, {}, { ...NO_ENTRIES, terms: [`k${a}`] });
    await store.commit({ ops: [made], absent, audit: [] });
    await expect(store.commit({ ops: [put(id())], absent, audit: [] })).rejects.toMatchObject({ kind: 'absent' });
  });

  it('rewrites scalars without a new version', async () => {
    const a = id();
    await store.commit({ ops: [put(a)], audit: [] });
    await store.commit({ ops: [{ kind: 'stamp', type: 'List', id: a, scalars: { maskPs: 1 } }], audit: [] });
    expect(await store.read('List', a)).toMatchObject({ version: 1, scalars: { maskPs: 1 } });
  });

  it('forgets a deleted resource in searches, keeps its scalars', async () => {
    const a = id();
    const patient = id();
    const first = put(a, 1, { patient });
    await store.commit({ ops: [first], audit: [] });
    await store.commit({ ops: [{ ...put(a, 2, { patient }), row: { ...put(a, 2, { patient }).row, deleted: true, text: '' } }], audit: [] });
    const plan: Plan = { kind: 'scalar', field: 'patient', op: 'eq', value: patient };
    expect(await store.ids('List', plan)).toEqual([]);
    expect(await store.ids('List', plan, true)).toEqual([a]);
  });

  it('streams content in and out, by range, and refuses too much', async () => {
    const bytes = Buffer.from('0123456789'.repeat(1000));
    const info = await store.content.put(Readable.from([bytes.subarray(0, 5000), bytes.subarray(5000)]), 1e6);
    expect(info.size).toBe(10_000);
    expect(info.head.equals(bytes.subarray(0, 1024))).toBe(true);
    const all: Buffer[] = [];
    for await (const c of await store.content.open(info.key)) all.push(c as Buffer);
    expect(Buffer.concat(all).equals(bytes)).toBe(true);
    const part: Buffer[] = [];
    for await (const c of await store.content.open(info.key, { start: 3, end: 6 })) part.push(c as Buffer);
    expect(Buffer.concat(part).toString()).toBe('3456');
    await expect(store.content.put(Readable.from([bytes]), 100)).rejects.toBeInstanceOf(RangeError);
    await store.content.remove(info.key);
    await expect(store.content.open(info.key)).rejects.toThrow();
  });

  it('keeps events in order, seals them, and answers their searches', async () => {
    const patient = id();
    const ids = [id(), id(), id()];
    for (const [i, e] of ids.entries()) await store.commit({ ops: [], audit: [{ id: e, patient, date: 100 + i, text: `{"n":${i}}`, terms: ['AE.x#1', `~doc>${e}`], docs: [] }] });
    const found = await store.search({ type: 'AuditEvent', plan: { kind: 'scalar', field: 'patient', op: 'eq', value: patient }, sort: [{ by: 'date', desc: true }], limit: 2 });
    expect(found.map((f) => f.row.id)).toEqual([ids[2], ids[1]]);
    expect(await store.ids('AuditEvent', { kind: 'terms', keys: [`~doc>${ids[1]}`] })).toEqual([ids[1]]);
    const open = await store.trail.unsealed('p1', 1000);
    expect(open.map((e) => e.id).slice(-3)).toEqual(ids);
    await store.trail.seal({ process: 'p1', number: 1, text: 's' }, open[open.length - 1].seq);
    expect(await store.trail.unsealed('p1', 10)).toEqual([]);
    expect((await store.trail.lastSeal('p1'))?.number).toBe(1);
  });

  it('no seal passes over an event whose commit is under way', async () => {
    const event = () => ({ id: id(), patient: null, date: 1, text: '{}', terms: [], docs: [] });
    // Commits of many steps and of one, so that a later one may end first.
    const commits = Promise.all(Array.from({ length: 60 }, (_, i) => store.commit({ ops: Array.from({ length: i % 3 ? 0 : 12 }, () => put(id())), audit: [event()] })));
    let ended = false;
    void commits.then(() => { ended = true; });
    const sealed: string[] = [];
    let number = (await store.trail.lastSeal('p1'))?.number ?? 0;
    for (let last = false; !last; ) {
      last = ended;
      await new Promise((r) => setImmediate(r));
      const open = await store.trail.unsealed('p1', 1000);
      if (open.length) await store.trail.seal({ process: 'p1', number: ++number, text: 's' }, open[open.length - 1].seq);
      sealed.push(...open.map((e) => e.id));
    }
    await commits;
    expect(sealed.length).toBeGreaterThanOrEqual(60);
    expect((await store.trail.events('p1', 0, 10_000)).map((e) => e.id).slice(-sealed.length)).toEqual(sealed);
  });

  const keysOf = ['a=1', 'a=2', 'b^dup', 'b^dupont', 'c|x|y'];
  const atom: fc.Arbitrary<Plan> = fc.oneof(
    fc.constantFrom<Plan>({ kind: 'all' }, { kind: 'none' }), fc.constantFrom(...keysOf).map((key): Plan => ({ kind: 'term', key })), fc.subarray(keysOf).map((k): Plan => ({ kind: 'terms', keys: k })),
    fc.constantFrom('b^', 'b^dup', 'a=', 'c|x').map((key): Plan => ({ kind: 'prefix', key })), fc.constantFrom('up', 'pont', 'x').map((text): Plan => ({ kind: 'contains', key: 'b^', text })),
    fc.record({ loMin: fc.option(fc.integer({ min: 0, max: 9 }), { nil: undefined }), hiMax: fc.option(fc.integer({ min: 0, max: 9 }), { nil: undefined }) }).map((r): Plan => ({ kind: 'range', p: 'd', ...r })),
    fc.record({ loMax: fc.integer({ min: 0, max: 9 }), hiMin: fc.integer({ min: 0, max: 9 }) }).map((r): Plan => ({ kind: 'range', p: 'd', ...r })),
    fc.constantFrom('eq', 'le', 'ge', 'lt', 'gt').chain((op) => fc.integer({ min: 0, max: 3 }).map((value): Plan => ({ kind: 'scalar', field: 'conf', op: op as 'eq', value }))),
    fc.constantFrom('10', '21').map((value): Plan => ({ kind: 'scalar', field: 'opens', op: 'has', value })), fc.constantFrom(null, 'Practitioner/1').map((value): Plan => ({ kind: 'scalar', field: 'depositor', op: 'eq', value })),
    fc.subarray(['r0', 'r1', 'r2', 'r3']).map((ids): Plan => ({ kind: 'ids', ids })),
  );
  const plans = fc.letrec<{ p: Plan }>((tie) => ({ p: fc.oneof({ maxDepth: 3 }, atom, fc.array(tie('p'), { maxLength: 3 }).map((x) => and(...x)), fc.array(tie('p'), { maxLength: 3 }).map((x) => or(...x)), tie('p').map(not)) })).p;
  const entriesArb = fc.record({ terms: fc.subarray(keysOf), ranges: fc.array(fc.tuple(fc.integer({ min: 0, max: 9 }), fc.integer({ min: 0, max: 4 })).map(([lo, w]) => ({ p: 'd', lo, hi: lo + w })), { maxLength: 2 }), sorts: fc.constantFrom<Entries['sorts']>({}, { k: ['a', 'b'] as [string, string] }, { k: ['c', 'c'] as [string, string] }) });
  const rowArb = fc.record({ entries: entriesArb, conf: fc.integer({ min: 0, max: 2 }), opens: fc.constantFrom('', ',10,', ',10,21,'), depositor: fc.constantFrom(null, 'Practitioner/1', 'Practitioner/2'), date: fc.integer({ min: 0, max: 3 }) });

  it('selects what a plan means, pages without loss or repetition, in every order (property)', async () => {
    let n = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(rowArb, { minLength: 1, maxLength: 8 }), fc.array(plans, { minLength: 1, maxLength: 6 }), fc.constantFrom<Sort[]>([], [{ by: 'date', desc: true }], [{ by: 'date', desc: false }], [{ by: 'k', desc: false }, { by: 'date', desc: true }], [{ by: 'k', desc: true }]), async (rows, tried, sort) => {
        const patient = `prop-${n++}-${id()}`;
        const puts = rows.map((r, i) => put(`r${i}-${patient}`, 1, { patient, conf: r.conf, opens: r.opens, depositor: r.depositor, date: r.date }, r.entries));
        await store.commit({ ops: puts, audit: [] });
        for (const p of tried) {
          const named = JSON.parse(JSON.stringify(p).replace(/"r(\d)"/g, (_m, d) => `"r${d}-${patient}"`)) as Plan;
          const plan = and({ kind: 'scalar', field: 'patient', op: 'eq', value: patient }, named);
          const expected = puts.filter((x) => matches(plan, x.row, x.entries)).map((x) => x.row.id).sort();
          expect((await store.ids('List', plan)).sort()).toEqual(expected);
          expect(await store.count('List', plan)).toBe(expected.length);
          const seen: string[] = [];
          let after: (string | number)[] | undefined;
          for (;;) {
            const page = await store.search({ type: 'List', plan, sort, after, limit: 2 });
            seen.push(...page.map((f) => f.row.id));
            if (page.length < 2) break;
            after = page[page.length - 1].keys;
          }
          expect([...seen].sort()).toEqual(expected);
          const whole = await store.search({ type: 'List', plan, sort, limit: 100 });
          expect(seen).toEqual(whole.map((f) => f.row.id));
        }
      }),
      { numRuns: _name === 'SQLite' ? 300 : 40 },
    );
  });
});
