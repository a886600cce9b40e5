import { describe, expect, it } from 'vitest';
import { delongTest, delongVariance } from '../../../lib/stats/delong.ts';
import { expectClose } from './expect-close.ts';
import { fixture, forty } from './fixtures/fixture.ts';

describe('delongTest', () => {
  it.each(Object.entries(fixture.models))('agrees with the definition by kernel matrices on %s', (_, model) => {
    const { scoresA, scoresB, labels, delong } = model;
    const result = delongTest({ scoresA, scoresB, labels });
    for (const key of ['aucA', 'aucB', 'difference', 'standardError', 'covariance', 'z', 'p'] as const)
      expectClose(result[key], delong[key]);
    expectClose(result.ci?.lower, delong.lower);
    expectClose(result.ci?.upper, delong.upper);
    expectClose(delongVariance({ scores: scoresA, labels }).variance, delong.varianceA, 1e-14);
    expectClose(delongVariance({ scores: scoresB, labels }).variance, delong.varianceB, 1e-14);
  });
  it('gives the published values of the forty images', () => {
    const { labels, p1, p2 } = forty;
    const result = delongTest({ scoresA: p1, scoresB: p2, labels });
    expectClose(delongVariance({ scores: p1, labels }).variance, 0.000614833371075, 1e-15);
    expectClose(delongVariance({ scores: p2, labels }).variance, 0.004860334657433, 1e-15);
    expectClose(result.covariance, -0.000022861155143, 1e-15);
    expectClose(result.difference, 0.147135416667, 1e-12);
    expectClose(result.standardError, 0.074302694021, 1e-12);
    expectClose(result.z, 1.980216445784, 1e-12);
    expectClose(result.p, 0.047679212686, 1e-12);
  });
  it('turns its sign and keeps its p when the models are swapped', () => {
    const there = delongTest({ scoresA: forty.p1, scoresB: forty.p2, labels: forty.labels });
    const back = delongTest({ scoresA: forty.p2, scoresB: forty.p1, labels: forty.labels });
    expectClose(back.z, -(there.z ?? Number.NaN));
    expectClose(back.p, there.p ?? Number.NaN);
  });
  it('says z 0 and p 1 of a model against itself, without an interval', () => {
    const result = delongTest({ scoresA: forty.p1, scoresB: forty.p1, labels: forty.labels });
    expect(result).toMatchObject({ difference: 0, standardError: 0, z: 0, p: 1, ci: null });
  });
  it('has no z where the difference is certain: a perfect against a blind model', () => {
    const result = delongTest({ scoresA: [0.1, 0.2, 0.8, 0.9], scoresB: [0.5, 0.5, 0.5, 0.5], labels: [0, 0, 1, 1] });
    expect(result).toMatchObject({ difference: 0.5, standardError: 0, z: null, p: null, ci: null });
  });
  it('refuses fewer than two images in a class', () => {
    expect(() => delongTest({ scoresA: [1, 2, 3], scoresB: [1, 2, 3], labels: [0, 0, 1] })).toThrow(
      'at least two cases and two controls, got 1 and 2',
    );
  });
});
