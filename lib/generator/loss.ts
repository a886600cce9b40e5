import { tf } from '../engine/tf.ts';
import { softplus } from '../engine/ops.ts';
import { randomNormal } from '../engine/random-ops.ts';
import type { Augment } from './augment.ts';
import { noiseSizes, styleCount, type NetworkShape } from './architecture.ts';
import { discriminator, mapping, synthesis, type Weights } from './network.ts';

/**
 * The four losses of StyleGAN2 as functions of weights and draws (Karras et al. 2020, section 3; stylegan2.md 3.1, 3.2).
 * Each returns the mean over its pass. All randomness comes in as tensors, so a minibatch may be cut into passes
 * without changing what is drawn.
 */

/** What one pass of G needs besides weights. */
export interface LatentDraws {
  /** [N, L] */
  readonly z: tf.Tensor2D;
  /** Second latent for style mixing, [N, L]. */
  readonly zMix: tf.Tensor2D;
  /** 1 where a layer takes the second style, [N, styleCount]. */
  readonly mix: tf.Tensor2D;
  /** N(0, 1), one [N, side, side, 1] per noise map. */
  readonly noise: readonly tf.Tensor4D[];
  /** Classes of the images, one-hot [N, labels]; of conditional networks only. */
  readonly labels?: tf.Tensor2D;
}

/** Number of stream within one pass, see `randomNormal`. */
const stream = { z: 0, zMix: 1, pathNoise: 2, noise: 16 } as const;

/** Draws a pass of `count` images from a seed tensor (int32 [2]); `mix` is decided outside, by `mixingMask`. */
export function drawLatents(
  shape: NetworkShape,
  options: {
    readonly count: number;
    readonly seed: tf.Tensor1D;
    readonly mix: tf.Tensor2D;
    readonly labels?: tf.Tensor2D | undefined;
  },
): LatentDraws {
  const { count, seed, mix, labels } = options;
  const normal = <R extends tf.Rank>(dims: tf.ShapeMap[R], index: number): tf.Tensor<R> =>
    randomNormal(dims, seed, index) as tf.Tensor<R>; // of the shape asked for
  return {
    z: normal<tf.Rank.R2>([count, shape.latentSize], stream.z),
    zMix: normal<tf.Rank.R2>([count, shape.latentSize], stream.zMix),
    mix,
    ...(labels && { labels }),
    noise: noiseSizes(shape).map((side, i) => normal<tf.Rank.R4>([count, side, side, 1], stream.noise + i)),
  };
}

/** N(0, 1) / sqrt(H W) in the shape of images: y of the path length. */
export function drawPathNoise(
  shape: NetworkShape,
  options: { readonly count: number; readonly seed: tf.Tensor1D },
): tf.Tensor4D {
  const { resolution, channels } = shape;
  const normal = randomNormal([options.count, resolution, resolution, channels], options.seed, stream.pathNoise);
  return tf.div<tf.Tensor4D>(normal, resolution);
}

/** w [N, L] of the first latent and the mixed style of each layer, `styleCount` times [N, L]. */
export function trainingStyles(
  g: Weights,
  shape: NetworkShape,
  draws: LatentDraws,
): { readonly w: tf.Tensor2D; readonly ws: tf.Tensor2D[] } {
  const { z, zMix, labels } = draws;
  // Both latents in one pass: its matrices are read once.
  const twice = labels && tf.concat([labels, labels]);
  const [w, second] = tf.split<tf.Tensor2D>(mapping(g, shape, tf.concat([z, zMix]), twice), 2) as [
    tf.Tensor2D,
    tf.Tensor2D,
  ]; // halves
  const towardsSecond = tf.sub(second, w);
  const masks = tf.split<tf.Tensor2D>(draws.mix, styleCount(shape), 1); // [N, 1] each
  return { w, ws: masks.map((mask) => tf.add(w, tf.mul(towardsSecond, mask))) };
}

/** Moving average of w: mean(w) + beta (wAvg - mean(w)), [L]. */
export function movedAverageW(wAvg: tf.Tensor1D, w: tf.Tensor2D, beta: number): tf.Tensor1D {
  const mean = tf.mean<tf.Tensor1D>(w, 0);
  return tf.add(mean, tf.mul(tf.sub(wAvg, mean), beta));
}

/** D sees the images themselves. */
const unchanged: Augment = (images) => images;

/** G: softplus(-D(G(z))), non-saturating logistic; `augment` stands between the networks. */
export function gLogisticNonSaturating(
  networks: { readonly g: Weights; readonly d: Weights; readonly shape: NetworkShape },
  draws: LatentDraws,
  augment: Augment = unchanged,
): { readonly loss: tf.Scalar; readonly w: tf.Tensor2D } {
  const { g, d, shape } = networks;
  const { w, ws } = trainingStyles(g, shape, draws);
  const scores = discriminator(d, shape, augment(synthesis(g, shape, { ws, noise: draws.noise })), draws.labels);
  return { loss: tf.mean<tf.Scalar>(softplus(tf.neg(scores))), w };
}

