import type { Layers } from './layers.ts';

/**
 * InceptionResNetV2 (Szegedy et al. 2017, "Inception-v4, Inception-ResNet and the Impact of Residual Connections on
 * Learning") as Keras defines it (evaluation.md 1.1-1.2), NHWC, with the study's head. Layers carry Keras' names: unnamed
 * convolutions and normalisations are counted in the order of creation (`conv2d_1`, `batch_normalization_1`, ...).
 *
 * Shapes in comments are those of width 1 at 299 px.
 */

export interface Architecture {
  /** Multiplier on every filter count of the trunk; 1 is the published network. */
  readonly width: number;
  /** Repeats of block35, block17 and of block8 with activation; one block8 without activation always follows. */
  readonly blocks: readonly [number, number, number];
  /** ReLU units between pooling and softmax; 0 for none. */
  readonly headUnits: number;
  readonly classes: number;
}

/** Fewest filters of any convolution, whatever the width: below this, normalised ReLU maps carry next to nothing. */
export const minFilters = 4;

/** Filters of a convolution that has `published` of them at width 1. */
export function scaleFilters(published: number, width: number): number {
  return Math.max(minFilters, Math.round(published * width));
}

/** Name of the last residual block, which has no activation: `block8_10` in the published network. */
export function lastBlock(architecture: Pick<Architecture, 'blocks'>): string {
  return `block8_${architecture.blocks[2] + 1}`;
}

/** Layers after pooling over pixels; everything else is the trunk. */
export const headLayers: readonly string[] = ['dense_1', 'predictions'];

/**
 * Where the network is cut in two while all below stays frozen: after pooling over pixels, or inside of the last residual block,
 * before its projection. What is below makes features of an image; what is above makes logits of these.
 */
export type Cut = 'pooled' | 'lastMixed';

/** Layers above a cut: the head, and with `lastMixed` the others that the reference recipe trains (evaluation.md 1.6). */
export function layersAbove(cut: Cut, architecture: Pick<Architecture, 'blocks'>): readonly string[] {
  if (cut === 'pooled') return headLayers;
  return [`${lastBlock(architecture)}_conv`, 'conv_7b', 'conv_7b_bn', ...headLayers];
}

interface ConvOptions {
  readonly stride?: 1 | 2;
  readonly padding?: 'same' | 'valid';
}
type Kernel = number | readonly [number, number];

interface Blocks<T> {
  /** Convolution without bias, batch normalisation, ReLU; named by creation number, or `name` and `<name>_bn`. */
  readonly convBn: (x: T, filters: number, kernel: Kernel, options?: ConvOptions & { readonly name?: string }) => T;
  /** Along channels. */
  readonly concat: (branches: readonly T[]) => T;
  /** The concatenated branches `mixed`, projected by a 1x1 convolution with bias to the width of x: x + scale * up. */
  readonly residual: (
    x: T,
    mixed: T,
    options: { readonly name: string; readonly scale: number; readonly relu?: boolean },
  ) => T;
}

function createBlocks<T>(layers: Layers<T>, width: number): Blocks<T> {
  let created = 0;
  return {
    convBn(x, published, kernel, { stride = 1, padding = 'same', name } = {}) {
      if (name === undefined) created += 1;
      const y = layers.conv2d(x, {
        layer: name ?? `conv2d_${created}`,
        filters: scaleFilters(published, width),
        kernel: typeof kernel === 'number' ? [kernel, kernel] : kernel,
        stride,
        padding,
        bias: false,
      });
      return layers.batchNormRelu(y, name === undefined ? `batch_normalization_${created}` : `${name}_bn`);
    },
    concat: (branches) => layers.concat(branches),
    residual(x, mixed, { name, scale, relu = true }) {
      const filters = layers.channels(x);
      const layer = `${name}_conv`;
      const up = layers.conv2d(mixed, { layer, filters, kernel: [1, 1], stride: 1, padding: 'same', bias: true });
      return layers.residual(x, up, { scale, relu });
    },
  };
}

/** [N, 299, 299, 3] -> [N, 35, 35, 192]. */
function stem<T>(layers: Layers<T>, { convBn }: Blocks<T>, images: T): T {
  let x = convBn(images, 32, 3, { stride: 2, padding: 'valid' }); // [N, 149, 149, 32]
  x = convBn(x, 32, 3, { padding: 'valid' }); // [N, 147, 147, 32]
  x = convBn(x, 64, 3);
  x = layers.maxPool(x, { stride: 2 }); // [N, 73, 73, 64]
  x = convBn(x, 80, 1, { padding: 'valid' });
  x = convBn(x, 192, 3, { padding: 'valid' }); // [N, 71, 71, 192]
  return layers.maxPool(x, { stride: 2 }); // [N, 35, 35, 192]
}

/** [N, 35, 35, 192] -> [N, 35, 35, 320]. */
function mixed5b<T>(layers: Layers<T>, { convBn }: Blocks<T>, x: T): T {
  const branch0 = convBn(x, 96, 1);
  const branch1 = convBn(convBn(x, 48, 1), 64, 5);
  const branch2 = convBn(convBn(convBn(x, 64, 1), 96, 3), 96, 3);
  const pool = convBn(layers.avgPool(x), 64, 1);
  return layers.concat([branch0, branch1, branch2, pool]);
}

