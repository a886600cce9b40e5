import { requireFeatures, type FeatureMatrix } from './feature-matrix.ts';
import { rowProducts } from './row-products.ts';

/**
 * How much of the reals' variety a set of fakes reaches, each a share in [0, 1]. `imageRecall`: reals that lie within the
 * k-th-neighbour radius of some fake (Kynkaanniemi et al. 2019, k = 3). `coverage`: reals within whose own k-th-neighbour
 * radius some fake lies (Naeem et al. 2020, k = 5), which outliers among the fakes cannot raise. Neighbours are within one
 * set, the image itself left out; distances Euclidean.
 *
 * Both fall with fewer fakes: compare equal numbers only. Not for fewer images than k + 1 per set: RangeError.
 */
export function imageRecall({ reals, fakes, k = 3 }: CoverageInput): number {
  requireSets({ reals, fakes, k }, 'imageRecall');
  const radii = neighbourRadii(fakes, k);
  return shareOfReals(reals, fakes, (distance, _real, fake) => distance <= (radii[fake] ?? 0));
}

/** See {@link imageRecall}. */
export function coverage({ reals, fakes, k = 5 }: CoverageInput): number {
  requireSets({ reals, fakes, k }, 'coverage');
  const radii = neighbourRadii(reals, k);
  return shareOfReals(reals, fakes, (distance, real) => distance <= (radii[real] ?? 0));
}

export interface CoverageInput {
  readonly reals: FeatureMatrix;
  readonly fakes: FeatureMatrix;
  /** Which neighbour's distance is the radius. */
  readonly k?: number;
}

function requireSets({ reals, fakes, k }: Required<CoverageInput>, caller: string): void {
  for (const set of [reals, fakes]) {
    requireFeatures(set, caller);
    if (set.rows <= k) throw new RangeError(`${caller} requires more than ${k} images per set, got ${set.rows}`);
  }
  if (reals.columns !== fakes.columns)
    throw new RangeError(`${caller} requires equal features, got ${reals.columns} and ${fakes.columns} per image`);
}

function shareOfReals(
  reals: FeatureMatrix,
  fakes: FeatureMatrix,
  reaches: (squaredDistance: number, real: number, fake: number) => boolean,
): number {
  const distances = squaredDistances(reals, fakes);
  let reached = 0;
  for (let real = 0; real < reals.rows; real++) {
    const row = distances.subarray(real * fakes.rows, (real + 1) * fakes.rows);
    if (row.some((distance, fake) => reaches(distance, real, fake))) reached++;
  }
  return reached / reals.rows;
}

/** Squared distance of every image to its k-th neighbour in its own set. */
function neighbourRadii(set: FeatureMatrix, k: number): Float64Array {
  const distances = squaredDistances(set, set);
  return Float64Array.from({ length: set.rows }, (_, i) => {
    const others = distances.slice(i * set.rows, (i + 1) * set.rows);
    others[i] = Number.POSITIVE_INFINITY;
    return others.sort()[k - 1] ?? Number.NaN;
  });
}

/** [a.rows, b.rows]; never negative. */
function squaredDistances(a: FeatureMatrix, b: FeatureMatrix): Float64Array {
  const x = Float64Array.from(a.values);
  const y = a === b ? x : Float64Array.from(b.values);
  const products = rowProducts({ a: x, n: a.rows, b: y, m: b.rows, d: a.columns });
  const [normsA, normsB] = [squaredNorms(x, a.columns), squaredNorms(y, b.columns)];
  return products.map((dot, i) => {
    const [row, column] = [Math.floor(i / b.rows), i % b.rows];
    return Math.max(0, (normsA[row] ?? 0) + (normsB[column] ?? 0) - 2 * dot);
  });
}

function squaredNorms(values: Float64Array, columns: number): Float64Array {
  return Float64Array.from({ length: values.length / columns }, (_, row) =>
    values.subarray(row * columns, (row + 1) * columns).reduce((sum, value) => sum + value * value, 0),
  );
}
