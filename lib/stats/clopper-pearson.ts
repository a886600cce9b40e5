import betaQuantile from '@stdlib/stats-base-dists-beta-quantile';
import type { Interval } from '../../contract/manifests.ts';

/**
 * Clopper-Pearson ("exact") interval of a proportion: never covers less than `level`, so it is wide; the one that regulators
 * expect. Throws RangeError unless 0 <= successes <= trials and trials >= 1. Source: Clopper and Pearson 1934.
 */
export function clopperPearson(args: {
  readonly successes: number;
  readonly trials: number;
  readonly level: number;
}): Interval {
  const { successes: k, trials: n, level } = args;
  if (!Number.isInteger(k) || !Number.isInteger(n) || n < 1 || k < 0 || k > n)
    throw new RangeError(`clopperPearson requires 0 <= successes <= trials, trials >= 1, got ${k} of ${n}`);
  const tail = (1 - level) / 2;
  return {
    lower: k === 0 ? 0 : betaQuantile(tail, k, n - k + 1),
    upper: k === n ? 1 : betaQuantile(1 - tail, k + 1, n - k),
    level,
    method: 'Clopper-Pearson',
  };
}
