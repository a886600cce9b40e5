import { gatherRows } from '../engine/ops.ts';
import { randomUniform } from '../engine/random-ops.ts';
import { tf } from '../engine/tf.ts';

/**
 * Differentiable augmentation (Zhao et al. 2020, "Differentiable augmentation for data-efficient GAN training"): colour,
 * translation and cutout befall every image, reals and fakes alike, without a probability to adapt.
 */

export type DiffAugmentChange = 'color' | 'translation' | 'cutout';

/** Share of the side by which an image moves at most, and side of the square cut out. */
const translation = 1 / 8;
const cutout = 1 / 2;

/** What befalls the images of one pass, [N] each; null where the policy leaves it out. */
export interface DiffAugmentDraws {
  /** `brightness` is added; the factors spread the channels about the mean of a pixel, and pixels about the mean of the image. */
  readonly color: {
    readonly brightness: tf.Tensor1D;
    readonly saturation: tf.Tensor1D;
    readonly contrast: tf.Tensor1D;
  } | null;
  /** Whole px to the right and down; zeros come in. */
  readonly translation: { readonly x: tf.Tensor1D; readonly y: tf.Tensor1D } | null;
  /** First px of the square of half the side, from minus a quarter of the side on: it may stick out. */
  readonly cutout: { readonly left: tf.Tensor1D; readonly top: tf.Tensor1D } | null;
}

/** Draws what befalls `images` images; a function of seed and first stream, of which it uses seven. */
export function drawDiffAugment(options: {
  readonly policy: readonly DiffAugmentChange[];
  readonly images: number;
  readonly resolution: number;
  /** int32 [2] */
  readonly seed: tf.Tensor1D;
  readonly firstStream: number;
}): DiffAugmentDraws {
  const { policy, images, resolution, seed, firstStream } = options;
  const uniform = (at: number): tf.Tensor1D => randomUniform([images], seed, firstStream + at) as tf.Tensor1D; // as asked
  const whole = (at: number, from: number, to: number): tf.Tensor1D =>
    tf.add<tf.Tensor1D>(tf.floor(tf.mul(uniform(at), to - from + 1)), from);
  const reach = Math.floor(resolution * translation + 0.5);
  const size = Math.floor(resolution * cutout + 0.5);
  const firstCut = -Math.floor(size / 2);
  const lastCut = firstCut + resolution - (size % 2 === 0 ? 0 : 1);
  return {
    color: policy.includes('color')
      ? {
          brightness: tf.sub(uniform(0), 0.5),
          saturation: tf.mul(uniform(1), 2),
          contrast: tf.add(uniform(2), 0.5),
        }
      : null,
    translation: policy.includes('translation') ? { x: whole(3, -reach, reach), y: whole(4, -reach, reach) } : null,
    cutout: policy.includes('cutout') ? { left: whole(5, firstCut, lastCut), top: whole(6, firstCut, lastCut) } : null,
  };
}

/** [N] -> [N, 1, 1, 1] */
const perImage = (x: tf.Tensor1D): tf.Tensor4D => tf.reshape(x, [x.shape[0], 1, 1, 1]);

/** Value plus (factor - 1) times the distance from `mean`. */
function spread(x: tf.Tensor4D, mean: tf.Tensor, factor: tf.Tensor1D): tf.Tensor4D {
  return tf.add(tf.mul(tf.sub(x, mean), perImage(factor)), mean);
}

function recoloured(images: tf.Tensor4D, color: NonNullable<DiffAugmentDraws['color']>): tf.Tensor4D {
  const brighter = tf.add<tf.Tensor4D>(images, perImage(color.brightness));
  // A grey pixel is its own mean.
  const saturated = images.shape[3] === 1 ? brighter : spread(brighter, tf.mean(brighter, 3, true), color.saturation);
  return spread(saturated, tf.mean(saturated, [1, 2, 3], true), color.contrast);
}

/** 1 where the place is from `first` to before `end`, otherwise 0. */
const within = (place: tf.Tensor, first: tf.Tensor | number, end: tf.Tensor | number): tf.Tensor =>
  tf.cast(tf.logicalAnd(tf.greaterEqual(place, first), tf.less(place, end)), 'float32');

function moved(images: tf.Tensor4D, { x, y }: NonNullable<DiffAugmentDraws['translation']>): tf.Tensor4D {
  const [n, side, , c] = images.shape;
  const column = (shift: tf.Tensor1D): tf.Tensor2D =>
    tf.sub<tf.Tensor2D>(tf.reshape(tf.range(0, side), [1, side]), tf.reshape(shift, [n, 1])); // [N, R], where from
  const [fromX, fromY] = [column(x), column(y)];
  const last = side - 1;
  const integer = (place: tf.Tensor): tf.Tensor => tf.cast(tf.clipByValue(place, 0, last), 'int32');
  const times = (place: tf.Tensor, factor: number): tf.Tensor => tf.mul(place, tf.scalar(factor, 'int32'));
  const firstRows = times(tf.reshape(tf.range(0, n, 1, 'int32'), [n, 1, 1]), side * side);
  const rowNumbers = tf.add(firstRows, times(tf.reshape(integer(fromY), [n, side, 1]), side));
  const numbers = tf.add(rowNumbers, tf.reshape(integer(fromX), [n, 1, side])); // [N, R, R]
  const taken = gatherRows(tf.reshape(images, [n * side * side, c]), tf.reshape(numbers, [n * side * side]));
  const inside = tf.mul(
    tf.reshape(within(fromY, 0, side), [n, side, 1, 1]),
    tf.reshape(within(fromX, 0, side), [n, 1, side, 1]),
  );
  return tf.mul(tf.reshape(taken, images.shape), inside);
}

function cutOut(images: tf.Tensor4D, { left, top }: NonNullable<DiffAugmentDraws['cutout']>): tf.Tensor4D {
  const [n, side] = images.shape;
  const size = Math.floor(side * cutout + 0.5);
  const covered = (first: tf.Tensor1D): tf.Tensor => {
    const start = tf.reshape(first, [n, 1]);
    return within(tf.reshape(tf.range(0, side), [1, side]), start, tf.add(start, size)); // [N, R]
  };
  const rows = tf.reshape(covered(top), [n, side, 1, 1]);
  const columns = tf.reshape(covered(left), [n, 1, side, 1]);
  return tf.mul(images, tf.sub(1, tf.mul(rows, columns)));
}

/** The images after colour, translation and cutout, in this order; [N, R, R, C]. */
export function applyDiffAugment(images: tf.Tensor4D, draws: DiffAugmentDraws): tf.Tensor4D {
  const shaded = draws.color === null ? images : recoloured(images, draws.color);
  const shifted = draws.translation === null ? shaded : moved(shaded, draws.translation);
  return draws.cutout === null ? shifted : cutOut(shifted, draws.cutout);
}