/** As many reals as fakes, [N, R, R, channels], with their classes where the networks are conditional. */
interface Judged {
  readonly reals: tf.Tensor4D;
  readonly fakes: tf.Tensor4D;
  readonly realLabels?: tf.Tensor2D;
  readonly fakeLabels?: tf.Tensor2D;
}

/** [N, ...] and [N, ...] -> [2N, ...]: a0, b0, a1, b1, ... */
function interleave<T extends tf.Tensor>(a: T, b: T): T {
  return tf.reshape(tf.stack([a, b], 1), [-1, ...a.shape.slice(1)]) as T; // the rank of both
}

/**
 * Scores of reals and fakes, [N, 1] each, in one pass where that changes nothing: with real i beside fake i, image j belongs to
 * stddev group j mod (2N / 4), so that a group holds only reals or only fakes, the same ones as in two passes.
 */
function scoreBoth(
  { d, shape }: { readonly d: Weights; readonly shape: NetworkShape },
  { reals, fakes, realLabels, fakeLabels }: Judged,
): { readonly real: tf.Tensor2D; readonly fake: tf.Tensor2D } {
  const [images] = reals.shape;
  if (images % 4 !== 0)
    return { real: discriminator(d, shape, reals, realLabels), fake: discriminator(d, shape, fakes, fakeLabels) };
  const labels = realLabels && fakeLabels && interleave(realLabels, fakeLabels);
  const scores = tf.reshape(discriminator(d, shape, interleave(reals, fakes), labels), [images, 2]);
  const [real, fake] = tf.split<tf.Tensor2D>(scores, 2, 1) as [tf.Tensor2D, tf.Tensor2D]; // columns
  return { real, fake };
}

/** D: softplus(D(fake)) + softplus(-D(real)), of images as D sees them. Also r_t, the mean sign of D(real). */
export function dLogistic(
  networks: { readonly d: Weights; readonly shape: NetworkShape },
  images: Judged,
): Readonly<Record<'loss' | 'scoresReal' | 'scoresFake' | 'rt', tf.Scalar>> {
  const { real, fake } = scoreBoth(networks, images);
  const loss = tf.add<tf.Scalar>(tf.mean<tf.Scalar>(softplus(fake)), tf.mean<tf.Scalar>(softplus(tf.neg(real))));
  const rt = tf.mean<tf.Scalar>(tf.sign(real));
  return { loss, scoresReal: tf.mean<tf.Scalar>(real), scoresFake: tf.mean<tf.Scalar>(fake), rt };
}

/**
 * R1: gamma / 2 times the squared norm of d sum(D(augment(real))) / d real, per image; mean over the pass. The slope is that
 * in the reals themselves, through the augmentation (stylegan2.md 3.5).
 */
export function dR1(
  networks: { readonly d: Weights; readonly shape: NetworkShape },
  options: {
    readonly reals: tf.Tensor4D;
    readonly labels?: tf.Tensor2D;
    readonly gamma: number;
    readonly augment?: Augment;
  },
): tf.Scalar {
  const { d, shape } = networks;
  const { reals, labels, gamma, augment = unchanged } = options;
  const score = (images: tf.Tensor): tf.Scalar =>
    tf.sum(discriminator(d, shape, augment(images as tf.Tensor4D), labels)); // reals again
  return tf.mul<tf.Scalar>(tf.mean(tf.sum(tf.square(tf.grad(score)(reals)), [1, 2, 3])), gamma / 2);
}

/**
 * Path length: weight times (l - a)^2 with l = sqrt(mean over layers of |d sum(G(w) y) / dw|^2) per image and a the moving
 * mean, already moved by this pass and not detached.
 */
export function gPathLength(
  networks: { readonly g: Weights; readonly shape: NetworkShape },
  options: {
    readonly draws: LatentDraws;
    /** y [N, R, R, channels] */
    readonly pathNoise: tf.Tensor4D;
    readonly plMean: tf.Scalar;
    readonly decay: number;
    readonly plWeight: number;
  },
): { readonly penalty: tf.Scalar; readonly plMean: tf.Scalar; readonly length: tf.Scalar; readonly w: tf.Tensor2D } {
  const { g, shape } = networks;
  const { draws, pathNoise, decay } = options;
  const { w, ws } = trainingStyles(g, shape, draws);
  const project = (...styles: tf.Tensor[]): tf.Scalar => {
    const images = synthesis(g, shape, { ws: styles as tf.Tensor2D[], noise: draws.noise }); // the styles passed below
    return tf.sum<tf.Scalar>(tf.mul(images, pathNoise));
  };
  const jacobian = tf.grads(project)(ws); // per layer [N, L]
  const squares = jacobian.map((j) => tf.sum<tf.Tensor1D>(tf.square(j), 1));
  const lengths = tf.sqrt(tf.div(tf.addN(squares), styleCount(shape))); // [N]
  const length = tf.mean<tf.Scalar>(lengths);
  const plMean = tf.add<tf.Scalar>(options.plMean, tf.mul(tf.sub(length, options.plMean), decay));
  const penalty = tf.mul<tf.Scalar>(tf.mean(tf.square(tf.sub(lengths, plMean))), options.plWeight);
  return { penalty, plMean, length, w };
}
