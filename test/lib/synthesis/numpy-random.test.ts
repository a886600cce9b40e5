import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { mersenneTwister, numpyNormals, numpyShuffledIndices } from '../../../lib/synthesis/numpy-random.ts';

/** Made by make-randn-fixtures.py. */
const fixture = JSON.parse(readFileSync(new URL('fixtures/randn.json', import.meta.url), 'utf8')) as {
  readonly draws: number;
  readonly randn: Record<string, { first: number[]; last: number[]; sum: number }>;
  readonly words: Record<string, number[]>;
}; // the shape that the script writes

describe('numpyNormals', () => {
  it.each(Object.entries(fixture.randn))(
    'draws as RandomState(%s).randn, to the last digit',
    (seed, { first, last, sum }) => {
      const fill = numpyNormals(Number(seed));
      const draws = new Float64Array(fixture.draws);
      fill(draws.subarray(0, 3)); // an odd number: half of a pair is kept for the next call
      fill(draws.subarray(3));
      const [start, end] = [draws.slice(0, first.length), draws.slice(-last.length)];
      first.forEach((wanted, i) => expect(Math.abs(start[i]! / wanted - 1)).toBeLessThan(4 * Number.EPSILON));
      expect(Float32Array.from(start)).toEqual(Float32Array.from(first));
      expect(Float32Array.from(end)).toEqual(Float32Array.from(last));
      expect(draws.reduce((total, x) => total + x, 0)).toBeCloseTo(sum, 9);
    },
  );
});

describe('mersenneTwister', () => {
  it.each(Object.entries(fixture.words))('gives the words of RandomState(%s)', (seed, words) => {
    const next = mersenneTwister(Number(seed));
    expect(words.map(() => next())).toEqual(words);
  });
  it.each([-1, 0.5, 2 ** 32, Number.NaN])('refuses the seed %d', (seed) => {
    expect(() => mersenneTwister(seed)).toThrow('expected a seed from 0 to 4294967295');
  });
});

describe('numpyShuffledIndices', () => {
  it('is RandomState(123).shuffle of ten files (stylegan2.md 9.1)', () => {
    expect(numpyShuffledIndices(123, 10)).toEqual([4, 0, 7, 5, 8, 3, 1, 6, 9, 2]);
  });
  it('holds every index once', () => {
    expect(numpyShuffledIndices(5, 65).sort((a, b) => a - b)).toEqual([...Array(65).keys()]);
    expect(numpyShuffledIndices(5, 1)).toEqual([0]);
    expect(numpyShuffledIndices(5, 0)).toEqual([]);
  });
});
