import './gradients.ts';
import { nativeBackend } from './native-backend.ts';
import { ownKernels } from './step-recorder.ts';
import { tf } from './tf.ts';

/**
 * Building blocks of networks whose loss holds a gradient: each op here may be differentiated twice, in eager and in
 * recorded steps (test/lib/engine/ops.test.ts checks each against finite differences). NHWC, 4 dimensions throughout.
 */

export const leakySlope = 0.2;

/** Resampling filter of StyleGAN2, one axis, sum 1 (stylegan2.md 2.5). */
const fir = [1 / 8, 3 / 8, 3 / 8, 1 / 8] as const;

/** LeakyReluGrad of the native backend is one pass instead of compare, scale and select. */
function leakyReluGradKernel(dy: tf.Tensor, y: tf.Tensor): tf.Tensor {
  const backend = nativeBackend();
  if (backend === null) return tf.where(tf.greater(y, 0), dy, tf.mul(dy, leakySlope));
  const alpha = { name: 'alpha', type: backend.binding.TF_ATTR_FLOAT, value: leakySlope };
  return backend.executeSingleOutput('LeakyReluGrad', [alpha], [dy, y]);
}

/** dy where y > 0, otherwise 0.2 dy. Linear in dy with a constant mask, so it is its own gradient, to any order. */
function leakyReluGrad(dy: tf.Tensor, y: tf.Tensor): tf.Tensor {
  return tf.customGrad((d) => {
    // customGrad hands over tensors (its type also names the save function).
    return { value: leakyReluGradKernel(d as tf.Tensor, y), gradFunc: (dd: tf.Tensor) => leakyReluGrad(dd, y) };
  })(dy);
}

/** Leaky ReLU with slope 0.2. Its gain of sqrt 2 belongs to the layer: f(gain x) = gain f(x) for a positive gain. */
export function leakyRelu<T extends tf.Tensor>(x: T): T {
  const op = tf.customGrad((input, save) => {
    const value = tf.leakyRelu(input as tf.Tensor, leakySlope); // a tensor, as above
    (save as tf.GradSaveFunc)([value]); // the second argument of customGrad's function, always
    return {
      value,
      gradFunc: (dy: tf.Tensor, saved: tf.Tensor[]) => leakyReluGrad(dy, saved[0] as tf.Tensor), // the one saved above
    };
  });
  return op(x) as T; // elementwise: same rank
}

/** Filter [4, 4, C, 1] of the depthwise convolution. */
function firFilter(channels: number, gain: number): tf.Tensor4D {
  const values = fir.flatMap((row) => fir.map((column) => row * column * gain));
  return tf.tile(tf.tensor4d(values, [4, 4, 1, 1]), [1, 1, channels, 1]);
}

interface Upfirdn {
  readonly up: 1 | 2;
  readonly down: 1 | 2;
  readonly p0: number;
  readonly p1: number;
  readonly gain: number;
}

/**
 * Zeros between the samples, padding, FIR, every `down`-th sample, in one pass of our own kernel
 * (infra/setup/tfjs-binding/upfirdn.cc); null where steps do not hold it.
 */
function fusedUpfirdn(x: tf.Tensor4D, { up, down, p0, p1, gain }: Upfirdn): tf.Tensor4D | null {
  const backend = ownKernels();
  if (backend === null) return null;
  const { TF_ATTR_INT, TF_ATTR_FLOAT, TF_ATTR_SHAPE } = backend.binding;
  const [n, h, w, c] = x.shape;
  const side = (size: number): number => Math.floor((size * up + p0 + p1 - fir.length) / down) + 1;
  const integers = Object.entries({ up, down, p0, p1 }).map(([name, value]) => ({ name, type: TF_ATTR_INT, value }));
  const attributes = [
    ...integers,
    { name: 'gain', type: TF_ATTR_FLOAT, value: gain },
    { name: 'shape', type: TF_ATTR_SHAPE, value: [n, side(h), side(w), c] },
  ];
  return backend.executeSingleOutput('EchoforgeUpfirdn', attributes, [x]) as tf.Tensor4D; // of the shape just given
}

/**
 * FIR [1,3,3,1] x [1,3,3,1] / 64 times `gain`, each channel by itself, after padding p0 zeros before and p1 behind on
 * both axes: [N, H, W, C] -> [N, H + p0 + p1 - 3, ...]. Its gradient is the same blur padded by 3 - p0 and 3 - p1.
 */