/** Inception-ResNet-A: [N, 35, 35, 320] to itself. */
function block35<T>({ convBn, concat, residual }: Blocks<T>, x: T, index: number): T {
  const branch0 = convBn(x, 32, 1);
  const branch1 = convBn(convBn(x, 32, 1), 32, 3);
  const branch2 = convBn(convBn(convBn(x, 32, 1), 48, 3), 64, 3);
  return residual(x, concat([branch0, branch1, branch2]), { name: `block35_${index}`, scale: 0.17 });
}

/** Reduction-A: [N, 35, 35, 320] -> [N, 17, 17, 1088]. */
function mixed6a<T>(layers: Layers<T>, { convBn }: Blocks<T>, x: T): T {
  const branch0 = convBn(x, 384, 3, { stride: 2, padding: 'valid' });
  const branch1 = convBn(convBn(convBn(x, 256, 1), 256, 3), 384, 3, { stride: 2, padding: 'valid' });
  return layers.concat([branch0, branch1, layers.maxPool(x, { stride: 2 })]);
}

/** Inception-ResNet-B: [N, 17, 17, 1088] to itself. */
function block17<T>({ convBn, concat, residual }: Blocks<T>, x: T, index: number): T {
  const branch0 = convBn(x, 192, 1);
  const branch1 = convBn(convBn(convBn(x, 128, 1), 160, [1, 7]), 192, [7, 1]);
  return residual(x, concat([branch0, branch1]), { name: `block17_${index}`, scale: 0.1 });
}

/** Reduction-B: [N, 17, 17, 1088] -> [N, 8, 8, 2080]. */
function mixed7a<T>(layers: Layers<T>, { convBn }: Blocks<T>, x: T): T {
  const down = { stride: 2, padding: 'valid' } as const;
  const branch0 = convBn(convBn(x, 256, 1), 384, 3, down);
  const branch1 = convBn(convBn(x, 256, 1), 288, 3, down);
  const branch2 = convBn(convBn(convBn(x, 256, 1), 288, 3), 320, 3, down);
  return layers.concat([branch0, branch1, branch2, layers.maxPool(x, { stride: 2 })]);
}

/** The branches of Inception-ResNet-C: [N, 8, 8, 2080] -> [N, 8, 8, 448]. */
function mixed8<T>({ convBn, concat }: Blocks<T>, x: T): T {
  const branch0 = convBn(x, 192, 1);
  const branch1 = convBn(convBn(convBn(x, 192, 1), 224, [1, 3]), 256, [3, 1]);
  return concat([branch0, branch1]);
}

/** Inside of the last residual block: what its projection starts from. */
export interface LastMixed<T> {
  /** Concatenated branches, `block8_10_mixed` in the published network: [N, 8, 8, 448]. */
  readonly mixed: T;
  /** What the projected branches are added to: [N, 8, 8, 2080]. */
  readonly input: T;
}

/** Convolutions up to the projection of the last residual block; scaled images [N, S, S, 3], S at least 75. */
export function lastMixed<T>(layers: Layers<T>, architecture: Architecture, images: T): LastMixed<T> {
  const [repeats35, repeats17, repeats8] = architecture.blocks;
  const blocks = createBlocks(layers, architecture.width);
  let x = stem(layers, blocks, images); // [N, 35, 35, 192]
  x = mixed5b(layers, blocks, x); // [N, 35, 35, 320]
  for (let i = 1; i <= repeats35; i++) x = block35(blocks, x, i);
  x = mixed6a(layers, blocks, x); // [N, 17, 17, 1088]
  for (let i = 1; i <= repeats17; i++) x = block17(blocks, x, i);
  x = mixed7a(layers, blocks, x); // [N, 8, 8, 2080]
  for (let i = 1; i <= repeats8; i++) x = blocks.residual(x, mixed8(blocks, x), { name: `block8_${i}`, scale: 0.2 }); // Inception-ResNet-C
  return { mixed: mixed8(blocks, x), input: x };
}

/** The other convolutions, which have names and so count no further: -> maps of `conv_7b_ac` [N, 8, 8, 1536]. */
export function lastMaps<T>(layers: Layers<T>, architecture: Architecture, { mixed, input }: LastMixed<T>): T {
  const { convBn, residual } = createBlocks(layers, architecture.width);
  const x = residual(input, mixed, { name: lastBlock(architecture), scale: 1, relu: false }); // [N, 8, 8, 2080]
  return convBn(x, 1536, 1, { name: 'conv_7b' });
}

/** All of them: scaled images -> maps of `conv_7b_ac` [N, 8, 8, 1536]. */
export function convolutions<T>(layers: Layers<T>, architecture: Architecture, images: T): T {
  return lastMaps(layers, architecture, lastMixed(layers, architecture, images));
}

/** Trunk: scaled images -> features [N, 1536], the mean over pixels of the maps. */
export function trunk<T>(layers: Layers<T>, architecture: Architecture, images: T): T {
  return layers.globalAveragePool(convolutions(layers, architecture, images));
}

/** Head: features [N, 1536] -> logits [N, classes]. */
export function head<T>(layers: Layers<T>, architecture: Architecture, features: T): T {
  let x = features;
  if (architecture.headUnits > 0) x = layers.dense(x, { layer: 'dense_1', units: architecture.headUnits, relu: true }); // [N, headUnits]
  x = layers.dropout(x);
  return layers.dense(x, { layer: 'predictions', units: architecture.classes, relu: false });
}
