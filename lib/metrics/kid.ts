import { shuffled, type Rng } from '../random.ts';
import { requireFeatures, takeRows, type FeatureMatrix } from './feature-matrix.ts';
import { tilesOf } from './row-tiles.ts';

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
  const within = (set: FeatureMatrix): number => sumOfKernels(set, null) / (set.rows * (set.rows - 1));
  return within(a) + within(b) - (2 * sumOfKernels(a, b)) / (a.rows * b.rows);
}

/** Sum of the kernel over all pairs; `b` null: over all pairs of two different images of `a`. */
function sumOfKernels(a: FeatureMatrix, b: FeatureMatrix | null): number {
  let sum = 0;
  for (const { top, left, columns, products } of tilesOf(a, b)) {
    const onDiagonal = b === null && left === top;
    let ofTile = 0;
    for (let i = 0; i < products.length; i++)
      if (!onDiagonal || i % (columns + 1) !== 0) ofTile += ((products[i] ?? 0) / a.columns + 1) ** 3;
    sum += b === null && !onDiagonal ? 2 * ofTile : ofTile; // the tile below the diagonal is this one transposed
  }
  return sum;
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