export function blur(
  x: tf.Tensor4D,
  options: { readonly p0: number; readonly p1: number; readonly gain?: number },
): tf.Tensor4D {
  const { p0, p1, gain = 1 } = options;
  const op = tf.customGrad((input) => {
    const image = input as tf.Tensor4D; // the argument of op() below
    return {
      value: fusedUpfirdn(image, { up: 1, down: 1, p0, p1, gain }) ?? padAndFilter(image, { p0, p1, gain }),
      gradFunc: (dy: tf.Tensor) => blur(dy as tf.Tensor4D, { p0: 3 - p0, p1: 3 - p1, gain }), // dy has the shape of the value
    };
  });
  return op(x) as tf.Tensor4D; // a depthwise convolution keeps four dimensions
}

function padAndFilter(x: tf.Tensor4D, { p0, p1, gain }: Pick<Upfirdn, 'p0' | 'p1' | 'gain'>): tf.Tensor4D {
  const padded = tf.pad(x, [
    [0, 0],
    [p0, p1],
    [p0, p1],
    [0, 0],
  ]);
  return tf.depthwiseConv2d(padded, firFilter(x.shape[3], gain), 1, 'valid');
}

/**
 * Low-pass and take every second pixel: [N, H, W, C] -> [N, H/2, W/2, C] (upfirdn down 2, padding 1, 1). With gain 1 a
 * constant keeps its value inside the borders. Its gradient is `firUp2` with a quarter of the gain.
 */
export function firDown2(x: tf.Tensor4D, gain = 1): tf.Tensor4D {
  const op = tf.customGrad((input) => {
    const image = input as tf.Tensor4D; // the argument of op() below
    return {
      // 'same' pads 1 and 1 when 4 taps step by 2.
      value:
        fusedUpfirdn(image, { up: 1, down: 2, p0: 1, p1: 1, gain }) ??
        tf.depthwiseConv2d(image, firFilter(image.shape[3], gain), 2, 'same'),
      gradFunc: (dy: tf.Tensor) => firUp2(dy as tf.Tensor4D, gain / 4), // dy has the shape of the value
    };
  });
  return op(x) as tf.Tensor4D; // a depthwise convolution keeps four dimensions
}

/**
 * Double the side: [N, H, W, C] -> [N, 2H, 2W, C] (upfirdn up 2, padding 2, 1, filter times 4 times `gain`). With gain
 * 1 a constant keeps its value inside the borders. Its gradient is `firDown2` with four times the gain.
 */
export function firUp2(x: tf.Tensor4D, gain = 1): tf.Tensor4D {
  const op = tf.customGrad((input) => {
    const image = input as tf.Tensor4D; // the argument of op() below
    return {
      // Zeros lie before each sample, one further back than the definition: 'same' then pads 1, 2 for the 2, 1 wanted.
      value:
        fusedUpfirdn(image, { up: 2, down: 1, p0: 2, p1: 1, gain: 4 * gain }) ??
        tf.depthwiseConv2d(zeroStuff(image), firFilter(image.shape[3], 4 * gain), 1, 'same'),
      gradFunc: (dy: tf.Tensor) => firDown2(dy as tf.Tensor4D, 4 * gain), // dy has the shape of the value
    };
  });
  return op(x) as tf.Tensor4D; // a depthwise convolution keeps four dimensions
}

/** [N, H, W, C] -> [N, 2H, 2W, C] with x[h, w] at [2h + 1, 2w + 1] and zeros elsewhere. */
function zeroStuff(x: tf.Tensor4D): tf.Tensor4D {
  const [n, h, w, c] = x.shape;
  const rows = tf.reshape(x, [n * h, 1, w, 1, c]);
  const stuffed = tf.pad(rows, [
    [0, 0],
    [1, 0],
    [0, 0],
    [1, 0],
    [0, 0],
  ]);
  return tf.reshape(stuffed, [n, 2 * h, 2 * w, c]);
}

/** Correlation with `weight` [k, k, Cin, Cout], stride 1, zero borders, size kept. */
export function conv2d(x: tf.Tensor4D, weight: tf.Tensor4D): tf.Tensor4D {
  return tf.conv2d(x, weight, 1, 'same');
}

