import type { GeneratorConfig } from '../../contract/study.ts';
import type { tf } from '../engine/tf.ts';
import { applyChanges, drawChanges, pipes } from './augment-pipe.ts';
import { applyDiffAugment, drawDiffAugment, type DiffAugmentChange } from './diff-augment.ts';
import type { NetworkShape } from './architecture.ts';

/** What D sees instead of images, reals and fakes alike: the changes of `generator.augment`. */

/** Changes images [N, R, R, C]; everything random about it is drawn already, so that it may be called again. */
export type Augment = (images: tf.Tensor4D) => tf.Tensor4D;

export interface Augmentation {
  /** Whether `draw` needs p. */
  readonly adaptive: boolean;
  /** Draws the changes of the reals or the fakes of one pass. */
  draw(options: {
    readonly of: 'reals' | 'fakes';
    readonly images: number;
    /** int32 [2] */
    readonly seed: tf.Tensor1D;
    /** Probability of each change, scalar; not read unless adaptive. */
    readonly p: tf.Scalar;
  }): Augment;
}

/** After the streams of the latents (loss.ts). */
const firstStream = { reals: 64, fakes: 128 } as const;

const everyChange: readonly DiffAugmentChange[] = ['color', 'translation', 'cutout'];

/** The augmentation of a training, or null where D sees the images themselves. */
export function augmentationOf(config: GeneratorConfig, shape: NetworkShape): Augmentation | null {
  const { resolution, channels } = shape;
  switch (config.augment ?? 'none') {
    case 'ada': {
      const pipe = pipes[config.augmentPipe ?? 'ultrasound'];
      return {
        adaptive: true,
        draw: ({ of, images, seed, p }) => {
          const changes = drawChanges(pipe, { images, resolution, channels, p, seed, firstStream: firstStream[of] });
          return (given) => applyChanges(given, changes);
        },
      };
    }
    case 'diffaugment': {
      const policy = config.diffAugmentPolicy ?? everyChange;
      return {
        adaptive: false,
        draw: ({ of, images, seed }) => {
          const draws = drawDiffAugment({ policy, images, resolution, seed, firstStream: firstStream[of] });
          return (given) => applyDiffAugment(given, draws);
        },
      };
    }
    case 'none':
      return null;
  }
}
