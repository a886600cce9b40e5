import { describe, expect, it } from 'vitest';
import { coverage, imageRecall } from '../../../lib/metrics/coverage.ts';
import type { FeatureMatrix } from '../../../lib/metrics/feature-matrix.ts';
import { createRng } from '../../../lib/random.ts';

/** Points on a line. */
const line = (...xs: number[]): FeatureMatrix => ({ rows: xs.length, columns: 1, values: Float64Array.from(xs) });
const cloud = (rows: number, spread: number, stream: string): FeatureMatrix => {
  const rng = createRng(1, stream);
  return { rows, columns: 4, values: Float64Array.from({ length: rows * 4 }, () => spread * (rng() - 0.5)) };
};

describe('imageRecall and coverage', () => {
  it('are what they are by hand', () => {
    const reals = line(0, 1, 2, 10);
    const fakes = line(0.4, 0.6, 1.5);
    // k = 1. Radii of the fakes: 0.2, 0.2, 0.9. Only 1 and 2 lie within 0.9 of 1.5.
    expect(imageRecall({ reals, fakes, k: 1 })).toBe(2 / 4);
    // Radii of the reals: 1, 1, 1, 8. 0, 1 and 2 have a fake within 1; the nearest to 10 is 8.5 away.
    expect(coverage({ reals, fakes, k: 1 })).toBe(3 / 4);
  });

  it('are 1 for the reals themselves and 0 for fakes far away', () => {
    const reals = cloud(50, 1, 'reals');
    expect([imageRecall({ reals, fakes: reals }), coverage({ reals, fakes: reals })]).toEqual([1, 1]);
    const far = { ...reals, values: reals.values.map((value) => value + 100) };
    expect([imageRecall({ reals, fakes: far }), coverage({ reals, fakes: far })]).toEqual([0, 0]);
  });

  it('fall when the fakes crowd in the middle', () => {
    const reals = cloud(200, 1, 'reals');
    const [wide, narrow] = [cloud(200, 1, 'fakes'), cloud(200, 0.2, 'fakes')];
    expect(imageRecall({ reals, fakes: wide })).toBeGreaterThan(0.8);
    expect(imageRecall({ reals, fakes: narrow })).toBeLessThan(0.1);
    expect(coverage({ reals, fakes: wide })).toBeGreaterThan(0.9);
    expect(coverage({ reals, fakes: narrow })).toBeLessThan(0.2);
  });

  it('refuse sets without a k-th neighbour', () => {
    expect(() => imageRecall({ reals: line(1, 2, 3, 4), fakes: line(1, 2, 3) })).toThrow(/more than 3 images/);
    expect(() => coverage({ reals: line(1, 2, 3), fakes: line(1, 2, 3), k: 1 }).toFixed()).not.toThrow();
    expect(() => coverage({ reals: line(1, 2, NaN), fakes: line(1, 2, 3), k: 1 })).toThrow(/finite/);
  });
});
