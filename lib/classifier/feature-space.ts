import type { ClassifierConfig } from '../../contract/study.ts';
import { ConfigurationError } from '../errors.ts';
import { planPhases } from './phases.ts';
import { featureSize, planNetwork } from './shape-layers.ts';

/** What cached features take of a disk. Needs no TensorFlow, so that a study can be looked at before it starts. */

const bytesPerValue = 4;

/** Whether some of the cached views are altered at random: the others are the same in every training. */
export const hasDrawnViews = ({ featureCache, mirror }: Pick<ClassifierConfig, 'featureCache' | 'mirror'>): boolean =>
  (featureCache ?? 0) > (mirror ? 2 : 1);

/**
 * Features of `images`, each in all its views; 0 where nothing is cached. At full width and 256 px a view takes 6 kB after pooling,
 * 364 kB before the last projection.
 */
export function featureBytes(config: ClassifierConfig, inputSize: number, images: number): number {
  const cache = planPhases(config).find((phase) => phase.cache !== null)?.cache ?? null;
  if (cache === null) return 0;
  const plan = planNetwork({ ...config, classes: 2 }, inputSize);
  return bytesPerValue * images * cache.views * featureSize(plan, cache.cut, config);
}

/** A part takes about two minutes at 256 px on two cores, and is held in memory while it is filled. */
const mostPartImages = 1024;
const mostPartBytes = 64e6;

/** Images of one file of features, each in `views` views of `size` values. */
export const imagesPerPart = (views: number, size: number, mostBytes = mostPartBytes): number =>
  Math.max(1, Math.min(mostPartImages, Math.floor(mostBytes / (bytesPerValue * views * size))));

const gigabytes = (bytes: number): string => (bytes / 1e9).toFixed(1);

/** @throws ConfigurationError when the work directory has no room for the features that are still to come */
export function checkSpace(options: {
  readonly needed: number;
  readonly free: number;
  readonly views: number;
  readonly workDir: string;
}): void {
  const { needed, free, views, workDir } = options;
  if (needed > free)
    throw new ConfigurationError(
      `the classifier's cached features need ${gigabytes(needed)} GB in ${workDir}, ${gigabytes(free)} GB are free there; ` +
        `free some space, lower classifier.featureCache (${views}), or leave it out`,
    );
}
