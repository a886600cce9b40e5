import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { ece } from '../../../lib/stats/ece.ts';
import { expectClose } from './expect-close.ts';
import { forty } from './fixtures/fixture.ts';

interface EceCase {
  readonly scores: number[];
  readonly labels: number[];
  readonly equalWidth: number;
  readonly equalMass: number;
}

/** Known answers of NumPy; made by make-ece-fixtures.py. */
const { cases } = JSON.parse(readFileSync(new URL('fixtures/ece.json', import.meta.url), 'utf8')) as {
  readonly cases: Record<string, EceCase>;
}; // the shape that the script writes

describe('ece', () => {
  it.each(Object.entries(cases))(
    'gives what its definition gives in NumPy: %s',
    (_, { equalWidth, equalMass, ...input }) => {
      expectClose(ece(input, { binning: 'equal-width' }), equalWidth, 1e-12);
      expectClose(ece(input, { binning: 'equal-mass' }), equalMass, 1e-12);
    },
  );
  it('gives the known answers of evaluation.md 3.3', () => {
    const { labels, p1, p2 } = forty;
    expectClose(ece({ scores: p1, labels }, { binning: 'equal-width' }), 0.2235, 1e-12);
    expectClose(ece({ scores: p2, labels }, { binning: 'equal-width' }), 0.1945, 1e-12);
  });
  it('is 0 where probabilities keep their promise, and does not depend on the order of images', () => {
    const labels = [0, 0, 0, 1, 1, 1, 1, 1];
    const scores = [0.25, 0.25, 0.25, 0.25, 1, 1, 1, 1];
    expect(ece({ scores, labels }, { binning: 'equal-width' })).toBe(0);
    // Twenty images of one probability: in their own order each bin of two would have one of each.
    const same = Array.from({ length: 20 }, () => 0.5);
    const [alternating, grouped] = [(i: number) => i % 2, (i: number) => Math.floor(i / 10)].map((label) =>
      ece({ scores: same, labels: same.map((_, i) => label(i)) }, { binning: 'equal-mass' }),
    );
    expect([alternating, grouped]).toEqual([0.5, 0.5]);
  });
  it('refuses no images, and what is no probability', () => {
    const of = (scores: number[]) => () => ece({ scores, labels: scores.map(() => 1) }, { binning: 'equal-mass' });
    expect(of([])).toThrow('at least one image');
    expect(of([1.5])).toThrow('probabilities in [0, 1], got 1.5');
    expect(of([Number.NaN])).toThrow('finite scores');
  });
});
