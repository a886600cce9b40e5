import binomialCdf from '@stdlib/stats-base-dists-binomial-cdf';
import binomialPmf from '@stdlib/stats-base-dists-binomial-pmf';
import chiSquareCdf from '@stdlib/stats-base-dists-chisquare-cdf';

export interface McNemarResult {
  /** Two-sided exact conditional p. */
  readonly exact: number;
  /** Exact less half the probability of the observed table: closer to its nominal level. */
  readonly midP: number;
  /** Chi-square with one degree of freedom, uncorrected; null without discordant images. */
  readonly chiSquareP: number | null;
  /** With Edwards' continuity correction; null without discordant images. */
  readonly correctedP: number | null;
}

/**
 * McNemar's test: do two models err equally often on the same images? Depends on the discordant images only: `onlyA` that A
 * alone gets right, `onlyB` that B alone gets right. Without any, every p is 1. Not a test of AUC, and not rejecting is no
 * proof of equality.
 *
 * Throws RangeError on counts that are not whole and at least 0. Source: McNemar 1947; mid-p: Fagerland et al. 2013.
 */
export function mcnemarTest({ onlyA, onlyB }: { readonly onlyA: number; readonly onlyB: number }): McNemarResult {
  if (!Number.isInteger(onlyA) || !Number.isInteger(onlyB) || onlyA < 0 || onlyB < 0)
    throw new RangeError(`mcnemarTest requires whole counts of at least 0, got ${onlyA} and ${onlyB}`);
  const n = onlyA + onlyB;
  if (n === 0) return { exact: 1, midP: 1, chiSquareP: null, correctedP: null };
  const least = Math.min(onlyA, onlyB);
  const point = binomialPmf(least, n, 0.5);
  const exact = Math.min(1, 2 * binomialCdf(least, n, 0.5));
  const midP = onlyA === onlyB ? 1 - point / 2 : exact - point;
  const gap = Math.abs(onlyA - onlyB);
  const upperTail = (statistic: number): number => 1 - chiSquareCdf(statistic, 1);
  const corrected = Math.max(0, gap - 1) ** 2 / n;
  return { exact, midP, chiSquareP: upperTail(gap ** 2 / n), correctedP: upperTail(corrected) };
}
