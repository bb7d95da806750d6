// For the bench alone: a server whose store drops its events, to measure what the trail costs. No configuration of the server does this.
import { readConfig } from '../../server/config.ts';
import { start } from '../../server/start.ts';

const running = await start(readConfig(process.env));
const { store } = running.deps;
const real = store.commit;
store.commit = (c) => (c.ops.length ? real({ ...c, audit: [] }) : Promise.resolve());
process.on('SIGTERM', () => void running.stop().then(() => process.exit(0)));
