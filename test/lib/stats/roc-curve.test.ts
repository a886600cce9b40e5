import { describe, expect, it } from 'vitest';
import { rocAuc } from '../../../lib/stats/roc-auc.ts';
import { rocCurve } from '../../../lib/stats/roc-curve.ts';
import { expectClose } from './expect-close.ts';
import { fixture, forty } from './fixtures/fixture.ts';

describe('rocCurve', () => {
  it.each(Object.entries(fixture.models))('has the points of scikit-learn on %s', (_, { labels, scoresA, roc }) => {
    const points = rocCurve({ scores: scoresA, labels });
    expect(points).toHaveLength(roc.length);
    points.forEach((point, i) => {
      expectClose(point.falsePositiveRate, roc[i]![0], 1e-15);
      expectClose(point.sensitivity, roc[i]![1], 1e-15);
    });
  });
  it('has the AUC as its trapezoid area', () => {
    const points = rocCurve({ scores: forty.p2, labels: forty.labels });
    const area = points
      .slice(1)
      .reduce(
        (sum, p, i) =>
          sum + ((p.falsePositiveRate - points[i]!.falsePositiveRate) * (p.sensitivity + points[i]!.sensitivity)) / 2,
        0,
      );
    expectClose(area, rocAuc({ scores: forty.p2, labels: forty.labels }), 1e-14);
  });
  it('refuses a single class', () => {
    expect(() => rocCurve({ scores: [1], labels: [1] })).toThrow('got 1 and 0');
  });
});
