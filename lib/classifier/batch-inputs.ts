import type { TrainClassifierTask } from '../../contract/engine.ts';
import type { CompiledStep } from '../engine/compile.ts';
import { createRng, randomInt } from '../random.ts';
import { drawAlteration, writeAltered } from './augmentation.ts';
import { featureTensor, forwardBatch, imageTensor, runRows } from './forward.ts';
import type { InputTensors } from './steps.ts';
import type { LabelledSet } from './training-images.ts';

/** What the steps of a phase are given for chosen images of a set: pixels, freshly altered, or rows of a table of features. */

/** Features of a set: row `image * views + view`, `size` values each. */
export interface FeatureTable {
  readonly size: number;
  readonly views: number;
  /** Copies a row into `target` from `offset` on. */
  readonly read: (row: number, target: Float32Array, offset: number) => void;
}

export interface Features {
  readonly train: FeatureTable;
  readonly validation: FeatureTable;
}

export interface BatchPlace {
  readonly epoch: number;
  readonly position: number;
}

/** A batch for the optimiser step; the caller disposes. */
export type TrainInput = (chosen: readonly number[], place: BatchPlace) => InputTensors;

/** Logits [count, 2] of `count` images from `first` on, in inference mode. */
export type ValidationLogits = (first: number, count: number) => Float32Array;

type Task = Pick<TrainClassifierTask, 'config' | 'inputSize' | 'channels' | 'seed' | 'stream'>;

export function alteredImages({ config, inputSize, channels, seed, stream }: Task, set: LabelledSet): TrainInput {
  const { batchSize } = config;
  return (chosen, { epoch, position }) => ({
    images: imageTensor({ inputSize, channels, batchSize }, batchSize, (slot, target, offset) => {
      const data = set.images[chosen[slot] ?? 0] ?? new Uint8Array();
      const slotPosition = position * batchSize + slot;
      const alteration = drawAlteration(config, { seed, stream, epoch, position: slotPosition, side: inputSize });
      writeAltered(target, offset, { data, side: inputSize, channels, alteration });
    }),
  });
}

/** Of each chosen image one view, drawn anew in every epoch. */
export function viewsOfFeatures({ config, seed, stream }: Task, { size, views, read }: FeatureTable): TrainInput {
  const { batchSize } = config;
  return (chosen, { epoch, position }) => ({
    features: featureTensor({ features: size, batchSize }, batchSize, (slot, target, offset) => {
      const rng = createRng(seed, `${stream}/view/${epoch}`, position * batchSize + slot);
      read((chosen[slot] ?? 0) * views + randomInt(rng, views), target, offset);
    }),
  });
}

export function logitsOfImages(
  { config, inputSize, channels }: Task,
  set: LabelledSet,
  step: CompiledStep,
): ValidationLogits {
  const { batchSize } = config;
  return (first, count) =>
    forwardBatch(step, { inputSize, channels, batchSize }, set.images.slice(first, first + count)).logits;
}

export function logitsOfFeatures({ config }: Task, { size, read }: FeatureTable, step: CompiledStep): ValidationLogits {
  return (first, count) => {
    const features = featureTensor({ features: size, batchSize: config.batchSize }, count, (slot, target, offset) => {
      read(first + slot, target, offset);
    });
    return runRows(step, { features }, { count, outputs: ['logits'] }).logits;
  };
}