/** Blur, then correlate with `weight` [3, 3, Cin, Cout] at every second pixel: [N, H, W, Cin] -> [N, H/2, W/2, Cout]. */
export function convDown2(x: tf.Tensor4D, weight: tf.Tensor4D): tf.Tensor4D {
  return tf.conv2d(blur(x, { p0: 2, p1: 2 }), weight, 2, 'valid'); // H -> H + 1 -> H / 2
}

/**
 * Zero-stuff, correlate with `weight` [3, 3, Cin, Cout], blur: [N, H, W, Cin] -> [N, 2H, 2W, Cout]. The routine is the
 * gradient of a correlation, so it wants the weight turned by 180 degrees and [k, k, Cout, Cin].
 */
export function convUp2(x: tf.Tensor4D, weight: tf.Tensor4D): tf.Tensor4D {
  const [n, h, w] = x.shape;
  const turned = tf.transpose(tf.reverse(weight, [0, 1]), [0, 1, 3, 2]);
  const up = tf.conv2dTranspose(x, turned, [n, 2 * h + 1, 2 * w + 1, weight.shape[3]], 2, 'valid');
  return blur(up, { p0: 1, p1: 1, gain: 4 }); // 2H + 1 -> 2H
}

/**
 * One feature map more, holding how much the images of a group differ: [N, H, W, C] -> [N, H, W, C + 1]
 * (stylegan2.md 2.9). Image i belongs to group i mod (N / group).
 * @throws RangeError when N is no multiple of min(groupSize, N)
 */
export function minibatchStddev(x: tf.Tensor4D, groupSize = 4): tf.Tensor4D {
  const [n, h, w, c] = x.shape;
  const group = Math.min(groupSize, n);
  if (n % group !== 0) throw new RangeError(`minibatchStddev expects a multiple of ${group} images, got ${n}`);
  const grouped = tf.reshape(x, [group, n / group, h * w * c]); // [G, M, HWC]
  const centred = tf.sub(grouped, tf.mean(grouped, 0, true));
  const stddev = tf.sqrt(tf.add(tf.mean(tf.square(centred), 0), 1e-8)); // [M, HWC]
  const perGroup = tf.reshape<tf.Rank.R4>(tf.mean(stddev, 1), [n / group, 1, 1, 1]);
  // [N, 1, 1, 1], then spread by an addition: the gradient of a tile is one slice per copy, that of an addition one sum.
  const perImage = tf.concat(Array.from({ length: group }, () => perGroup));
  return tf.concat([x, tf.add<tf.Tensor4D>(perImage, tf.zeros([n, h, w, 1]))], 3);
}

/** ln(1 + e^x), stable for large |x|; twice differentiable as tfjs has it. */
export function softplus<T extends tf.Tensor>(x: T): T {
  return tf.softplus(x);
}

/** Rows of x [R, C] by number, int32 [Q]: [Q, C]. A row may be taken often; its gradient adds up (`addRows`). */
export function gatherRows(x: tf.Tensor2D, rows: tf.Tensor1D): tf.Tensor2D {
  const op = tf.customGrad((input, save) => {
    const table = input as tf.Tensor2D; // the argument of op() below
    (save as tf.GradSaveFunc)([rows]); // the second argument of customGrad's function, always
    return {
      // GatherV2 of the native backend reads its indices in JavaScript; GatherNd does not.
      value: tf.gatherND(table, tf.reshape(rows, [rows.shape[0], 1])),
      gradFunc: (dy: tf.Tensor, saved: tf.Tensor[]) =>
        addRows(dy as tf.Tensor2D, saved[0] as tf.Tensor1D, table.shape[0]), // of the value's shape; the one saved above
    };
  });
  return op(x) as tf.Tensor2D; // rows of a matrix
}

/** The transpose of `gatherRows`: a matrix of `count` rows, row r the sum of all rows q of y [Q, C] with rows[q] = r. */
function addRows(y: tf.Tensor2D, rows: tf.Tensor1D, count: number): tf.Tensor2D {
  const op = tf.customGrad((input, save) => {
    (save as tf.GradSaveFunc)([rows]); // as above
    return {
      value: tf.unsortedSegmentSum(input as tf.Tensor2D, rows, count), // the argument of op() below
      gradFunc: (dy: tf.Tensor, saved: tf.Tensor[]) => gatherRows(dy as tf.Tensor2D, saved[0] as tf.Tensor1D), // as above
    };
  });
  return op(y) as tf.Tensor2D; // rows of a matrix
}
