import type { Spread } from '../../contract/manifests.ts';

/** Mean, sample standard deviation (divisor n - 1) and range. Throws RangeError for fewer than two values. */
export function spreadOf(values: readonly number[]): Spread {
  if (values.length < 2) throw new RangeError(`spreadOf requires at least two values, got ${values.length}`);
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return { mean, sd: Math.sqrt(squares / (values.length - 1)), min: Math.min(...values), max: Math.max(...values) };
}
