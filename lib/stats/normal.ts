import cdf from '@stdlib/stats-base-dists-normal-cdf';
import quantile from '@stdlib/stats-base-dists-normal-quantile';

/** P(Z <= z) of the standard normal distribution. */
export function normalCdf(z: number): number {
  return cdf(z, 0, 1);
}

/** P(|Z| >= |z|); taken from the lower tail, so that small values keep their digits. */
export function normalTwoSidedP(z: number): number {
  return Math.min(1, 2 * cdf(-Math.abs(z), 0, 1));
}

/** The z with P(Z <= z) = probability. */
export function normalQuantile(probability: number): number {
  return quantile(probability, 0, 1);
}

/** Half-width of a two-sided interval in standard errors, e.g. 1.95996 for level 0.95. */
export function zOfLevel(level: number): number {
  if (!(level > 0 && level < 1)) throw new RangeError(`expected a confidence level between 0 and 1, got ${level}`);
  return quantile(0.5 + level / 2, 0, 1);
}
