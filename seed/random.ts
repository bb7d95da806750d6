// A small generator of numbers, the same for the same seed (mulberry32).
export type Random = { next(): number; whole(min: number, max: number): number; pick<T>(list: readonly T[]): T; chance(p: number): boolean; weighted<T>(list: readonly (readonly [T, number])[]): T; uuid(): string };

export function random(seed: number): Random {
  let a = seed >>> 0;
  const next = (): number => {
    a = (a + 0x6d2b79f5) >>> 0;
    let t = a;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
  const whole = (min: number, max: number): number => min + Math.floor(next() * (max - min + 1));
  return {
    next, whole,
    pick: (list) => list[whole(0, list.length - 1)],
    chance: (p) => next() < p,
    weighted(list) {
      let x = next() * list.reduce((s, [, w]) => s + w, 0);
      for (const [v, w] of list) if ((x -= w) < 0) return v;
      return list[list.length - 1][0];
    },
    uuid() {
      const h = Array.from({ length: 32 }, () => whole(0, 15).toString(16));
      h[12] = '4';
      h[16] = '89ab'[whole(0, 3)];
      const s = h.join('');
      return `${s.slice(0, 8)}-${s.slice(8, 12)}-${s.slice(12, 16)}-${s.slice(16, 20)}-${s.slice(20)}`;
    },
  };
}
