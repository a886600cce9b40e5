import { classSides, type ClassSide, type PerClass } from '../../contract/manifests.ts';
import type { Study } from '../../contract/study.ts';
import { DatasetError } from '../errors.ts';
import type { RawImage } from '../image/raw-image.ts';
import { createRng, randomInt, shuffled } from '../random.ts';
import type { NetworkShape } from './architecture.ts';

/** What a training shows to D, and its draws that are decided in JavaScript. All keyed by (seed, stream, nimg). */

/** What has fewer images than one minibatch of its generator shows: a class, both of a conditional study, or nothing. */
export function findTooFew(
  counts: PerClass<number>,
  { batchSize, conditional = false }: Study['generator'],
): { readonly of: ClassSide | 'both'; readonly found: number } | null {
  const sets = conditional
    ? [{ of: 'both' as const, found: counts.negative + counts.positive }]
    : classSides.map((side) => ({ of: side, found: counts[side] }));
  return sets.find(({ found }) => found < batchSize) ?? null;
}

/**
 * Looks at a data set before anything is trained on it: classifiers come first and take hours.
 * @throws DatasetError when a class has fewer training images than one minibatch of its generator shows
 */
export function requireMinibatches(
  train: PerClass<number>,
  { classes, generator }: Pick<Study, 'classes' | 'generator'>,
): void {
  const tooFew = findTooFew(train, generator);
  if (tooFew === null) return;
  const name = tooFew.of === 'both' ? 'both classes' : `class "${classes[tooFew.of]}"`;
  throw new DatasetError(
    `the generator of ${name} expected at least the ${generator.batchSize} training images of one minibatch, found ${tooFew.found} after ` +
      'the split; import more images, lower generator.batchSize, or leave more to train on (split.test, split.validation)',
  );
}

/** @throws DatasetError when there are fewer images than one minibatch shows, or one has another size or channel count */
export function checkReals(images: readonly RawImage[], shape: NetworkShape, batchSize: number): void {
  if (images.length < batchSize)
    throw new DatasetError(
      `expected at least the ${batchSize} training images of one minibatch (generator.batchSize), found ${images.length}; import more images of the class, or lower generator.batchSize`,
    );
  const { resolution, channels } = shape;
  images.forEach((image, i) => {
    if (image.width !== resolution || image.height !== resolution || image.channels !== channels)
      throw new DatasetError(
        `training image ${i} is ${image.width} x ${image.height} x ${image.channels}, expected ${resolution} x ${resolution} x ${channels}; prepare the dataset again with this study's image settings`,
      );
  });
}

/** Writes one image as [H, W, C] in [-1, 1], flipped left to right on request. */
function writePixels(target: Float32Array, offset: number, options: { image: RawImage; mirror: boolean }): void {
  const { image, mirror } = options;
  const { width, height, channels, data } = image;
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      const from = (y * width + (mirror ? width - 1 - x : x)) * channels;
      const to = offset + (y * width + x) * channels;
      for (let c = 0; c < channels; c++) target[to + c] = (data[from + c] ?? 0) / 127.5 - 1;
    }
}

export interface RealBatches {
  /** Reals number `nimg` to `nimg + count - 1` of the training, [count, R, R, C] in [-1, 1]. */
  at(nimg: number, count: number): Float32Array;
  /** Their classes, one-hot [count, classes]; empty where there is one class. */
  labelsAt(nimg: number, count: number): Float32Array;
}

/** Classes of the images of a training by image, and how many there are. */
export interface Labels {
  readonly byImage: readonly number[];
  readonly classes: number;
}

/** @throws DatasetError when a class has no image */
export function labelsOf(entries: readonly { readonly side: ClassSide }[]): Labels {
  const byImage = entries.map(({ side }) => classSides.indexOf(side));
  for (const [label, side] of classSides.entries())
    if (!byImage.includes(label))
      throw new DatasetError(
        `a generator of both classes needs training images of each, got none of the ${side} class`,
      );
  return { byImage, classes: classSides.length };
}

/** Class numbers as one-hot rows, [labels, classes]. */
export function oneHot(labels: readonly number[], classes: number): Float32Array {
  const rows = new Float32Array(labels.length * classes);
  labels.forEach((label, i) => (rows[i * classes + label] = 1));
  return rows;
}

/**
 * Classes that the fakes of one minibatch are asked for, one-hot [count, classes]: each the class of a training image drawn at
 * random, so that D sees either class as often among fakes as among reals.
 */
export function drawnLabels(
  { byImage, classes }: Labels,
  options: { readonly count: number; readonly seed: number; readonly stream: string; readonly nimg: number },
): Float32Array {
  const rng = createRng(options.seed, options.stream, options.nimg);
  const drawn = Array.from({ length: options.count }, () => byImage[randomInt(rng, byImage.length)] ?? 0);
  return oneHot(drawn, classes);
}

/** Each epoch shows every image once, in an order of its own; each showing is mirrored with probability 0.5 if asked. */
export function createRealBatches(options: {
  readonly images: readonly RawImage[];
  readonly seed: number;
  readonly stream: string;
  readonly mirror: boolean;
  /** Null where there is one class. */
  readonly labels: Labels | null;
}): RealBatches {
  const { images, seed, stream, labels } = options;
  const indices = images.map((_, i) => i);
  let cached: { epoch: number; order: readonly number[] } | null = null;
  const indexAt = (position: number): number => {
    const epoch = Math.floor(position / images.length);
    if (cached?.epoch !== epoch) cached = { epoch, order: shuffled(indices, createRng(seed, `${stream}/data`, epoch)) };
    return cached.order[position % images.length] ?? -1;
  };
  const imageAt = (position: number): RawImage => {
    const image = images[indexAt(position)];
    if (image === undefined) throw new RangeError(`no training image at position ${position}`);
    return image;
  };
  return {
    at(nimg, count) {
      const first = imageAt(nimg);
      const size = first.width * first.height * first.channels;
      const batch = new Float32Array(count * size);
      const flips = createRng(seed, `${stream}/mirror`, nimg);
      for (let i = 0; i < count; i++) {
        const mirror = options.mirror && flips() < 0.5;
        writePixels(batch, i * size, { image: imageAt(nimg + i), mirror });
      }
      return batch;
    },
    labelsAt(nimg, count) {
      if (labels === null) return new Float32Array(0);
      const shown = Array.from({ length: count }, (_, i) => labels.byImage[indexAt(nimg + i)] ?? 0);
      return oneHot(shown, labels.classes);
    },
  };
}

/**
 * Style mixing of one pass, [images, styleCount]: 1 where a layer takes the second style. One cutoff, uniform from 1 to
 * styleCount - 1, per group of images; with probability 1 - mixingProb a group keeps its first style throughout.
 */
export function mixingMask(options: {
  readonly images: number;
  readonly groupSize: number;
  readonly styleCount: number;
  readonly mixingProb: number;
  readonly seed: number;
  readonly stream: string;
  readonly nimg: number;
}): Float32Array {
  const { images, groupSize, styleCount, mixingProb } = options;
  const rng = createRng(options.seed, options.stream, options.nimg);
  const mask = new Float32Array(images * styleCount);
  for (let first = 0; first < images; first += groupSize) {
    const mixes = rng() < mixingProb;
    const cutoff = mixes ? 1 + randomInt(rng, styleCount - 1) : styleCount;
    for (let i = first; i < Math.min(first + groupSize, images); i++)
      mask.fill(1, i * styleCount + cutoff, (i + 1) * styleCount);
  }
  return mask;
}
