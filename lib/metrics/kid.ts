import { shuffled, type Rng } from '../random.ts';
import { requireFeatures, takeRows, type FeatureMatrix } from './feature-matrix.ts';
import { rowProducts } from './row-products.ts';

export interface KidResult {
  /** Mean over the subsets. */
  readonly value: number;
  readonly standardDeviation: number;
  /** Images of each set per subset; smaller than asked when a set is smaller. */
  readonly subsetSize: number;
}

/**
 * Kernel distance (squared maximum mean discrepancy, unbiased U-statistic) with the kernel (x.y / d + 1)^3 over all images.
 * 0 in expectation for equal distributions, whatever the set sizes; may be negative.
 *
 * Throws RangeError on different features or fewer than two images. Source: Binkowski et al. 2018.
 */
export function kernelDistance({ a, b }: { readonly a: FeatureMatrix; readonly b: FeatureMatrix }): number {
  for (const set of [a, b]) {
    requireFeatures(set, 'kernelDistance');
    if (set.rows < 2) throw new RangeError(`kernelDistance requires at least two images per set, got ${set.rows}`);
  }
  if (a.columns !== b.columns)
    throw new RangeError(`kernelDistance requires equal features, got ${a.columns} and ${b.columns} per image`);
  const within = (set: FeatureMatrix): number => {
    const kernel = kernelMatrix(set, set);
    const sum = kernel.reduce((total, value, i) => total + (i % (set.rows + 1) === 0 ? 0 : value), 0); // off the diagonal
    return sum / (set.rows * (set.rows - 1));
  };
  const across = kernelMatrix(a, b).reduce((total, value) => total + value, 0) / (a.rows * b.rows);
  return within(a) + within(b) - 2 * across;
}

/**
 * KID as published: mean and standard deviation over random subsets of both sets. `subsets`: Default 100; `subsetSize`:
 * Default 1000, at most the smaller set.
 */
export function kid(args: {
  readonly a: FeatureMatrix;
  readonly b: FeatureMatrix;
  readonly rng: Rng;
  readonly subsets?: number;
  readonly subsetSize?: number;
}): KidResult {
  const { a, b, rng, subsets = 100 } = args;
  const subsetSize = Math.min(args.subsetSize ?? 1000, a.rows, b.rows);
  const draw = (set: FeatureMatrix): FeatureMatrix =>
    takeRows(set, shuffled([...Array(set.rows).keys()], rng).slice(0, subsetSize));
  const values = Array.from({ length: subsets }, () => kernelDistance({ a: draw(a), b: draw(b) }));
  const value = values.reduce((sum, x) => sum + x, 0) / subsets;
  const variance = values.reduce((sum, x) => sum + (x - value) ** 2, 0) / subsets;
  return { value, standardDeviation: Math.sqrt(variance), subsetSize };
}

function kernelMatrix(a: FeatureMatrix, b: FeatureMatrix): Float64Array {
  const [x, y] = [Float64Array.from(a.values), Float64Array.from(b.values)];
  return rowProducts({ a: x, n: a.rows, b: y, m: b.rows, d: a.columns }).map((dot) => (dot / a.columns + 1) ** 3);
}
