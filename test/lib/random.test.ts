import { describe, expect, it } from 'vitest';
import { createRng, randomInt, seedPair, shuffled } from '../../lib/random.ts';

describe('named random streams', () => {
  it('repeats for the same seed, name and counter', () => {
    const draw = (rng: () => number): number[] => Array.from({ length: 5 }, rng);
    expect(draw(createRng(1, 'data', 7))).toEqual(draw(createRng(1, 'data', 7)));
  });

  it('differs when seed, name or counter differ', () => {
    const first = createRng(1, 'data', 0)();
    expect(new Set([first, createRng(2, 'data', 0)(), createRng(1, 'z', 0)(), createRng(1, 'data', 1)()]).size).toBe(4);
    expect(seedPair(1, 'z', 1)).not.toEqual(seedPair(1, 'z', 2));
  });

  it('is uniform on [0, 1) to the eye of a chi-square with 20 bins', () => {
    const rng = createRng(3, 'uniform');
    const bins = new Array<number>(20).fill(0);
    for (let i = 0; i < 20_000; i++) {
      const bin = Math.floor(rng() * 20);
      bins[bin] = (bins[bin] ?? 0) + 1;
    }
    const chi2 = bins.reduce((sum, count) => sum + (count - 1000) ** 2 / 1000, 0);
    expect(chi2).toBeLessThan(43.8); // 0.999 quantile at 19 degrees of freedom
  });

  it('shuffles into a permutation and leaves the input alone', () => {
    const items = [1, 2, 3, 4, 5, 6, 7, 8];
    const mixed = shuffled(items, createRng(1, 'shuffle'));
    expect(mixed).not.toEqual(items);
    expect([...mixed].sort()).toEqual(items);
  });

  it('refuses an empty range of integers', () => {
    expect(() => randomInt(createRng(1, 'x'), 0)).toThrow(RangeError);
  });
});
