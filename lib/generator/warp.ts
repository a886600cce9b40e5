import { gatherRows } from '../engine/ops.ts';
import { tf } from '../engine/tf.ts';
import type { AffineMap } from './affine-map.ts';

/**
 * Affine maps of images without visible aliasing (Karras et al. 2020, "Training generative adversarial networks with limited
 * data", appendix B; stylegan2.md 5.1): reflected borders, doubled with the sym6 low-pass, bilinear look-up, halved with the
 * same filter turned round. Filtering is a product with constant matrices and the look-up a gather: all linear in the image,
 * hence differentiable to any order; the map itself is a constant.
 */

/** Low-pass of the symlet with six vanishing moments (Daubechies 1992, table 6.3), sum sqrt(2); orthogonal to its even shifts. */
const sym6 = [
  0.015404109327027373, 0.0034907120842174702, -0.11799011114819057, -0.048311742585633, 0.4910559419267466,
  0.787641141030194, 0.3379294217276218, -0.07263752278646252, -0.021060292512300564, 0.04472490177066578,
  0.0017677118642428036, -0.007800708325034148,
] as const;

/** Samples by which the filter delays a smooth signal: 5.098. Places are counted without it, so that a mirror stays in place. */
const delay = sym6.reduce((moment, tap, t) => moment + t * tap, 0) / Math.SQRT2;

/** Number of a pixel after reflection at the first and last pixel of a row of `side`. */
function reflected(pixel: number, side: number): number {
  const period = 2 * (side - 1);
  const folded = ((pixel % period) + period) % period;
  return Math.min(folded, period - folded);
}

/**
 * [4 (R - 1), R]: one period of the doubled, endlessly reflected row. Tap t of pixel k falls on sample 2 k + t, so that sample n
 * lies at (n - delay) / 2 px.
 */
function doublingMatrix(side: number): tf.Tensor2D {
  const samples = 4 * (side - 1);
  const values = new Float64Array(samples * side);
  for (let n = 0; n < samples; n++)
    sym6.forEach((tap, t) => {
      if ((n - t) % 2 === 0) {
        const at = n * side + reflected((n - t) / 2, side);
        values[at] = (values[at] ?? 0) + Math.SQRT2 * tap;
      }
    });
  return tf.tensor2d(Float32Array.from(values), [samples, side]);
}

/** [R, 2R + 10]: pixel m takes samples 2 m to 2 m + 11 of the doubled row. Undoes `doublingMatrix`. */
function halvingMatrix(side: number): tf.Tensor2D {
  const samples = 2 * (side - 1) + sym6.length;
  const values = new Float32Array(side * samples);
  for (let m = 0; m < side; m++) sym6.forEach((tap, t) => void (values[m * samples + 2 * m + t] = tap / Math.SQRT2));
  return tf.tensor2d(values, [side, samples]);
}

/** Rows, then columns, of images by a matrix [T, S]: [N, S, S, C] -> [N, T, T, C]. */
function resample(x: tf.Tensor4D, matrix: tf.Tensor2D): tf.Tensor4D {
  const [to, from] = matrix.shape;
  const alongRows = (image: tf.Tensor4D): tf.Tensor4D => {
    const [n, h, , c] = image.shape; // [N, H, S, C] -> [N, T, H, C]
    const columns = tf.reshape(tf.transpose(image, [2, 0, 1, 3]), [from, n * h * c]);
    return tf.transpose(tf.reshape(tf.matMul(matrix, columns), [to, n, h, c]), [1, 0, 2, 3]);
  };
  return alongRows(alongRows(x)); // each pass swaps the axes
}

/** Bilinear look-up in periodic images [N, P, P, C] at `x`, `y` [N, Q]: [N, Q, C]. */
function lookUp(images: tf.Tensor4D, x: tf.Tensor2D, y: tf.Tensor2D): tf.Tensor3D {
  const [n, period, , c] = images.shape;
  const points = x.shape[1];
  const [left, top] = [tf.floor(x), tf.floor(y)];
  const [right, below] = [tf.sub(x, left), tf.sub(y, top)]; // shares of the neighbours
  const first = tf.mul(tf.reshape(tf.range(0, n, 1, 'int32'), [n, 1]), tf.scalar(period * period, 'int32'));
  const wrapped = (at: tf.Tensor, step: number): tf.Tensor =>
    tf.cast(tf.mod(tf.add(at, step), tf.scalar(period)), 'int32');
  const corners = [0, 1].flatMap((dy) =>
    [0, 1].map((dx) => ({
      rows: tf.add(first, tf.add(tf.mul(wrapped(top, dy), tf.scalar(period, 'int32')), wrapped(left, dx))),
      share: tf.mul(dx === 1 ? right : tf.sub(1, right), dy === 1 ? below : tf.sub(1, below)),
    })),
  );
  const rows = tf.reshape<tf.Rank.R1>(tf.stack(corners.map((corner) => corner.rows)), [4 * n * points]);
  const shares = tf.reshape(tf.stack(corners.map((corner) => corner.share)), [4, n * points, 1]);
  const values = tf.reshape(gatherRows(tf.reshape(images, [n * period * period, c]), rows), [4, n * points, c]);
  return tf.reshape(tf.sum(tf.mul(values, shares), 0), [n, points, c]);
}

/** Each image moved by its map, [N, R, R, C]. The identity gives the image up to rounding. */
export function affineWarp(images: tf.Tensor4D, map: AffineMap): tf.Tensor4D {
  const [n, side, , c] = images.shape;
  const samples = 2 * (side - 1) + sym6.length;
  const centre = (side - 1) / 2;
  const places = Float32Array.from({ length: samples }, (_, i) => (i - delay) / 2 - centre);
  const x = tf.reshape(tf.tile(tf.tensor1d(places), [samples]), [1, samples * samples]);
  const y = tf.reshape(tf.tile(tf.reshape(tf.tensor1d(places), [samples, 1]), [1, samples]), [1, samples * samples]);
  const column = (coefficient: tf.Tensor1D): tf.Tensor2D => tf.reshape(coefficient, [n, 1]);
  const sampleAt = (a: tf.Tensor1D, b: tf.Tensor1D, offset: tf.Tensor1D): tf.Tensor2D => {
    const place = tf.add(tf.add(tf.mul(x, column(a)), tf.mul(y, column(b))), column(offset)); // px from the centre
    return tf.add(tf.mul(tf.add(place, centre), 2), delay);
  };
  const doubled = resample(images, doublingMatrix(side));
  const moved = lookUp(doubled, sampleAt(map.xx, map.xy, map.x0), sampleAt(map.yx, map.yy, map.y0));
  return resample(tf.reshape(moved, [n, samples, samples, c]), halvingMatrix(side));
}
