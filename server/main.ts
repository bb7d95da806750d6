// Process edge: configuration → server; SIGTERM finishes what is under way, then exits 0.
import { ConfigError, readConfig } from './config.ts';
import { start } from './start.ts';

async function run(): Promise<void> {
  const config = readConfig(process.env);
  const { seedDemo, tour } = await import('../seed/demo.ts');
  const running = await start(config, { beforeListen: ({ deps, services }) => (config.seed === 'demo' ? seedDemo(config, deps, services) : Promise.resolve()) });
  running.log.info({ base: running.base, store: running.deps.store.name, access: config.access }, 'ready');
  if (config.seed === 'demo' && !config.production) process.stdout.write(tour(running.base));
  let stopping = false;
  const stop = (): void => {
    if (stopping) return;
    stopping = true;
    running.stop().then(() => process.exit(0), () => process.exit(1));
  };
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
}

/** What an operator can mend is said in a sentence; anything else shows where it arose. */
function mendable(e: unknown): string | undefined {
  const { code, address, port } = e as { code?: string; address?: string; port?: number };
  if (e instanceof ConfigError) return e.message;
  if (code === 'EADDRINUSE') return `Port ${port} of ${address} is in use: end what listens there, or set PORT.`;
  if (code === 'EACCES' && port !== undefined) return `Port ${port} of ${address} may not be opened by this user: set PORT.`;
  return undefined;
}

run().catch((e) => {
  const text = mendable(e);
  process.stderr.write(`${text ?? (e instanceof Error ? (e.stack ?? e.message) : String(e))}\n`);
  process.exit(text === undefined ? 1 : 2);
});
