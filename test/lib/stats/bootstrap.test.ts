import { describe, expect, it } from 'vitest';
import { createRng } from '../../../lib/random.ts';
import { bootstrapAuc } from '../../../lib/stats/bootstrap.ts';
import { delongVariance } from '../../../lib/stats/delong.ts';
import { quantile } from '../../../lib/stats/quantile.ts';
import { expectClose } from './expect-close.ts';
import { fixture, forty } from './fixtures/fixture.ts';

const single = forty.labels.map((_, i) => `image ${i}`);
const options = (seed: number) => ({ resamples: 2000, level: 0.95, rng: createRng(seed, 'test') });

describe('bootstrapAuc', () => {
  it('draws the same for the same seed and otherwise for another', () => {
    const input = { scores: forty.p2, labels: forty.labels, groups: single };
    expect(bootstrapAuc({ ...input, ...options(1) })).toEqual(bootstrapAuc({ ...input, ...options(1) }));
    expect(bootstrapAuc({ ...input, ...options(1) })).not.toEqual(bootstrapAuc({ ...input, ...options(2) }));
  });
  it('is about as wide as DeLong where every image is its own group', () => {
    const model = fixture.models['fine scores']!;
    const { scoresA: scores, labels } = model;
    const ci = bootstrapAuc({ scores, labels, groups: labels.map((_, i) => `${i}`), ...options(3) })!;
    const wald = 2 * 1.96 * delongVariance({ scores, labels }).standardError;
    expect((ci.upper - ci.lower) / wald).toBeGreaterThan(0.9);
    expect((ci.upper - ci.lower) / wald).toBeLessThan(1.1);
  });
  it('is as wide for a set whose images are all stored three times as for the set itself', () => {
    const thrice = <T>(list: readonly T[]): T[] => [...list, ...list, ...list];
    const once = bootstrapAuc({ scores: forty.p2, labels: forty.labels, groups: single, ...options(4) });
    const copied = { scores: thrice(forty.p2), labels: thrice(forty.labels), groups: thrice(single) };
    expect(bootstrapAuc({ ...copied, ...options(4) })).toEqual(once);
    const ungrouped = bootstrapAuc({ ...copied, groups: copied.labels.map((_, i) => `${i}`), ...options(4) });
    expect(ungrouped!.upper - ungrouped!.lower).toBeLessThan(0.7 * (once!.upper - once!.lower));
  });
  it('keeps both classes in every resample, groups of mixed classes included', () => {
    const groups = ['a', 'a', 'b', 'b', 'c', 'd'];
    const ci = bootstrapAuc({
      scores: [0.25, 0.3, 0.6, 0.2, 0.28, 0.9],
      labels: [1, 0, 1, 0, 0, 1],
      groups,
      ...options(5),
    });
    expect(ci!.lower).toBeGreaterThanOrEqual(0);
    expect(ci!.upper).toBeLessThanOrEqual(1);
  });
  it.each([
    ['perfect separation', [0.1, 0.2, 0.8, 0.9], ['a', 'b', 'c', 'd']],
    ['equal scores', [0.5, 0.5, 0.5, 0.5], ['a', 'b', 'c', 'd']],
    ['a class with one group', [0.3, 0.2, 0.25, 0.9], ['a', 'b', 'c', 'c']],
  ])('has no interval for %s', (_, scores, groups) => {
    expect(bootstrapAuc({ scores, labels: [0, 0, 1, 1], groups, ...options(6) })).toBeNull();
  });
});

describe('quantile', () => {
  it.each(Object.entries(fixture.quantiles))('agrees with NumPy at %s', (probability, wanted) => {
    expectClose(quantile([3, 1, 4, 1, 5, 9, 2, 6], Number(probability)), wanted, 1e-14);
  });
  it('refuses an empty list', () => {
    expect(() => quantile([], 0.5)).toThrow('at least one value');
  });
});
