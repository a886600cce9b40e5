import { tf } from '../engine/tf.ts';
import { conv2d, convDown2, convUp2, firDown2, firUp2, leakyRelu, minibatchStddev } from '../engine/ops.ts';
import {
  blockResolutions,
  makesPixels,
  mappingLearningRateMultiplier,
  readsPixels,
  type NetworkShape,
} from './architecture.ts';

/**
 * StyleGAN2 (Karras et al. 2020, "Analyzing and Improving the Image Quality of StyleGAN", section 2; figure 7 for the
 * `orig`, `skip` and `resnet` variants; stylegan2.md 2.1-2.9). Functions of their weights, NHWC, twice differentiable.
 *
 * Every weight is stored with unit variance (times 1 / lambda in the mapping) and scaled where it is used: the equalised
 * learning rate. The leaky ReLU's gain of sqrt 2 is applied before it, to the small tensors, since f(g x) = g f(x).
 */

/** Variables of one network by their name without its prefix. */
export type Weights = ReadonlyMap<string, tf.Tensor>;

const reluGain = Math.SQRT2;

// The caller names the rank, which architecture.ts fixes for each variable.
// eslint-disable-next-line @typescript-eslint/no-unnecessary-type-parameters
function weight<T extends tf.Tensor>(weights: Weights, name: string): T {
  const found = weights.get(name);
  if (found === undefined) throw new RangeError(`the network has no variable "${name}"`);
  return found as T; // see above
}

/** Factor of the equalised learning rate: 1 / sqrt(fan in), fan in = k k Cin. */
function runtimeScale(variable: tf.Tensor): number {
  return 1 / Math.sqrt(variable.shape.slice(0, -1).reduce((fanIn, side) => fanIn * side, 1));
}

/** One-hot labels [N, labels] of a network that wants them, null for one that does not. */
function labelsOf(shape: NetworkShape, labels: tf.Tensor2D | undefined): tf.Tensor2D | null {
  if ((labels?.shape[1] ?? 0) !== shape.labels)
    throw new RangeError(`the network expects one-hot labels of ${shape.labels} classes, got ${labels?.shape[1] ?? 0}`);
  return labels ?? null;
}

/** Mapping network: z [N, L] and, in conditional networks, one-hot labels [N, labels] -> w [N, L]. */
export function mapping(weights: Weights, shape: NetworkShape, z: tf.Tensor2D, labels?: tf.Tensor2D): tf.Tensor2D {
  const lambda = mappingLearningRateMultiplier;
  const classes = labelsOf(shape, labels);
  const input = classes === null ? z : tf.concat([z, tf.matMul(classes, weight(weights, 'mapping/embedding'))], 1);
  let x = tf.mul(input, tf.rsqrt(tf.add(tf.mean(tf.square(input), 1, true), 1e-8))); // unit mean square per sample
  for (let i = 0; i < shape.mappingLayers; i++) {
    const kernel = weight<tf.Tensor2D>(weights, `mapping/dense${i}/weight`);
    const bias = weight<tf.Tensor1D>(weights, `mapping/dense${i}/bias`);
    const y = tf.mul(tf.matMul(x, kernel), runtimeScale(kernel) * lambda * reluGain);
    x = leakyRelu(tf.add(y, tf.mul(bias, lambda * reluGain)));
  }
  return x as tf.Tensor2D; // [N, L] throughout
}

/** Style of one layer: w [N, L] -> s [N, Cin], around 1 at the start. */
function affine(weights: Weights, layer: string, w: tf.Tensor2D): tf.Tensor2D {
  const kernel = weight<tf.Tensor2D>(weights, `${layer}/affineWeight`);
  const bias = weight<tf.Tensor1D>(weights, `${layer}/affineBias`);
  return tf.add(tf.add(tf.mul(tf.matMul(w, kernel), runtimeScale(kernel)), bias), 1);
}

/** Demodulation: s [N, Cin] and kernel [k, k, Cin, Cout] -> 1 / standard deviation of each output map, [N, Cout]. */
export function demodulation(s: tf.Tensor2D, kernel: tf.Tensor4D): tf.Tensor2D {
  const energy = tf.sum<tf.Tensor2D>(tf.square(kernel), [0, 1]);
  return tf.rsqrt(tf.add(tf.matMul(tf.square(s), energy), 1e-8));
}

