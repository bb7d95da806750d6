// A progress bar on a terminal: done, rate, remaining time. Nothing where standard error is no terminal.

export type Progress = { step(n?: number): void; end(): void };

export function progress(what: string, total: number): Progress {
  const started = Date.now();
  let done = 0;
  let shown = 0;
  const show = (): void => {
    const seconds = Math.max(0.001, (Date.now() - started) / 1000);
    const rate = done / seconds;
    const left = rate > 0 ? Math.round((total - done) / rate) : 0;
    const filled = Math.min(30, Math.round((30 * done) / Math.max(1, total)));
    process.stderr.write(`\r[${'#'.repeat(filled)}${'.'.repeat(30 - filled)}] ${done}/${total} ${what}, ${Math.round(rate)}/s, ${left} s left `);
  };
  return {
    step(n = 1) {
      done += n;
      if (!process.stderr.isTTY || Date.now() - shown < 200) return;
      shown = Date.now();
      show();
    },
    end() {
      if (!process.stderr.isTTY) return;
      show();
      process.stderr.write('\n');
    },
  };
}
