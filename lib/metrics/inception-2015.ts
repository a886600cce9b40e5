import type { Layers } from '../classifier/layers.ts';
import { maxWeightFileBytes, planLayers, type NetworkPlan } from '../classifier/shape-layers.ts';

/**
 * The network of FID: Inception-v3 (Szegedy et al. 2016, "Rethinking the Inception Architecture for Computer Vision",
 * figures 5 to 7) as the frozen graph of 2015-12-05 has it (evaluation.md 2.1), up to the pooled features. It differs from
 * the networks of that name in Keras and torchvision in its weights, and in the pooling branch of the last block, which takes
 * the maximum where the others take the mean. Average pooling leaves the padding out.
 *
 * Layers are named after the blocks of the graph; shapes in comments are of the one input size, 299 px.
 */

/** Side of the network's input, px; images of any size are resized to it inside the metric. */
export const inceptionSide = 299;

interface ConvOptions {
  readonly stride?: 1 | 2;
  readonly padding?: 'same' | 'valid';
}
type Kernel = readonly [height: number, width: number];
type Conv<T> = (x: T, layer: string, filters: number, kernel: Kernel, options?: ConvOptions) => T;

/** Convolution without bias, batch normalisation without gamma (epsilon 1e-3), ReLU. */
const convolutionOf =
  <T>(layers: Layers<T>): Conv<T> =>
  (x, layer, filters, kernel, { stride = 1, padding = 'same' } = {}) =>
    layers.batchNormRelu(layers.conv2d(x, { layer, filters, kernel, stride, padding, bias: false }), `${layer}_bn`);

/** [N, 299, 299, 3] -> [N, 35, 35, 192]. */
function stem<T>(layers: Layers<T>, conv: Conv<T>, images: T): T {
  let x = conv(images, 'conv1a', 32, [3, 3], { stride: 2, padding: 'valid' }); // [N, 149, 149, 32]
  x = conv(x, 'conv2a', 32, [3, 3], { padding: 'valid' });
  x = conv(x, 'conv2b', 64, [3, 3]);
  x = layers.maxPool(x, { stride: 2 }); // [N, 73, 73, 64]
  x = conv(x, 'conv3b', 80, [1, 1], { padding: 'valid' });
  x = conv(x, 'conv4a', 192, [3, 3], { padding: 'valid' }); // [N, 71, 71, 192]
  return layers.maxPool(x, { stride: 2 });
}

/** [N, 35, 35, C] -> [N, 35, 35, 224 + pool]. */
function mixed35<T>(layers: Layers<T>, conv: Conv<T>, x: T, { name, pool }: { name: string; pool: number }): T {
  const one = conv(x, `${name}/1x1`, 64, [1, 1]);
  const five = conv(conv(x, `${name}/5x5_1`, 48, [1, 1]), `${name}/5x5_2`, 64, [5, 5]);
  let double = conv(x, `${name}/double_1`, 64, [1, 1]);
  double = conv(double, `${name}/double_2`, 96, [3, 3]);
  double = conv(double, `${name}/double_3`, 96, [3, 3]);
  const pooled = conv(layers.avgPool(x), `${name}/pool`, pool, [1, 1]);
  return layers.concat([one, five, double, pooled]);
}

/** [N, 35, 35, 288] -> [N, 17, 17, 768]. */
function reduce17<T>(layers: Layers<T>, conv: Conv<T>, x: T): T {
  const down = { stride: 2, padding: 'valid' } as const;
  const three = conv(x, 'mixed3/3x3', 384, [3, 3], down);
  let double = conv(x, 'mixed3/double_1', 64, [1, 1]);
  double = conv(double, 'mixed3/double_2', 96, [3, 3]);
  double = conv(double, 'mixed3/double_3', 96, [3, 3], down);
  return layers.concat([three, double, layers.maxPool(x, { stride: 2 })]);
}

