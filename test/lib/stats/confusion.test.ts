import { describe, expect, it } from 'vitest';
import { brier } from '../../../lib/stats/brier.ts';
import { confusionAt, confusionRates } from '../../../lib/stats/confusion.ts';
import { expectClose } from './expect-close.ts';
import { fixture, forty } from './fixtures/fixture.ts';

describe('confusionAt and confusionRates', () => {
  it.each(Object.entries(fixture.models))('agree with scikit-learn on %s', (_, model) => {
    const confusion = confusionAt({ scores: model.scoresA, labels: model.labels, threshold: 0.5 });
    expect(confusion).toEqual(model.confusion);
    const rates = confusionRates(confusion, 0.95);
    expectClose(rates.accuracy.value, model.accuracy, 1e-15);
    expectClose(rates.sensitivity.value, model.sensitivity, 1e-15);
    expectClose(rates.f1.value, model.f1, 1e-15);
    for (const { value, ci } of [rates.accuracy, rates.sensitivity, rates.specificity, rates.f1]) {
      expect(ci!.lower).toBeLessThan(value);
      expect(ci!.upper).toBeGreaterThanOrEqual(value);
    }
  });
  it('give the published counts of the forty images, a score of 0.5 being positive', () => {
    const { labels, p1, p2 } = forty;
    expect(confusionAt({ scores: p1, labels, threshold: 0.5 })).toEqual({ tp: 16, fp: 4, tn: 20, fn: 0 });
    expect(confusionAt({ scores: p2, labels, threshold: 0.5 })).toEqual({ tp: 9, fp: 7, tn: 17, fn: 7 });
    expect(confusionAt({ scores: [0.5], labels: [1], threshold: 0.5 }).tp).toBe(1);
  });
  it('give F1 0 with an interval when no case is found', () => {
    const { f1 } = confusionRates({ tp: 0, fp: 2, tn: 3, fn: 5 }, 0.95);
    expect(f1.value).toBe(0);
    expect(f1.ci!.lower).toBe(0);
    expect(f1.ci!.upper).toBeGreaterThan(0.3);
  });
  it('refuse a test set of one class', () => {
    expect(() => confusionRates({ tp: 3, fp: 0, tn: 0, fn: 1 }, 0.95)).toThrow('got 4 positive and 0 negative');
  });
});

describe('brier', () => {
  it.each(Object.entries(fixture.models))('agrees with scikit-learn on %s', (_, model) => {
    expectClose(brier({ scores: model.scoresA, labels: model.labels }), model.brier, 1e-14);
  });
  it('gives the published values of the forty images', () => {
    expectClose(brier({ scores: forty.p1, labels: forty.labels }), 0.12927, 1e-12);
    expectClose(brier({ scores: forty.p2, labels: forty.labels }), 0.18301, 1e-12);
  });
  it('refuses scores that are no probabilities, and an empty set', () => {
    expect(() => brier({ scores: [1.2], labels: [1] })).toThrow('in [0, 1], got 1.2');
    expect(() => brier({ scores: [], labels: [] })).toThrow('at least one image');
  });
});
