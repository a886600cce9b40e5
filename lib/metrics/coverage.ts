import { requireFeatures, type FeatureMatrix } from './feature-matrix.ts';
import { tilesOf } from './row-tiles.ts';

/**
 * How much of the reals' variety a set of fakes reaches, each a share in [0, 1]. `imageRecall`: reals that lie within the
 * k-th-neighbour radius of some fake (Kynkaanniemi et al. 2019, k = 3). `coverage`: reals within whose own k-th-neighbour
 * radius some fake lies (Naeem et al. 2020, k = 5), which outliers among the fakes cannot raise. On the radius counts for recall
 * and not for coverage, as each was published: where all images are one point, nothing is covered. Neighbours are within one
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
  return shareOfReals(reals, fakes, (distance, real) => distance < (radii[real] ?? 0));
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
  const reached = new Uint8Array(reals.rows);
  forEachDistance(reals, fakes, (distance, real, fake) => {
    if (reached[real] === 0 && reaches(distance, real, fake)) reached[real] = 1;
  });
  return reached.reduce((sum, one) => sum + one, 0) / reals.rows;
}

/** Squared distance of every image to its k-th neighbour in its own set. */
function neighbourRadii(set: FeatureMatrix, k: number): Float64Array {
  const nearest = new Float64Array(set.rows * k).fill(Number.POSITIVE_INFINITY); // [rows, k], ascending
  const insert = (row: number, distance: number): void => {
    let place = row * k + k - 1;
    if (distance >= (nearest[place] ?? 0)) return;
    for (; place > row * k && (nearest[place - 1] ?? 0) > distance; place--) nearest[place] = nearest[place - 1] ?? 0;
    nearest[place] = distance;
  };
  forEachDistance(set, null, (distance, i, j) => {
    if (i >= j) return; // each pair once: of the diagonal tiles come both halves
    insert(i, distance);
    insert(j, distance);
  });
  return Float64Array.from({ length: set.rows }, (_, row) => nearest[row * k + k - 1] ?? Number.NaN);
}

/** Squared distances of the pairs of {@link tilesOf}; never negative. */
function forEachDistance(
  a: FeatureMatrix,
  b: FeatureMatrix | null,
  visit: (squaredDistance: number, row: number, column: number) => void,
): void {
  const normsA = squaredNorms(a);
  const normsB = b === null ? normsA : squaredNorms(b);
  for (const { top, rows, left, columns, products } of tilesOf(a, b))
    for (let i = 0; i < rows; i++)
      for (let j = 0; j < columns; j++) {
        const dot = products[i * columns + j] ?? 0;
        visit(Math.max(0, (normsA[top + i] ?? 0) + (normsB[left + j] ?? 0) - 2 * dot), top + i, left + j);
      }
}

function squaredNorms({ values, rows, columns }: FeatureMatrix): Float64Array {
  return Float64Array.from({ length: rows }, (_, row) => {
    let sum = 0;
    for (let i = row * columns; i < (row + 1) * columns; i++) sum += (values[i] ?? 0) * (values[i] ?? 0);
    return sum;
  });
}
