import { createHash } from 'node:crypto';
import type { LocalShard, TrainClassifierTask } from '../../contract/engine.ts';
import { classSides, type PerClass } from '../../contract/manifests.ts';
import { loadShardImages } from '../dataset/shard.ts';
import { DatasetError } from '../errors.ts';
import { isBlank, type RawImage } from '../image/raw-image.ts';
import { resizeBilinear } from '../image/resize.ts';
import type { ImageSet } from './batches.ts';

/** Images of a training in memory: one byte per pixel and channel, at the size of the network's input. */

export interface LabelledSet extends ImageSet {
  readonly counts: PerClass<number>;
  /** Hash of the images' hashes in order: which images these are. */
  readonly sha256: string;
}

/** The one resize rule for real, synthetic and test images. Throws DatasetError when the channels differ. */
export function toInput(
  image: RawImage,
  options: { readonly inputSize: number; readonly channels: 1 | 3 },
): Uint8Array {
  const { inputSize, channels } = options;
  if (image.channels !== channels)
    throw new DatasetError(
      `the classifier expects images of ${channels} channels, got ${image.channels}; prepare the dataset with image.channels ${channels}`,
    );
  if (image.width === inputSize && image.height === inputSize) return image.data;
  return resizeBilinear(image, { width: inputSize, height: inputSize }).data;
}

/** Images per class without which there is nothing to learn, or to validate by. */
const leastImages = { training: 2, validation: 1 } as const;

/** Reads both classes, negative first. Throws DatasetError for what no training can make sense of. */
async function loadSet(
  shards: PerClass<readonly LocalShard[]>,
  task: Pick<TrainClassifierTask, 'inputSize' | 'channels'>,
  split: keyof typeof leastImages,
): Promise<LabelledSet> {
  const images: Uint8Array[] = [];
  const labels: (0 | 1)[] = [];
  const counts = { negative: 0, positive: 0 };
  const hash = createHash('sha256');
  for (const side of classSides) {
    const loaded = await loadShardImages(shards[side]);
    const { length } = loaded.images;
    if (length < leastImages[split])
      throw new DatasetError(
        `the classifier needs at least ${leastImages[split]} ${split} image(s) of each class, got ${length} ${side} one(s); add images, raise split.validation, or let the filter keep more`,
      );
    for (const { member, side: labelled } of loaded.entries)
      if (labelled !== side)
        throw new DatasetError(
          `${member} among the ${side} ${split} images is labelled "${labelled}"; expected ${side}: prepare the data set again`,
        );
    if (loaded.images.every(isBlank))
      throw new DatasetError(
        `all ${length} ${side} ${split} images are blank (one value each): there is nothing to learn from; look at the source images`,
      );
    counts[side] = length;
    for (const image of loaded.images) {
      images.push(toInput(image, task));
      labels.push(side === 'positive' ? 1 : 0);
    }
    for (const { sha256 } of loaded.entries) hash.update(`${side} ${sha256}\n`);
  }
  return { side: task.inputSize, channels: task.channels, images, labels, counts, sha256: hash.digest('hex') };
}

export interface TrainingSets {
  readonly train: LabelledSet;
  readonly validation: LabelledSet;
}

export async function loadTrainingSets(task: TrainClassifierTask): Promise<TrainingSets> {
  const train = await loadSet(task.train, task, 'training');
  return { train, validation: await loadSet(task.validation, task, 'validation') };
}
