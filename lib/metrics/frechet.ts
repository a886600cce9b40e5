import { requireFeatures, type FeatureMatrix } from './feature-matrix.ts';
import { pivotedCholesky } from './pivoted-cholesky.ts';
import { rowProducts, transpose } from './row-products.ts';
import { symmetricEigenvalues } from './symmetric-eigenvalues.ts';

/** Mean [d] and covariance [d, d] of the features of a set of images. */
export interface Moments {
  readonly mean: Float64Array;
  readonly covariance: Float64Array;
}

/** Rows that are centred and multiplied at a time: bounds the float64 copy of a large set of fakes. */
const blockRows = 1024;

/**
 * Frechet distance of two sets of images in a feature space: |muA - muB|^2 + tr A + tr B - 2 tr (A B)^(1/2), covariances
 * with divisor n - 1. 0 for equal moments; biased upwards with few images, so print it beside the floor of two halves of the
 * reals. Symmetric in its arguments up to rounding.
 *
 * Only the trace of the root is needed: the roots of the eigenvalues of F B F', where A = F'F. With fewer images than features
 * F is the centred features themselves and no covariance is formed; that is exact for singular covariances. Float64.
 *
 * Throws RangeError when the sets have different features or fewer than two images. Source: Heusel et al. 2017, eq. 6.
 */
export function frechetDistance({ a, b }: { readonly a: FeatureMatrix; readonly b: FeatureMatrix }): number {
  for (const set of [a, b]) {
    requireFeatures(set, 'frechetDistance');
    if (set.rows < 2) throw new RangeError(`frechetDistance requires at least two images per set, got ${set.rows}`);
  }
  if (a.columns !== b.columns)
    throw new RangeError(`frechetDistance requires equal features, got ${a.columns} and ${b.columns} per image`);
  const [fewer, more] = a.rows <= b.rows ? [a, b] : [b, a];
  return fewer.rows < fewer.columns
    ? fromGram(fewer, more)
    : frechetFromMoments({ a: momentsOf(fewer), b: momentsOf(more) });
}

/** As {@link frechetDistance}, from means and covariances; these may be singular. */
export function frechetFromMoments({ a, b }: { readonly a: Moments; readonly b: Moments }): number {
  const d = a.mean.length;
  if (b.mean.length !== d || a.covariance.length !== d * d || b.covariance.length !== d * d)
    throw new RangeError(`frechetFromMoments requires moments of equal size, got ${d} and ${b.mean.length} features`);
  const { factor, rank } = pivotedCholesky(a.covariance, d);
  const weighted = rowProducts({ a: factor, n: rank, b: b.covariance, m: d, d }); // F B: B is symmetric
  const product = rowProducts({ a: weighted, n: rank, b: factor, m: rank, d }); // F B F' [rank, rank]
  return meanDistance(a.mean, b.mean) + trace(a.covariance, d) + trace(b.covariance, d) - 2 * rootTrace(product, rank);
}

/** Mean and covariance (divisor rows - 1) in float64. */
export function momentsOf(features: FeatureMatrix): Moments {
  const { rows, columns: d } = features;
  const mean = meanOf(features);
  const covariance = new Float64Array(d * d);
  for (let start = 0; start < rows; start += blockRows) {
    const count = Math.min(blockRows, rows - start);
    const columns = transpose(centred(features, { mean, start, count }), count, d);
    addTo(covariance, rowProducts({ a: columns, n: d, b: columns, m: d, d: count }));
  }
  return { mean, covariance };
}

/** F B F' = (F G')(F G')' with G the centred rows of the larger set: [rows of `fewer`] squared, whatever the features. */
function fromGram(fewer: FeatureMatrix, more: FeatureMatrix): number {
  const { rows: n, columns: d } = fewer;
  const meanFewer = meanOf(fewer);
  const meanMore = meanOf(more);
  const factor = centred(fewer, { mean: meanFewer, start: 0, count: n });
  const gram = new Float64Array(n * n);
  let traceMore = 0;
  for (let start = 0; start < more.rows; start += blockRows) {
    const count = Math.min(blockRows, more.rows - start);
    const block = centred(more, { mean: meanMore, start, count });
    traceMore += squareSum(block);
    const cross = rowProducts({ a: factor, n, b: block, m: count, d }); // [n, count]
    addTo(gram, rowProducts({ a: cross, n, b: cross, m: n, d: count }));
  }
  return meanDistance(meanFewer, meanMore) + squareSum(factor) + traceMore - 2 * rootTrace(gram, n);
}

function meanOf({ rows, columns, values }: FeatureMatrix): Float64Array {
  const mean = new Float64Array(columns);
  for (let i = 0; i < rows; i++)
    for (let k = 0; k < columns; k++) mean[k] = (mean[k] as number) + (values[i * columns + k] as number) / rows; // in bounds
  return mean;
}

/** Rows less their mean, over sqrt(rows of the set - 1): their products are covariances. */
function centred(
  { rows, columns, values }: FeatureMatrix,
  { mean, start, count }: { readonly mean: Float64Array; readonly start: number; readonly count: number },
): Float64Array {
  const scale = 1 / Math.sqrt(rows - 1);
  const out = new Float64Array(count * columns);
  for (let i = 0; i < count; i++)
    for (let k = 0; k < columns; k++)
      out[i * columns + k] = ((values[(start + i) * columns + k] as number) - (mean[k] as number)) * scale; // in bounds
  return out;
}

/** Sum of the roots of the eigenvalues. Values within rounding of zero count as zero: a root would blow 1e-16 up to 1e-8. */
function rootTrace(matrix: Float64Array, n: number): number {
  const eigenvalues = symmetricEigenvalues(matrix, n);
  const cut = n * Number.EPSILON * (eigenvalues.at(-1) ?? 0);
  return eigenvalues.reduce((sum, value) => sum + (value > cut ? Math.sqrt(value) : 0), 0);
}

function meanDistance(a: Float64Array, b: Float64Array): number {
  return a.reduce((sum, value, k) => sum + (value - (b[k] ?? 0)) ** 2, 0);
}

function trace(matrix: Float64Array, d: number): number {
  let sum = 0;
  for (let i = 0; i < d; i++) sum += matrix[i * d + i] as number; // inside d * d
  return sum;
}

function squareSum(values: Float64Array): number {
  return values.reduce((sum, value) => sum + value * value, 0);
}

function addTo(total: Float64Array, part: Float64Array): void {
  for (let i = 0; i < total.length; i++) total[i] = (total[i] as number) + (part[i] as number); // equal lengths
}
