import { describe, expect, it } from 'vitest';
import { coverage, imageRecall } from '../../../lib/metrics/coverage.ts';
import type { FeatureMatrix } from '../../../lib/metrics/feature-matrix.ts';
import { kernelDistance } from '../../../lib/metrics/kid.ts';
import { waves } from './fixtures/fixture.ts';
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

  it('give the values of the reference code (evaluation.md 2.5)', () => {
    const reals = waves({ n: 60, d: 8, a: 0.3, b: 0.37, c: 0.5 });
    const fakes = waves({ n: 50, d: 8, a: 1.1, b: 0.53, c: 0.4, plus: 0.2 });
    const both = (k: number) => [imageRecall({ reals, fakes, k }), coverage({ reals, fakes, k })];
    expect([both(3), both(5)]).toEqual([
      [0.95, 49 / 60],
      [1, 1],
    ]);
  });

  it('cover nothing where all images are one point, though it is recalled', () => {
    const point = {
      rows: 8,
      columns: 3,
      values: Float64Array.from({ length: 24 }, (_, i) => [0.1, 0.7, -2.3][i % 3]!),
    };
    expect([imageRecall({ reals: point, fakes: point }), coverage({ reals: point, fakes: point })]).toEqual([1, 0]);
    // One neighbour at the very distance of a fake: on the radius.
    expect(coverage({ reals: line(0, 1, 5), fakes: line(-1, 20), k: 1 })).toBe(0);
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

  const plane = (n: number, stream: string): FeatureMatrix => {
    const rng = createRng(1, stream);
    return { rows: n, columns: 1, values: Float64Array.from({ length: n }, () => rng()) };
  };

  it('never hold the distances of all pairs at once, nor does the kernel distance', () => {
    const [reals, fakes] = [plane(3200, 'reals'), plane(3200, 'fakes')];
    const most = process.resourceUsage().maxRSS;
    coverage({ reals, fakes });
    imageRecall({ reals, fakes });
    kernelDistance({ a: reals, b: fakes });
    // One matrix of all pairs has 82 MB, and two were needed.
    expect(process.resourceUsage().maxRSS - most).toBeLessThan(100 * 1024);
  });

  it('find neighbours, and the kernel distance its sums, across tiles', () => {
    const [n, k] = [1100, 5];
    const [reals, fakes] = [plane(n, 'reals'), plane(n, 'fakes')];
    const found = [
      coverage({ reals, fakes, k }),
      imageRecall({ reals, fakes, k }),
      kernelDistance({ a: reals, b: fakes }),
    ];
    const onLine = ({ values }: FeatureMatrix): number[] => [...values].sort((a, b) => a - b);
    const [xs, ys] = [onLine(reals), onLine(fakes)];
    const radius = (sorted: number[], at: number): number =>
      sorted
        .slice(Math.max(0, at - k), at + k + 1)
        .map((x) => Math.abs(x - sorted[at]!))
        .sort((a, b) => a - b)[k]!;
    const share = (hits: (x: number, i: number) => boolean): number => xs.filter(hits).length / n;
    const [radiiX, radiiY] = [xs, ys].map((sorted) => sorted.map((_, i) => radius(sorted, i)));
    expect(found[0]).toBe(share((x, i) => ys.some((y) => Math.abs(x - y) < radiiX![i]!)));
    expect(found[1]).toBe(share((x) => ys.some((y, j) => Math.abs(x - y) <= radiiY![j]!)));
    // (1 + xy)^3 in powers of x: sums of pairs from sums of powers.
    const power = (values: number[], p: number): number => values.reduce((sum, x) => sum + x ** p, 0) / n;
    const mean = (a: number[], b: number[]): number =>
      [1, 3, 3, 1].reduce((sum, binomial, p) => sum + binomial * power(a, p) * power(b, p), 0);
    const within = (a: number[]): number =>
      (mean(a, a) * n - a.reduce((sum, x) => sum + (1 + x * x) ** 3, 0) / n) / (n - 1);
    expect(found[2]).toBeCloseTo(within(xs) + within(ys) - 2 * mean(xs, ys), 10);
  });

  it('refuse sets without a k-th neighbour', () => {
    expect(() => imageRecall({ reals: line(1, 2, 3, 4), fakes: line(1, 2, 3) })).toThrow(/more than 3 images/);
    expect(() => coverage({ reals: line(1, 2, 3), fakes: line(1, 2, 3), k: 1 }).toFixed()).not.toThrow();
    expect(() => coverage({ reals: line(1, 2, NaN), fakes: line(1, 2, 3), k: 1 })).toThrow(/finite/);
  });
});