const overPixels = (x: tf.Tensor2D): tf.Tensor4D => tf.reshape(x, [x.shape[0], 1, 1, x.shape[1]]);

/** Modulated 3x3 convolution, noise, bias, leaky ReLU: [N, H, W, Cin] -> [N, H or 2H, W or 2W, Cout]. */
function synthesisLayer(
  weights: Weights,
  layer: string,
  inputs: { readonly x: tf.Tensor4D; readonly w: tf.Tensor2D; readonly noise: tf.Tensor4D; readonly up: boolean },
): tf.Tensor4D {
  const { x, w, noise, up } = inputs;
  const kernel = weight<tf.Tensor4D>(weights, `${layer}/weight`);
  // The style carries the kernel's scale: a small matrix is scaled, not the kernel.
  const s = tf.mul<tf.Tensor2D>(affine(weights, layer, w), runtimeScale(kernel));
  const modulated = tf.mul<tf.Tensor4D>(x, overPixels(s));
  const y = up ? convUp2(modulated, kernel) : conv2d(modulated, kernel);
  const d = tf.mul<tf.Tensor2D>(demodulation(s, kernel), reluGain);
  const strength = tf.mul(weight<tf.Scalar>(weights, `${layer}/noiseStrength`), reluGain);
  const bias = tf.mul(weight<tf.Tensor1D>(weights, `${layer}/bias`), reluGain);
  const noisy = tf.add(tf.mul(y, overPixels(d)), tf.mul(noise, strength)); // noise [N, H, W, 1] over all maps
  return leakyRelu<tf.Tensor4D>(tf.add(noisy, bias));
}

/** Modulated 1x1 convolution to pixels, without demodulation: [N, H, W, Cin] -> [N, H, W, channels]. */
function toRgb(weights: Weights, layer: string, x: tf.Tensor4D, w: tf.Tensor2D): tf.Tensor4D {
  const kernel = weight<tf.Tensor4D>(weights, `${layer}/weight`);
  const s = tf.mul<tf.Tensor2D>(affine(weights, layer, w), runtimeScale(kernel));
  const y = conv2d(tf.mul(x, overPixels(s)), kernel);
  return tf.add(y, weight<tf.Tensor1D>(weights, `${layer}/bias`));
}

/** Shortcut of a `resnet` block of G, divided by sqrt 2: [N, H, W, Cin] -> [N, 2H, 2W, Cout]. No style, bias or ReLU. */
function upSkip(weights: Weights, block: string, x: tf.Tensor4D): tf.Tensor4D {
  return firUp2(conv2d(x, skipKernel(weights, block)));
}

/** 1x1 kernel of a residual block's shortcut, scaled and divided by sqrt 2. */
function skipKernel(weights: Weights, block: string): tf.Tensor4D {
  const stored = weight<tf.Tensor4D>(weights, `${block}/skip/weight`);
  return tf.mul<tf.Tensor4D>(stored, runtimeScale(stored) * Math.SQRT1_2);
}

/**
 * Synthesis network: images [N, R, R, channels], about [-1, 1], unclamped.
 * `ws`: one [N, L] per layer (`styleCount`); `noise`: one [N or 1, side, side, 1] per `noiseSizes`.
 */
export function synthesis(
  weights: Weights,
  shape: NetworkShape,
  inputs: { readonly ws: readonly tf.Tensor2D[]; readonly noise: readonly tf.Tensor4D[] },
): tf.Tensor4D {
  const { ws, noise } = inputs;
  const at = <T>(items: readonly T[], index: number, what: string): T => {
    const item = items[index];
    if (item === undefined)
      throw new RangeError(`synthesis at ${shape.resolution} px needs ${what} ${index}, got ${items.length}`);
    return item;
  };
  let x = weight<tf.Tensor4D>(weights, 'synthesis/b4/const'); // [1, 4, 4, C]; its style makes it [N, 4, 4, C]
  let image: tf.Tensor4D | null = null; // [N, side, side, channels], the sum so far
  for (const resolution of blockResolutions(shape)) {
    const block = `synthesis/b${resolution}`;
    const layer = 2 * Math.log2(resolution) - 5; // of conv0, and of its noise map
    const style = (offset: number): tf.Tensor2D => at(ws, layer + offset, 'style');
    const map = (offset: number): tf.Tensor4D => at(noise, layer + offset, 'noise map');
    const residual = resolution > 4 && shape.gArchitecture === 'resnet' ? upSkip(weights, block, x) : null;
    if (resolution > 4) x = synthesisLayer(weights, `${block}/conv0`, { x, w: style(0), noise: map(0), up: true });
    x = synthesisLayer(weights, `${block}/conv1`, { x, w: style(1), noise: map(1), up: false });
    if (residual !== null) x = tf.add(tf.mul(x, Math.SQRT1_2), residual);
    if (!makesPixels(shape, resolution)) continue;
    const rgb = toRgb(weights, `${block}/toRgb`, x, style(2));
    image = image === null ? rgb : tf.add(firUp2(image), rgb);
  }
  if (image === null) throw new RangeError(`expected a resolution of at least 4, got ${shape.resolution}`);
  return image;
}