/** [N, 17, 17, 768] to itself; `inner` filters inside the factorised 7x7 convolutions. */
function mixed17<T>(layers: Layers<T>, conv: Conv<T>, x: T, { name, inner }: { name: string; inner: number }): T {
  const one = conv(x, `${name}/1x1`, 192, [1, 1]);
  let seven = conv(x, `${name}/7x7_1`, inner, [1, 1]);
  seven = conv(seven, `${name}/7x7_2`, inner, [1, 7]);
  seven = conv(seven, `${name}/7x7_3`, 192, [7, 1]);
  let double = conv(x, `${name}/double_1`, inner, [1, 1]);
  double = conv(double, `${name}/double_2`, inner, [7, 1]);
  double = conv(double, `${name}/double_3`, inner, [1, 7]);
  double = conv(double, `${name}/double_4`, inner, [7, 1]);
  double = conv(double, `${name}/double_5`, 192, [1, 7]);
  const pooled = conv(layers.avgPool(x), `${name}/pool`, 192, [1, 1]);
  return layers.concat([one, seven, double, pooled]);
}

/** [N, 17, 17, 768] -> [N, 8, 8, 1280]. */
function reduce8<T>(layers: Layers<T>, conv: Conv<T>, x: T): T {
  const down = { stride: 2, padding: 'valid' } as const;
  const three = conv(conv(x, 'mixed8/3x3_1', 192, [1, 1]), 'mixed8/3x3_2', 320, [3, 3], down);
  let seven = conv(x, 'mixed8/7x7_1', 192, [1, 1]);
  seven = conv(seven, 'mixed8/7x7_2', 192, [1, 7]);
  seven = conv(seven, 'mixed8/7x7_3', 192, [7, 1]);
  seven = conv(seven, 'mixed8/7x7_4', 192, [3, 3], down);
  return layers.concat([three, seven, layers.maxPool(x, { stride: 2 })]);
}

/** [N, 8, 8, C] -> [N, 8, 8, 2048]. */
function mixed8<T>(layers: Layers<T>, conv: Conv<T>, x: T, { name, pool }: { name: string; pool: 'mean' | 'max' }): T {
  const split = (branch: T, layer: string): T =>
    layers.concat([conv(branch, `${layer}a`, 384, [1, 3]), conv(branch, `${layer}b`, 384, [3, 1])]);
  const one = conv(x, `${name}/1x1`, 320, [1, 1]);
  const three = split(conv(x, `${name}/3x3_1`, 384, [1, 1]), `${name}/3x3_2`);
  const double = conv(conv(x, `${name}/double_1`, 448, [1, 1]), `${name}/double_2`, 384, [3, 3]);
  const pooled = pool === 'mean' ? layers.avgPool(x) : layers.maxPool(x, { stride: 1 });
  return layers.concat([one, three, split(double, `${name}/double_3`), conv(pooled, `${name}/pool`, 192, [1, 1])]);
}

/** Images [N, 299, 299, 3], scaled as (x - 128) / 128 -> pooled features [N, 2048]. */
export function inceptionFeatures<T>(layers: Layers<T>, images: T): T {
  const conv = convolutionOf(layers);
  let x = stem(layers, conv, images);
  x = mixed35(layers, conv, x, { name: 'mixed0', pool: 32 });
  x = mixed35(layers, conv, x, { name: 'mixed1', pool: 64 });
  x = mixed35(layers, conv, x, { name: 'mixed2', pool: 64 });
  x = reduce17(layers, conv, x);
  x = mixed17(layers, conv, x, { name: 'mixed4', inner: 128 });
  x = mixed17(layers, conv, x, { name: 'mixed5', inner: 160 });
  x = mixed17(layers, conv, x, { name: 'mixed6', inner: 160 });
  x = mixed17(layers, conv, x, { name: 'mixed7', inner: 192 });
  x = reduce8(layers, conv, x);
  x = mixed8(layers, conv, x, { name: 'mixed9', pool: 'mean' });
  x = mixed8(layers, conv, x, { name: 'mixed10', pool: 'max' });
  return layers.globalAveragePool(x);
}

/** Its 94 convolutions with their normalisations: 21,802,784 parameters. Allocates nothing. */
export const planInception = (): NetworkPlan =>
  planLayers((layers) => inceptionFeatures(layers, [inceptionSide, inceptionSide, 3]));

/** Bytes that a file of its weights may have. */
export const inceptionMaxBytes = (): number => maxWeightFileBytes(planInception());
