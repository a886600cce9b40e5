import { at } from './at.ts';

/** Quantile with linear interpolation between order statistics (R type 7, NumPy's default). Throws RangeError when empty. */
export function quantile(values: readonly number[], probability: number): number {
  if (values.length === 0) throw new RangeError('quantile requires at least one value');
  const sorted = [...values].sort((a, b) => a - b);
  const position = (sorted.length - 1) * probability;
  const below = Math.floor(position);
  const low = at(sorted, below);
  return low + (position - below) * (at(sorted, Math.min(below + 1, sorted.length - 1)) - low);
}
