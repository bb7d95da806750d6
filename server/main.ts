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

run().catch((e) => {
  process.stderr.write(`${e instanceof ConfigError ? e.message : e instanceof Error ? (e.stack ?? e.message) : String(e)}\n`);
  process.exit(e instanceof ConfigError ? 2 : 1);
});
