import { describe, expect, it } from 'vitest';
import { rocAuc } from '../../../lib/stats/roc-auc.ts';
import { expectClose } from './expect-close.ts';
import { fixture, forty } from './fixtures/fixture.ts';

describe('rocAuc', () => {
  it('gives the value of its documentation', () => {
    expect(rocAuc({ scores: [0.1, 0.4, 0.35, 0.8], labels: [0, 0, 1, 1] })).toBe(0.75);
  });
  it.each(Object.entries(fixture.models))('agrees with scikit-learn on %s', (_, { labels, scoresA, sklearnAuc }) => {
    expectClose(rocAuc({ scores: scoresA, labels }), sklearnAuc, 1e-14);
  });
  it('gives the published values of the forty images', () => {
    expectClose(rocAuc({ scores: forty.p1, labels: forty.labels }), 0.9609375, 1e-15);
    expectClose(rocAuc({ scores: forty.p2, labels: forty.labels }), 0.813802083333, 1e-12);
  });
  it('counts ties one half and does not depend on the order of images', () => {
    expect(rocAuc({ scores: [0.5, 0.5, 0.5], labels: [1, 0, 0] })).toBe(0.5);
    expect(rocAuc({ scores: forty.p2.toReversed(), labels: forty.labels.toReversed() })).toBe(
      rocAuc({ scores: forty.p2, labels: forty.labels }),
    );
  });
  it.each([
    ['no case', [0.1, 0.2], [0, 0], 'at least one case and one control, got 0 and 2'],
    ['no image', [], [], 'got 0 and 0'],
    ['NaN', [0.1, Number.NaN], [0, 1], 'finite scores, got NaN at 1'],
    ['a label of 2', [0.1, 0.2], [0, 2], 'labels 0 or 1, got 2 at 1'],
    ['unequal lengths', [0.1], [0, 1], '1 scores, 2 labels'],
  ])('refuses %s', (_, scores, labels, message) => {
    expect(() => rocAuc({ scores, labels })).toThrow(message);
  });
});
