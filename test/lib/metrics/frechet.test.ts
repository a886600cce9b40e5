import { describe, expect, it } from 'vitest';
import { createRng } from '../../../lib/random.ts';
import type { FeatureMatrix } from '../../../lib/metrics/feature-matrix.ts';
import { frechetDistance, frechetFromMoments, momentsOf } from '../../../lib/metrics/frechet.ts';
import { expectClose } from '../stats/expect-close.ts';
import { fixture, matrixOf, waves } from './fixtures/fixture.ts';

const x = waves({ n: 60, d: 8, a: 0.3, b: 0.37, c: 0.5 });
const y = waves({ n: 50, d: 8, a: 1.1, b: 0.53, c: 0.4, plus: 0.2 });

function random(rows: number, columns: number, name: string): FeatureMatrix {
  const rng = createRng(5, name);
  return { rows, columns, values: Float64Array.from({ length: rows * columns }, () => rng() + rng() - 1) };
}

describe('frechetDistance', () => {
  it('gives the published values (evaluation.md 2.5)', () => {
    expect([...x.values.slice(0, 3)].map((value) => value.toFixed(8))).toEqual([
      '1.24482532',
      '0.92267785',
      '0.52616054',
    ]);
    expectClose(frechetDistance({ a: x, b: y }), 0.65178331054, 1e-12);
    const few = waves({ n: 12, d: 20, a: 0.3, b: 0.37, c: 0.5 });
    const other = waves({ n: 15, d: 20, a: 1.1, b: 0.53, c: 0.4, plus: 0.2 });
    expectClose(frechetDistance({ a: few, b: other }), 12.672406962149, 1e-12);
  });
  it.each(Object.entries(fixture.sets))('agrees with 40-digit arithmetic: %s', (_, { a, b, frechet, scipy }) => {
    expectClose(frechetDistance({ a: matrixOf(a), b: matrixOf(b) }), frechet, 1e-12);
    expectClose(frechetDistance({ a: matrixOf(b), b: matrixOf(a) }), frechet, 1e-12);
    // scipy.linalg.sqrtm loses half its digits when the product is singular.
    expectClose(scipy, frechet, 1e-4);
  });
  it.each(Object.entries(fixture.sets))('agrees from moments, singular or not: %s', (_, { a, b, frechet }) => {
    const moments = { a: momentsOf(matrixOf(a)), b: momentsOf(matrixOf(b)) };
    expectClose(frechetFromMoments(moments), frechet, 1e-7);
  });
  it('gives the closed form of two 2 x 2 covariances', () => {
    const a = { mean: Float64Array.of(0, 0), covariance: Float64Array.of(2, 1, 1, 2) };
    const b = { mean: Float64Array.of(1, -2), covariance: Float64Array.of(3, 0.5, 0.5, 1) };
    expectClose(frechetFromMoments({ a, b }), 5.32027014888205, 1e-14);
  });
  it('is the same through the Gram matrix and through covariances, over several blocks of rows', () => {
    const [a, b] = [random(40, 64, 'a'), random(2100, 64, 'b')];
    expectClose(frechetDistance({ a, b }), frechetFromMoments({ a: momentsOf(a), b: momentsOf(b) }), 1e-9);
  });
  it('is zero for a set against itself, and falls with more images of one distribution', () => {
    expectClose(frechetDistance({ a: x, b: x }), 0, 1e-12);
    const distance = (n: number) => frechetDistance({ a: random(n, 24, 'c'), b: random(n, 24, 'd') });
    expect(distance(40)).toBeGreaterThan(2 * distance(400));
    expect(distance(400)).toBeGreaterThan(0);
  });
  it('grows by the squared shift of the mean', () => {
    const shifted = { ...x, values: Float64Array.from(x.values, (value) => value + 3) };
    expectClose(frechetDistance({ a: x, b: shifted }), 8 * 9, 1e-11);
  });
  it.each([
    ['one image', { ...x, rows: 1, values: x.values.slice(0, 8) }, 'at least two images per set, got 1'],
    ['other features', random(60, 9, 'e'), 'equal features, got 8 and 9'],
    ['NaN', { ...x, values: x.values.map((value, i) => (i === 17 ? Number.NaN : value)) }, 'got NaN in row 2'],
    ['a wrong size', { ...x, rows: 59 }, '59 x 8 features, got 480 values'],
  ])('refuses %s', (_, b, message) => {
    expect(() => frechetDistance({ a: x, b })).toThrow(message);
  });
});
