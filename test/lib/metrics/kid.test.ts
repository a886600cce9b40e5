import { describe, expect, it } from 'vitest';
import { createRng } from '../../../lib/random.ts';
import { kernelDistance, kid } from '../../../lib/metrics/kid.ts';
import { expectClose } from '../stats/expect-close.ts';
import { fixture, matrixOf, waves } from './fixtures/fixture.ts';

const x = waves({ n: 60, d: 8, a: 0.3, b: 0.37, c: 0.5 });
const y = waves({ n: 50, d: 8, a: 1.1, b: 0.53, c: 0.4, plus: 0.2 });

describe('kernelDistance and kid', () => {
  it('give the published full U-statistic (evaluation.md 2.5)', () => {
    expectClose(kernelDistance({ a: x, b: y }), 0.052692483341, 1e-12);
  });
  it.each(Object.entries(fixture.sets))('agree with NumPy: %s', (_, { a, b, kid: wanted }) => {
    expectClose(kernelDistance({ a: matrixOf(a), b: matrixOf(b) }), wanted, 1e-12);
  });
  it('shrink the subset to the smaller set, where every draw is that whole set', () => {
    const result = kid({ a: y, b: y, rng: createRng(1, 'kid'), subsets: 3 });
    expect(result.subsetSize).toBe(50);
    expectClose(result.standardDeviation, 0, 1e-12);
    expectClose(result.value, kernelDistance({ a: y, b: y }), 1e-12);
  });
  it('average to the full statistic over many subsets, by seed', () => {
    const draw = (seed: number) => kid({ a: x, b: y, rng: createRng(seed, 'kid'), subsets: 400, subsetSize: 20 });
    expect(draw(1)).toEqual(draw(1));
    expect(draw(1)).not.toEqual(draw(2));
    const { value, standardDeviation } = draw(3);
    expect(Math.abs(value - 0.052692483341)).toBeLessThan((4 * standardDeviation) / Math.sqrt(400));
  });
  it('refuse a single image', () => {
    expect(() => kernelDistance({ a: x, b: matrixOf([[1, 2, 3, 4, 5, 6, 7, 8]]) })).toThrow('got 1');
  });
});
