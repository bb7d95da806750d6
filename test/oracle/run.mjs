// `npm run oracle`: this server's validator and HAPI's over the same files (HL7's examples of the served types, generated records); lists what differs,
// and fails where a difference is not settled in settled.json.
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { record } from '../../dist/seed/generate.js';
import { validatorOf } from '../../dist/server/validation/validate.js';

const lib = resolve('.cache/hapi-validation');
const examples = '.cache/definitions/hl7.fhir.r4.examples-4.0.1/package';
const skip = (why) => {
  process.stdout.write(`skipped: ${why}\n`);
  process.exit(0);
};
if (spawnSync('java', ['-version']).status !== 0 || spawnSync('mvn', ['-version']).status !== 0) skip('no Java or no Maven here');
if (!existsSync(lib) && spawnSync('mvn', ['-q', '-B', '-f', 'test/oracle/java/pom.xml', 'dependency:copy-dependencies', `-DoutputDirectory=${lib}`], { stdio: 'inherit', timeout: 600_000 }).status !== 0) skip('HAPI cannot be had here');

const folder = mkdtempSync(join(tmpdir(), 'dmp-oracle-'));
mkdirSync(folder, { recursive: true });
const types = ['Patient', 'Practitioner', 'PractitionerRole', 'Organization', 'RelatedPerson', 'Device', 'DocumentReference', 'List', 'Consent', 'AuditEvent', 'Binary'];
const files = existsSync(examples) ? readdirSync(examples).filter((f) => f.endsWith('.json') && types.includes(f.split('-')[0])).map((f) => resolve(examples, f)) : [];
for (let n = 0; n < 12; n++) {
  for (const [i, r] of record(11, n, Date.now()).steps.flatMap((s) => s.bundle.entry.map((e) => e.resource)).entries()) {
    const f = join(folder, `generated-${n}-${i}-${r.resourceType}.json`);
    writeFileSync(f, JSON.stringify(r));
    files.push(f);
  }
}
// Faults made on purpose, one each: both must see them.
const base = JSON.parse(readFileSync(files.at(-1), 'utf8'));
for (const [name, change] of Object.entries({ status: { status: 'no' }, unknown: { nothing: 1 }, target: { subject: { reference: 'Slot/x' } }, date: { date: '2026-13-01' } })) {
  const f = join(folder, `fault-${name}.json`);
  writeFileSync(f, JSON.stringify({ ...base, ...(base.resourceType === 'DocumentReference' ? change : { nothing: 1 }) }));
  files.push(f);
}
const list = join(folder, 'files.txt');
writeFileSync(list, files.join('\n'));
const theirs = new Map(execFileSync('java', ['-Xmx2g', '-cp', join(lib, '*'), resolve('test/oracle/java/Oracle.java'), list], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'], maxBuffer: 1e9 }).trim().split('\n').map((l) => l.split('\t')).map(([f, ...e]) => [f, e]));
const validate = validatorOf({ strictProfiles: false, production: false });
const settled = JSON.parse(readFileSync('test/oracle/settled.json', 'utf8'));
let open = 0;
let same = 0;
for (const f of files) {
  const name = basename(f);
  const ours = validate(JSON.parse(readFileSync(f, 'utf8'))).filter((i) => i.severity === 'error' || i.severity === 'fatal').map((i) => `${i.expression?.[0]}: ${i.text}`);
  const other = (theirs.get(name) ?? []).filter((e) => !settled.some((s) => new RegExp(s.message).test(e)));
  if ((ours.length > 0) === (other.length > 0)) same++;
  else {
    open++;
    process.stdout.write(`${name}\n  here:  ${ours.slice(0, 3).join(' | ') || 'valid'}\n  HAPI:  ${other.slice(0, 3).join(' | ') || 'valid'}\n`);
  }
}
process.stdout.write(`${files.length} files, ${same} judged alike, ${open} differences not settled\n`);
process.exit(open ? 1 : 0);
