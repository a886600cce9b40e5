import { tf } from '../engine/tf.ts';
import { conv2d, convDown2, convUp2, firDown2, firUp2, leakyRelu, minibatchStddev } from '../engine/ops.ts';
import { blockResolutions, mappingLearningRateMultiplier, type NetworkShape } from './architecture.ts';

/**
 * StyleGAN2, `skip` generator and `resnet` discriminator (Karras et al. 2020, "Analyzing and Improving the Image Quality
 * of StyleGAN", section 2 and figure 7; stylegan2.md 2.1-2.9). Functions of their weights, NHWC, twice differentiable.
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

/** Mapping network: z [N, L] -> w [N, L]. */
export function mapping(weights: Weights, shape: NetworkShape, z: tf.Tensor2D): tf.Tensor2D {
  const lambda = mappingLearningRateMultiplier;
  let x = tf.mul(z, tf.rsqrt(tf.add(tf.mean(tf.square(z), 1, true), 1e-8))); // unit mean square per sample
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
  let image: tf.Tensor4D | null = null;
  for (const resolution of blockResolutions(shape)) {
    const block = `synthesis/b${resolution}`;
    const layer = 2 * Math.log2(resolution) - 5; // of conv0, and of its noise map
    const style = (offset: number): tf.Tensor2D => at(ws, layer + offset, 'style');
    const map = (offset: number): tf.Tensor4D => at(noise, layer + offset, 'noise map');
    if (resolution > 4) x = synthesisLayer(weights, `${block}/conv0`, { x, w: style(0), noise: map(0), up: true });
    x = synthesisLayer(weights, `${block}/conv1`, { x, w: style(1), noise: map(1), up: false });
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

/** Residual block: [N, H, W, Cin] -> [N, H/2, W/2, Cout], (main + skip) / sqrt 2 with the division inside both gains. */
function discriminatorBlock(weights: Weights, block: string, x: tf.Tensor4D): tf.Tensor4D {
  const stored = weight<tf.Tensor4D>(weights, `${block}/skip/weight`);
  const kernel = tf.mul<tf.Tensor4D>(stored, runtimeScale(stored) * Math.SQRT1_2);
  const skip = conv2d(firDown2(x), kernel);
  const wide = convLayer(weights, `${block}/conv0`, { x, down: false });
  const main = convLayer(weights, `${block}/conv1`, { x: wide, down: true, gain: reluGain * Math.SQRT1_2 });
  return tf.add(main, skip);
}

/** Fully connected layer with equalised learning rate: [N, from] -> [N, to], times `gain`. */
function dense(weights: Weights, layer: string, x: tf.Tensor2D, gain: number): tf.Tensor2D {
  const kernel = weight<tf.Tensor2D>(weights, `${layer}/weight`);
  const bias = tf.mul(weight<tf.Tensor1D>(weights, `${layer}/bias`), gain);
  return tf.add(tf.mul(tf.matMul(x, kernel), runtimeScale(kernel) * gain), bias);
}

/** Discriminator: images [N, R, R, channels] in [-1, 1] -> raw scores [N, 1]. N a multiple of min(4, N). */
export function discriminator(weights: Weights, shape: NetworkShape, images: tf.Tensor4D): tf.Tensor2D {
  let x = convLayer(weights, `b${shape.resolution}/fromRgb`, { x: images, down: false });
  for (const resolution of blockResolutions(shape).reverse())
    if (resolution > 4) x = discriminatorBlock(weights, `b${resolution}`, x);
  x = convLayer(weights, 'b4/conv', { x: minibatchStddev(x), down: false }); // [N, 4, 4, C]
  const flat = tf.reshape<tf.Rank.R2>(x, [x.shape[0], -1]);
  return dense(weights, 'b4/output', leakyRelu(dense(weights, 'b4/dense', flat, reluGain)), 1);
}
