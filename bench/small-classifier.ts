import { mkdtemp } from 'node:fs/promises';
import { join } from 'node:path';
import type { EngineEvent, TrainClassifierTask } from '../contract/engine.ts';
import { defaults } from '../contract/presets.ts';
import type { ClassifierConfig } from '../contract/study.ts';
import { trainClassifier } from '../lib/classifier/train.ts';
import type { ImagesOptions } from './classifier-config.ts';
import type { ImageSets } from './image-sets.ts';

export interface TrainedClassifier {
  /** On the validation images, of the epoch whose weights were kept. */
  readonly auc: number;
  readonly keptEpoch: number;
  readonly epochs: number;
  readonly seconds: number;
  readonly weightsFile: string;
}

/** The `sound` recipe at a small size. */
export function smallClassifier({
  batch,
  width,
  blocks,
  epochs,
}: Pick<ImagesOptions, 'batch' | 'width' | 'blocks'> & { readonly epochs: number }): ClassifierConfig {
  return {
    ...defaults.classifier,
    ...{ width, blocks: [...blocks], headUnits: 128, batchSize: batch, epochs, bnMomentum: 0.9, featureCache: null },
  };
}

/** Trains to the end; the files are in a folder of their own below `dir`. */
export async function trainSmallClassifier(
  { size, precision, execution }: Pick<ImagesOptions, 'size' | 'precision' | 'execution'>,
  given: {
    readonly config: ClassifierConfig;
    readonly sets: ImageSets;
    readonly seed: number;
    readonly pretrainedFile: string | null;
    readonly dir: string;
  },
): Promise<TrainedClassifier> {
  const { config, sets, seed, pretrainedFile } = given;
  const workDir = await mkdtemp(join(given.dir, 'training-'));
  const task: TrainClassifierTask = {
    ...{ config, inputSize: size, channels: 1, seed, stream: 'classifier/real', ...sets },
    ...{ pretrainedFile, checkpointFile: null, recoveries: [], untilEpoch: config.epochs },
  };
  const start = performance.now();
  let trained: Omit<TrainedClassifier, 'seconds'> | null = null;
  const emit = (event: EngineEvent): Promise<void> => {
    if (event.type !== 'classifierCheckpoint') return Promise.resolve();
    const { weightsEpoch, weightsFile, history } = event;
    const kept = history.find(({ epoch }) => epoch === weightsEpoch) ?? history.at(-1);
    trained = { auc: kept?.validationAuc ?? Number.NaN, keptEpoch: weightsEpoch, epochs: history.length, weightsFile };
    return Promise.resolve();
  };
  const signal = new AbortController().signal;
  await trainClassifier(task, { settings: { precision, execution }, workDir, signal, emit });
  if (trained === null) throw new Error('the training gave no checkpoint');
  return { ...(trained as Omit<TrainedClassifier, 'seconds'>), seconds: (performance.now() - start) / 1000 };
}
