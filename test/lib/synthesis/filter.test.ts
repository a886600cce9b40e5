import { describe, expect, it } from 'vitest';
import { defaults } from '../../../contract/presets.ts';
import type { Candidate } from '../../../lib/synthesis/filter-rules.ts';
import { drawForComparison, selectFiltered, type SelectFilteredInput } from '../../../lib/synthesis/filter.ts';

/** Seeds 1..n with probabilities of the intended class that rise from 0 to 1. */
function rising(n: number, side: 'negative' | 'positive', power = 1): Candidate[] {
  return Array.from({ length: n }, (_, i) => {
    const intended = ((i + 0.5) / n) ** power;
    return { seed: i + 1, probability: side === 'positive' ? intended : 1 - intended };
  });
}

const input: SelectFilteredInput = {
  filter: defaults.filter,
  candidates: { negative: rising(100, 'negative'), positive: rising(80, 'positive', 2) },
  keepPerClass: null,
  seed: 1,
  validationShare: 0.2,
};

describe('selectFiltered', () => {
  it('keeps as many per class as the poorer class has, all recognised by the classifier', () => {
    const { classes, degenerate } = selectFiltered(input);
    expect(degenerate).toBeNull();
    // 0.5 = ((i + 0.5) / 80)^2 at i = 56.07: seeds 58..80 pass.
    expect(classes.positive).toMatchObject({ candidates: 80, accepted: 23, kept: 23 });
    expect(classes.negative).toMatchObject({ candidates: 100, accepted: 50, kept: 23 });
    for (const { seed, probability, kept } of classes.negative.verdicts)
      if (kept) expect(probability, `${seed}`).toBeLessThan(0.5);
    expect(classes.positive.verdicts.filter(({ kept }) => kept).map(({ seed }) => seed)).toEqual(
      Array.from({ length: 23 }, (_, i) => 58 + i),
    );
  });
  it('divides the kept ones into training and validation without overlap', () => {
    const { train, validation, verdicts } = selectFiltered(input).classes.negative;
    expect([train.length, validation.length]).toEqual([18, 5]); // round(0.2 x 23)
    const kept = verdicts.filter((verdict) => verdict.kept).map(({ seed }) => seed);
    expect([...train, ...validation].sort((a, b) => a - b)).toEqual(kept);
  });
  it('validates with some of those it trains on where the study asks for it, and so needs one less', () => {
    const drawn = selectFiltered({ ...input, validationFrom: 'training' });
    const { train, validation, kept } = drawn.classes.negative;
    expect([train.length, validation.length, kept]).toEqual([23, 5, 23]);
    for (const seed of validation) expect(train).toContain(seed);
    const sure = (probability: number) => [4, 5].map((seed) => ({ seed, probability }));
    const two = { ...input, candidates: { negative: sure(0.1), positive: sure(0.9) } };
    expect(selectFiltered({ ...two, validationFrom: 'training' })).toMatchObject({
      degenerate: null,
      classes: { negative: { train: [4, 5], validation: { length: 1 } } },
    });
  });
  it('draws the same by seed, whatever the order of the candidates, and otherwise by another seed', () => {
    const trainOf = (other: Partial<SelectFilteredInput>) =>
      selectFiltered({ ...input, ...other }).classes.negative.train;
    const reversed = {
      negative: input.candidates.negative.toReversed(),
      positive: input.candidates.positive.toReversed(),
    };
    expect(trainOf({ candidates: reversed })).toEqual(trainOf({}));
    expect(trainOf({ seed: 2 })).not.toEqual(trainOf({}));
  });
  it('draws fewer when the study asks for fewer, never more than there are', () => {
    expect(selectFiltered({ ...input, keepPerClass: 7 }).classes.negative.kept).toBe(7);
    expect(selectFiltered({ ...input, keepPerClass: 40 }).classes.negative.kept).toBe(23);
  });
  it('counts all candidates in ten bins of the probability of the intended class', () => {
    const { classes } = selectFiltered(input);
    expect(classes.negative.histogram).toEqual(Array(10).fill(10));
    expect(classes.positive.histogram.reduce((sum, n) => sum + n, 0)).toBe(80);
    const certain = { negative: [{ seed: 1, probability: 0 }], positive: [{ seed: 1, probability: 1 }] };
    expect(selectFiltered({ ...input, candidates: certain }).classes.positive.histogram).toEqual([
      0, 0, 0, 0, 0, 0, 0, 0, 0, 1,
    ]);
  });
  it('says of every candidate why it was dropped, and counts the kept ones in bins of their own', () => {
    const { positive, negative } = selectFiltered(input).classes;
    expect(positive.verdicts.find(({ seed }) => seed === 57)).toMatchObject({ kept: false, why: 'other class' });
    const count = (why: string | null): number => negative.verdicts.filter((verdict) => verdict.why === why).length;
    expect([count(null), count('not drawn'), count('other class')]).toEqual([23, 27, 50]);
    expect(positive.keptHistogram.slice(0, 5)).toEqual([0, 0, 0, 0, 0]);
    expect(positive.keptHistogram.slice(5)).toEqual(positive.histogram.slice(5)); // all that passed were kept
    const none = selectFiltered({ ...input, candidates: { ...input.candidates, positive: [] } });
    expect(new Set(none.classes.negative.verdicts.map(({ why }) => why))).toEqual(
      new Set(['other class', 'nothing kept']),
    );
  });
  it('takes a tie as negative, as argmax does', () => {
    const tied = [1, 2, 3].map((seed) => ({ seed, probability: 0.5 }));
    const { classes } = selectFiltered({ ...input, candidates: { negative: tied, positive: tied } });
    expect(classes.negative.accepted).toBe(3);
    expect(classes.positive.accepted).toBe(0);
  });
  it('says in plain words that nothing could be kept, and keeps nothing in either class', () => {
    const candidates = {
      ...input.candidates,
      positive: rising(9, 'positive').map((c) => ({ ...c, probability: 0.1 })),
    };
    const result = selectFiltered({ ...input, candidates, classes: { negative: 'benign', positive: 'malignant' } });
    expect(result.degenerate).toBe(
      'Nothing could be kept: none of 9 generated "malignant" images passed. The rule: the intended class is the likelier one (argmax), by the classifier trained on real images.',
    );
    const strict = { ...input, candidates, filter: { ...input.filter, rule: 'threshold' as const, threshold: 0.9 } };
    expect(selectFiltered(strict).degenerate).toContain('a probability of at least 0.9 (threshold), by the classifier');
    expect(result.classes.negative).toMatchObject({ accepted: 50, kept: 0, train: [], validation: [] });
    expect(result.classes.negative.verdicts.some(({ kept }) => kept)).toBe(false);
  });
  it('needs two images per class, three when one must validate, and none without candidates', () => {
    const sure = (count: number): Pick<typeof input, 'candidates'> => {
      const of = (probability: number) => Array.from({ length: count }, (_, i) => ({ seed: i + 4, probability }));
      return { candidates: { negative: of(0.1), positive: of(0.9) } };
    };
    expect(selectFiltered({ ...input, ...sure(2) }).degenerate).toContain('only 2 of 2 generated "negative"');
    expect(selectFiltered({ ...input, ...sure(3), validationShare: 0.5 })).toMatchObject({
      degenerate: null,
      classes: { negative: { train: { length: 2 }, validation: { length: 1 } } },
    });
    expect(selectFiltered({ ...input, ...sure(1), validationShare: 0 }).degenerate).toContain('only 1 of 1');
    expect(selectFiltered({ ...input, ...sure(2), validationShare: 0 })).toMatchObject({
      degenerate: null,
      classes: { negative: { train: [4, 5] } },
    });
    expect(selectFiltered({ ...input, keepPerClass: 2 }).degenerate).toContain('filter.keepPerClass is 2');
    expect(selectFiltered({ ...input, candidates: { negative: [], positive: [] } }).degenerate).toContain('none of 0');
  });
  it.each([
    ['NaN', [{ seed: 1, probability: Number.NaN }], 'got NaN for negative seed 1'],
    ['a repeated seed', [1, 1].map((seed) => ({ seed, probability: 0.2 })), 'negative seed 1 twice'],
  ])('refuses %s', (_, negative, message) => {
    expect(() => selectFiltered({ ...input, candidates: { ...input.candidates, negative } })).toThrow(message);
  });
  it('refuses a share of 1', () => {
    expect(() => selectFiltered({ ...input, validationShare: 1 })).toThrow('validation share from 0 to below 1, got 1');
  });
});

describe('drawForComparison', () => {
  const verdicts = Array.from({ length: 50 }, (_, i) => ({ seed: i + 1, kept: i % 5 === 0 }));
  const draw = (over = {}) => drawForComparison(verdicts, { most: 100, seed: 1, side: 'negative', ...over });
  it('takes as many of all candidates as were kept, kept ones among them or not', () => {
    const { before, after } = draw();
    expect(after).toEqual([1, 6, 11, 16, 21, 26, 31, 36, 41, 46]);
    expect(before).toHaveLength(10);
    expect(before.some((seed) => seed % 5 !== 1)).toBe(true);
  });
  it('takes no more than asked, the same by seed and others by another', () => {
    expect(draw({ most: 4 }).before).toHaveLength(4);
    expect(draw({ most: 4 }).after).toHaveLength(4);
    expect(draw()).toEqual(draw());
    expect(draw({ seed: 2 }).before).not.toEqual(draw().before);
  });
});
