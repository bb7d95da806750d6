// `npm run test:mongo`: the tests on MongoDB. Finds a server in this order: MONGODB_URL; a mongod on the path; a real one by
// mongodb-memory-server-core where it can be had; mongo-java-server from Maven; FerretDB v1.24 from its Go module. Says at the end which it was.
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

const has = (command) => spawnSync('sh', ['-c', `command -v ${command}`]).status === 0;
const folder = mkdtempSync(join(tmpdir(), 'dmp-mongo-'));
const port = await new Promise((done) => {
  const s = createServer().listen(0, '127.0.0.1', () => {
    const p = s.address().port;
    s.close(() => done(p));
  });
});

async function reachable() {
  for (let i = 0; i < 100; i++) {
    const ok = await new Promise((done) => {
      const c = connect(port, '127.0.0.1', () => {
        c.end();
        done(true);
      }).on('error', () => done(false));
    });
    if (ok) return true;
    await new Promise((r) => setTimeout(r, 100));
  }
  return false;
}

async function launch(command, args) {
  const child = spawn(command, args, { stdio: 'ignore', cwd: folder });
  if (!(await reachable())) throw new Error(`${command} does not answer`);
  return { url: `mongodb://127.0.0.1:${port}/`, stop: () => child.kill('SIGKILL') };
}

function ferret() {
  const cache = resolve('.cache/ferret');
  const binary = join(cache, 'ferretdb');
  if (existsSync(binary)) return binary;
  if (!has('go')) return undefined;
  mkdirSync(cache, { recursive: true });
  const go = (args, cwd) => execFileSync('go', args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });
  writeFileSync(join(cache, 'go.mod'), 'module ferret\ngo 1.22\nrequire github.com/FerretDB/FerretDB v1.24.0\n');
  const { Dir } = JSON.parse(go(['mod', 'download', '-json', 'github.com/FerretDB/FerretDB@v1.24.0'], cache));
  const source = join(cache, 'src');
  cpSync(Dir, source, { recursive: true });
  execFileSync('chmod', ['-R', 'u+w', source]);
  // The module lacks what its build task would generate.
  writeFileSync(join(source, 'build', 'version', 'version.txt'), 'v1.24.0\n');
  go(['build', '-tags', 'ferretdb_no_postgresql', '-o', binary, './cmd/ferretdb'], source);
  return binary;
}

/** The Maven artefacts of mongo-java-server. FerretDB 1.24 comes after it: it has no \$elemMatch over documents, which ranges need. */
function javaServer() {
  if (!has('java') || !has('mvn')) return undefined;
  const lib = resolve('.cache/mongo-java-server');
  if (!existsSync(lib)) {
    const r = spawnSync('mvn', ['-q', '-B', 'dependency:copy-dependencies', `-DoutputDirectory=${lib}`], { cwd: resolve('test/mongo/java'), stdio: ['ignore', 'ignore', 'inherit'] });
    if (r.status !== 0) return undefined;
  }
  return lib;
}

async function memoryServer() {
  try {
    const { MongoMemoryReplSet } = await import('mongodb-memory-server-core');
    const set = await MongoMemoryReplSet.create({ replSet: { count: 1 } });
    return { url: set.getUri().replace(/\?.*/, ''), stop: () => set.stop() };
  } catch {
    return undefined;
  }
}

async function find() {
  if (process.env.MONGODB_URL) return { name: 'the server of MONGODB_URL', url: process.env.MONGODB_URL, stop() {}, cannot: 'unknown' };
  if (has('mongod')) return { name: 'mongod on the path', ...(await launch('mongod', ['--port', String(port), '--dbpath', folder, '--bind_ip', '127.0.0.1'])), cannot: 'multi-document transactions (standalone)' };
  const memory = await memoryServer();
  if (memory) return { name: 'mongod by mongodb-memory-server-core', ...memory, cannot: 'nothing: a replica set' };
  const java = javaServer();
  if (java) return { name: 'mongo-java-server 1.46 (memory)', ...(await launch('java', ['-cp', join(java, '*'), resolve('test/mongo/java/Serve.java'), String(port)])), cannot: "multi-document transactions; MongoDB's own indexes and query planner (so no figures); durability; read and write concerns" };
  const binary = ferret();
  if (binary) return { name: 'FerretDB 1.24 (SQLite backend)', ...(await launch(binary, ['--handler=sqlite', `--sqlite-url=file:${folder}/`, `--listen-addr=127.0.0.1:${port}`, '--telemetry=disable', `--state-dir=${folder}`, '--log-level=error', '--debug-addr=-'])), cannot: 'multi-document transactions; MongoDB\'s own indexes and query planner (so no figures); read and write concerns' };
  return undefined;
}

const server = await find();
if (!server) {
  process.stdout.write('skipped: no MongoDB-compatible server could be found or built\n');
  process.exit(0);
}
const tests = process.argv.slice(2);
const jest = (args) => spawnSync(process.execPath, ['--experimental-vm-modules', '--no-warnings', 'node_modules/jest/bin/jest.js', '--runInBand', '--forceExit', ...args], { stdio: 'inherit', env: { ...process.env, TEST_MONGODB_URL: server.url, NONINTERFERENCE_RUNS: '500' } });
let run = jest(tests.length ? tests : ['test/store', 'test/interaction', 'test/gate', 'test/audit', 'test/search', 'test/import']);
// Non-interference (500 sequences), outage and kill, a day at a hospital on this store too.
if (run.status === 0 && !tests.length) run = jest(['--testMatch', '**/test/{noninterference,outage,day}.long.ts']);
await server.stop();
rmSync(folder, { recursive: true, force: true });
process.stdout.write(`MongoDB run: ${server.name}. It could not show: ${server.cannot}.\n`);
process.exit(run.status ?? 1);
