// Requests per client: a token bucket each, bounded in number.
import { throttled } from '../fhir/errors.ts';

const MAX_CLIENTS = 10_000;

/** `perMinute` 0: no limit. Throws 429 with Retry-After. */
export function rateLimiter(perMinute: number, now: () => number): (client: string) => void {
  const buckets = new Map<string, { tokens: number; at: number }>();
  return (client) => {
    if (!perMinute) return;
    const t = now();
    let b = buckets.get(client);
    if (!b) {
      if (buckets.size >= MAX_CLIENTS) buckets.delete(buckets.keys().next().value as string);
      b = { tokens: perMinute, at: t };
      buckets.set(client, b);
    }
    b.tokens = Math.min(perMinute, b.tokens + ((t - b.at) * perMinute) / 60_000);
    b.at = t;
    if (b.tokens < 1) throw throttled(Math.max(1, Math.ceil(((1 - b.tokens) * 60) / perMinute)));
    b.tokens -= 1;
  };
}
