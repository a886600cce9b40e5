import { describe, expect, it } from 'vitest';
import { mcnemarTest } from '../../../lib/stats/mcnemar.ts';
import { expectClose } from './expect-close.ts';
import { fixture } from './fixtures/fixture.ts';

// evaluation.md 3.3; (7, 1) is the worked example in the supplement of Fagerland et al. 2013.
const published: [number, number, number, number, number, number][] = [
  [7, 1, 0.0703125, 0.0390625, 0.033894854, 0.077099872],
  [10, 2, 0.03857421875, 0.0224609375, 0.020921335, 0.043308143],
  [50, 30, 0.03299261843, 0.02565435797, 0.025347319, 0.033648026],
  [54, 30, 0.01163445412, 0.008836205876, 0.008828761, 0.012090025],
  [121, 59, 4.434449264e-6, 3.266646796e-6, 3.8151359e-6, 5.4500948e-6],
];

describe('mcnemarTest', () => {
  it.each(published)(
    'gives the published p values of %d and %d',
    (onlyA, onlyB, exact, midP, chiSquareP, correctedP) => {
      const result = mcnemarTest({ onlyA, onlyB });
      expectClose(result.exact / exact, 1, 1e-9);
      expectClose(result.midP / midP, 1, 1e-9);
      expectClose(result.chiSquareP, chiSquareP, 1e-9);
      expectClose(result.correctedP, correctedP, 1e-9);
      expect(mcnemarTest({ onlyA: onlyB, onlyB: onlyA })).toEqual(result);
    },
  );
  it.each(Object.values(fixture.mcnemar))('agrees with statsmodels on $b and $c', ({ b, c, ...wanted }) => {
    const result = mcnemarTest({ onlyA: b, onlyB: c });
    expectClose(result.exact, wanted.exact);
    expectClose(result.chiSquareP, wanted.chiSquareP);
    // statsmodels corrects by 1 even where |b - c| is 1, which gives the same statistic 0.
    expectClose(result.correctedP, wanted.correctedP);
  });
  it('gives the mid-p of equal counts as 1 less half the point probability', () => {
    expect(mcnemarTest({ onlyA: 5, onlyB: 5 }).exact).toBe(1);
    expectClose(mcnemarTest({ onlyA: 5, onlyB: 5 }).midP, 0.876953125, 1e-14);
  });
  it('finds no evidence where no image is discordant', () => {
    expect(mcnemarTest({ onlyA: 0, onlyB: 0 })).toEqual({ exact: 1, midP: 1, chiSquareP: null, correctedP: null });
  });
  it.each([-1, 1.5, Number.NaN])('refuses the count %d', (onlyA) => {
    expect(() => mcnemarTest({ onlyA, onlyB: 2 })).toThrow('whole counts');
  });
});