/** Convolution with equalised learning rate, bias and leaky ReLU; `gain` replaces sqrt 2. */
function convLayer(
  weights: Weights,
  layer: string,
  inputs: { readonly x: tf.Tensor4D; readonly down: boolean; readonly gain?: number },
): tf.Tensor4D {
  const { x, down, gain = reluGain } = inputs;
  const stored = weight<tf.Tensor4D>(weights, `${layer}/weight`);
  const kernel = tf.mul<tf.Tensor4D>(stored, runtimeScale(stored) * gain);
  const y = down ? convDown2(x, kernel) : conv2d(x, kernel);
  return leakyRelu(tf.add(y, tf.mul(weight<tf.Tensor1D>(weights, `${layer}/bias`), gain)));
}

/**
 * One block: [N, H, W, Cin] -> [N, H/2, W/2, Cout]. Residual in `resnet`: (main + skip) / sqrt 2, with the division
 * inside both gains.
 */
function discriminatorBlock(
  weights: Weights,
  block: string,
  options: { x: tf.Tensor4D; residual: boolean },
): tf.Tensor4D {
  const { x, residual } = options;
  const gain = residual ? reluGain * Math.SQRT1_2 : reluGain;
  const wide = convLayer(weights, `${block}/conv0`, { x, down: false });
  const main = convLayer(weights, `${block}/conv1`, { x: wide, down: true, gain });
  return residual ? tf.add(main, conv2d(firDown2(x), skipKernel(weights, block))) : main;
}

/** Fully connected layer with equalised learning rate: [N, from] -> [N, to], times `gain`. */
function dense(weights: Weights, layer: string, x: tf.Tensor2D, gain: number): tf.Tensor2D {
  const kernel = weight<tf.Tensor2D>(weights, `${layer}/weight`);
  const bias = tf.mul(weight<tf.Tensor1D>(weights, `${layer}/bias`), gain);
  return tf.add(tf.mul(tf.matMul(x, kernel), runtimeScale(kernel) * gain), bias);
}

/**
 * Discriminator: images [N, R, R, channels] in [-1, 1] and, in conditional networks, one-hot labels [N, labels] -> raw
 * scores [N, 1], of the image being real and of that class. N a multiple of min(4, N).
 */
export function discriminator(
  weights: Weights,
  shape: NetworkShape,
  images: tf.Tensor4D,
  labels?: tf.Tensor2D,
): tf.Tensor2D {
  const classes = labelsOf(shape, labels);
  let pixels = images;
  let x: tf.Tensor4D | null = null;
  for (const resolution of blockResolutions(shape).reverse()) {
    const block = `b${resolution}`;
    if (readsPixels(shape, resolution)) {
      const read = convLayer(weights, `${block}/fromRgb`, { x: pixels, down: false });
      x = x === null ? read : tf.add(x, read);
    }
    if (x === null || resolution === 4) break;
    x = discriminatorBlock(weights, block, { x, residual: shape.dArchitecture === 'resnet' });
    if (shape.dArchitecture === 'skip') pixels = firDown2(pixels);
  }
  if (x === null) throw new RangeError(`expected a resolution of at least 4, got ${shape.resolution}`);
  const last = convLayer(weights, 'b4/conv', { x: minibatchStddev(x), down: false }); // [N, 4, 4, C]
  const flat = tf.reshape<tf.Rank.R2>(last, [last.shape[0], -1]);
  const scores = dense(weights, 'b4/output', leakyRelu(dense(weights, 'b4/dense', flat, reluGain)), 1);
  return classes === null ? scores : tf.sum<tf.Tensor2D>(tf.mul(scores, classes), 1, true);
}
