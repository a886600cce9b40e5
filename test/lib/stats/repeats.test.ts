import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { Prediction, Spread } from '../../../contract/manifests.ts';
import type { PerVariant } from '../../../contract/names.ts';
import { createRng } from '../../../lib/random.ts';
import { bootstrapRepeats } from '../../../lib/stats/bootstrap-repeats.ts';
import { compareRepeats, type RepeatPredictions } from '../../../lib/stats/compare-repeats.ts';
import { delongTest } from '../../../lib/stats/delong.ts';
import { spreadOf } from '../../../lib/stats/spread.ts';
import { expectClose } from './expect-close.ts';
import { forty } from './fixtures/fixture.ts';

/** Three trainings of each on 40 images, and NumPy's bootstrap of them; made by make-repeats-fixtures.py. */
const fixture = JSON.parse(readFileSync(new URL('fixtures/repeats.json', import.meta.url), 'utf8')) as {
  readonly labels: number[];
  readonly groups: string[];
  readonly scores: PerVariant<number[][]>;
  readonly aucs: PerVariant<number[]>;
  readonly spread: PerVariant<Spread>;
  readonly difference: { readonly lower: number; readonly upper: number };
}; // the shape that the script writes

const { labels, groups, scores } = fixture;
const options = { margin: 0.05, alpha: 0.025, ciLevel: 0.95, bootstrapResamples: 500, seed: 1 };
const predict = (probabilities: readonly number[]): Prediction[] =>
  probabilities.map((probability, i) => ({
    member: `image${i}.png`,
    side: labels[i] === 1 ? 'positive' : 'negative',
    groupId: groups[i] ?? null,
    probability,
  }));
const repeatsOf = (lists: readonly (readonly number[])[], thresholds = [0.5, 0.5, 0.5]): RepeatPredictions[] =>
  lists.map((list, r) => ({ predictions: predict(list), threshold: thresholds[r] ?? 0.5 }));
const all = { real: repeatsOf(scores.real), synthetic: repeatsOf(scores.synthetic) };

describe('spreadOf', () => {
  it.each(['real', 'synthetic'] as const)('agrees with NumPy on the %s-trained ones', (variant) => {
    const spread = spreadOf(fixture.aucs[variant]);
    for (const name of ['mean', 'sd', 'min', 'max'] as const) expectClose(spread[name], fixture.spread[variant][name]);
  });
  it('refuses a single training: it has no spread', () => {
    expect(() => spreadOf([0.9])).toThrow('at least two values, got 1');
  });
});

describe('bootstrapRepeats', () => {
  const draw = (seed: number, over: PerVariant<number[][]> = scores, resamples = 20_000) =>
    bootstrapRepeats({ scores: over, labels, groups, resamples, level: 0.95, rng: createRng(seed, 'test') });

  it("agrees with NumPy's bootstrap of groups and trainings", () => {
    const ci = draw(1);
    expect(Math.abs((ci?.lower ?? NaN) - fixture.difference.lower)).toBeLessThan(0.012);
    expect(Math.abs((ci?.upper ?? NaN) - fixture.difference.upper)).toBeLessThan(0.012);
    expect(ci?.method).toBe('percentile bootstrap of groups and trainings, 20000 resamples');
  });
  it('draws the same for the same seed and otherwise for another', () => {
    expect(draw(2, scores, 200)).toEqual(draw(2, scores, 200));
    expect(draw(2, scores, 200)).not.toEqual(draw(3, scores, 200));
  });
  it('is as wide as DeLong where all trainings agree and every image is its own group', () => {
    const same = { real: [forty.p1, forty.p1], synthetic: [forty.p2, forty.p2] };
    const single = forty.labels.map((_, i) => `${i}`);
    const ci = bootstrapRepeats({
      ...{ scores: same, labels: forty.labels, groups: single, resamples: 4000, level: 0.95 },
      rng: createRng(4, 'test'),
    });
    const { standardError } = delongTest({
      ...{ scoresA: forty.p1, scoresB: forty.p2, labels: forty.labels, level: 0.95 },
    });
    const ratio = ((ci?.upper ?? NaN) - (ci?.lower ?? NaN)) / (2 * 1.96 * standardError);
    expect(ratio).toBeGreaterThan(0.9);
    expect(ratio).toBeLessThan(1.1);
  });
  it('has no interval where nothing varies, or a class has one group', () => {
    expect(draw(5, { real: [labels, labels], synthetic: [labels, labels] }, 50)).toBeNull();
    const two = { scores: { real: [[0.1, 0.9], [0.2, 0.8]], synthetic: [[0.9, 0.1], [0.3, 0.6]] } }; // prettier-ignore
    const few = { labels: [0, 1], groups: ['a', 'b'], resamples: 50, level: 0.95, rng: createRng(6, 'test') };
    expect(bootstrapRepeats({ ...two, ...few })).toBeNull();
  });
  it('refuses a single training of a kind', () => {
    expect(() => draw(7, { real: scores.real.slice(0, 1), synthetic: scores.synthetic }, 50)).toThrow(
      'at least two trainings of each kind, got 1',
    );
  });
});

describe('compareRepeats', () => {
  it('gives the figures of every training, repeat 0 first, and their spread', () => {
    const { models, comparison } = compareRepeats(all, options);
    for (const variant of ['real', 'synthetic'] as const) {
      expect(models[variant].repeats.map(({ auc }) => auc.toFixed(12))).toEqual(
        fixture.aucs[variant].map((auc) => auc.toFixed(12)),
      );
      expectClose(models[variant].auc.sd, fixture.spread[variant].sd);
    }
    const differences = fixture.aucs.real.map((auc, r) => auc - (fixture.aucs.synthetic[r] ?? NaN));
    comparison.pairs.forEach(({ difference }, r) => expectClose(difference.value, differences[r] ?? NaN));
    expectClose(comparison.difference.mean, differences.reduce((sum, value) => sum + value) / 3);
    expectClose(comparison.difference.mean, fixture.spread.real.mean - fixture.spread.synthetic.mean);
    expect(comparison.ci?.lower).toBeLessThan(comparison.difference.mean);
    expect(comparison.pairs.map(({ nonInferior }) => nonInferior)).toEqual([false, true, true]);
  });
  it('decides by the operating point of each training', () => {
    const high = { ...all, real: repeatsOf(scores.real, [0.5, 2, 0]) };
    const [first, second, third] = compareRepeats(high, options).models.real.repeats;
    expect(first?.accuracy).toBeGreaterThan(0.7);
    expect(second).toMatchObject({ threshold: 2, accuracy: 0.5, sensitivity: 0, specificity: 1 });
    expect(third).toMatchObject({ sensitivity: 1, specificity: 0 });
  });
  it('refuses other images, or unequally many trainings', () => {
    const [first, ...rest] = all.synthetic;
    const other = (first?.predictions ?? []).map((row, i) => (i === 3 ? { ...row, member: 'x.png' } : row));
    const strange = { real: all.real, synthetic: [...rest, { predictions: other, threshold: 0.5 }] };
    expect(() => compareRepeats(strange, options)).toThrow(/same images in the same order; at 3/);
    expect(() => compareRepeats({ real: all.real, synthetic: rest }, options)).toThrow('got 3 and 2');
  });
});
