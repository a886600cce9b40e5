import type { Interval } from '../../contract/manifests.ts';
import { zOfLevel } from './normal.ts';

/**
 * Wilson score interval of a proportion; behaves well near 0 and 1 and with few trials. Treats trials as independent.
 * Throws RangeError unless 0 <= successes <= trials and trials >= 1. Source: Wilson 1927, without continuity correction.
 *
 * @example wilson({ successes: 138, trials: 150, level: 0.95 }); // 0.8654 to 0.9536
 */
export function wilson(args: {
  readonly successes: number;
  readonly trials: number;
  readonly level: number;
}): Interval {
  const { successes: k, trials: n, level } = args;
  if (!Number.isInteger(k) || !Number.isInteger(n) || n < 1 || k < 0 || k > n)
    throw new RangeError(`wilson requires 0 <= successes <= trials, trials >= 1, got ${k} of ${n}`);
  const z = zOfLevel(level);
  const p = k / n;
  const centre = p + (z * z) / (2 * n);
  const half = z * Math.sqrt((p * (1 - p)) / n + (z * z) / (4 * n * n));
  const scale = 1 + (z * z) / n;
  // At k = 0 and k = n one limit is exactly 0 or 1; rounding would leave 1e-17.
  const lower = k === 0 ? 0 : Math.max(0, (centre - half) / scale);
  const upper = k === n ? 1 : Math.min(1, (centre + half) / scale);
  return { lower, upper, level, method: 'Wilson' };
}
