import { describe, expect, it } from 'vitest';
import { aucEstimate, logitInterval } from '../../../lib/stats/auc-interval.ts';
import { expectClose } from './expect-close.ts';
import { forty } from './fixtures/fixture.ts';

describe('logitInterval', () => {
  // evaluation.md 3.2: AUC and DeLong variance as pROC 1.19 prints them for its aSAH data, and the logit intervals.
  it.each([
    [0.823678861788618, 0.00146991470882363, 0.735764096647, 0.886841844333],
    [0.731368563685637, 0.00266868245717244, 0.619216938993, 0.820085749913],
    [0.611957994579946, 0.0031908105493913, 0.497330565621, 0.71540423394],
  ])('gives the known interval of AUC %d', (auc, variance, lower, upper) => {
    const interval = logitInterval({ auc, standardError: Math.sqrt(variance), level: 0.95 });
    expectClose(interval.lower, lower, 1e-12);
    expectClose(interval.upper, upper, 1e-12);
  });
});

describe('aucEstimate', () => {
  it('names its method and stays around the AUC', () => {
    const estimate = aucEstimate({ scores: forty.p1, labels: forty.labels, level: 0.95 });
    expect(estimate?.ci?.method).toBe('DeLong, logit');
    expect(estimate?.ci?.lower).toBeLessThan(0.9609375);
    expect(estimate?.ci?.upper).toBeLessThan(1);
  });
  it('bounds a perfect AUC by its disjoint pairs instead of promising 1', () => {
    const limit = Math.sqrt(0.025); // two pairs
    const estimate = aucEstimate({ scores: [1, 2, 3, 8, 9], labels: [0, 0, 0, 1, 1], level: 0.95 });
    expect(estimate).toMatchObject({ value: 1, ci: { upper: 1 } });
    expectClose(estimate?.ci?.lower, limit);
    const reversed = aucEstimate({ scores: [1, 2, 3, 8, 9], labels: [1, 1, 1, 0, 0], level: 0.95 });
    expect(reversed).toMatchObject({ value: 0, ci: { lower: 0 } });
    expectClose(reversed?.ci?.upper, 1 - limit);
  });
  it('has no interval for equal scores or a single case, and no AUC for a single class', () => {
    expect(aucEstimate({ scores: [0.5, 0.5, 0.5, 0.5], labels: [0, 1, 0, 1], level: 0.95 })).toEqual({
      value: 0.5,
      ci: null,
    });
    expect(aucEstimate({ scores: [0.1, 0.5, 0.9], labels: [0, 1, 0], level: 0.95 })).toEqual({ value: 0.5, ci: null });
    expect(aucEstimate({ scores: [0.1, 0.5], labels: [0, 0], level: 0.95 })).toBeNull();
  });
});
