import type { TrainClassifierTask } from '../contract/engine.ts';
import { alteredImages } from '../lib/classifier/batch-inputs.ts';
import type { LabelledSet } from '../lib/classifier/training-images.ts';
import { createTraining, type Training } from '../lib/classifier/training.ts';
import { assignWeights } from '../lib/classifier/weights.ts';
import { loadEngine } from '../lib/engine/backend.ts';
import { tf } from '../lib/engine/tf.ts';
import { benchImages, classifierConfig, type ClassifierOptions } from './classifier-config.ts';
import { reportAgainstKeras } from './classifier-report.ts';
import { requireQuietMachine } from './quiet-machine.ts';
import { recipe } from './reference/integer-recipe.ts';

/** Times the optimiser step of `createTraining`, its images included and also by themselves, in turn with Keras' when asked. */
export async function benchClassifierStep(options: ClassifierOptions): Promise<void> {
  await requireQuietMachine(options.allowBusy ?? false);
  await loadEngine();
  const training = createMeasuredTraining(options);
  const input = alteredImages(training.task, training.sets.train);
  const all = training.sets.train.images.map((_, i) => i);
  try {
    let epoch = 0;
    // The first loss is that of the recipe's weights.
    const run = (): number => training.trainBatch({ epoch: epoch++, position: 0, learningRate: 0.001 });
    const images = (): void => tf.dispose(input(all, { epoch, position: 0 }));
    await reportAgainstKeras({ command: 'step', run, what: 'loss', images }, options);
  } finally {
    training.dispose();
  }
}

function createMeasuredTraining(options: ClassifierOptions): Training {
  const { size, batch, precision, execution } = options;
  const none = { negative: [], positive: [] };
  const task: TrainClassifierTask = {
    ...{ config: classifierConfig(options), inputSize: size, channels: 3, seed: 1, stream: 'bench' },
    ...{ train: none, validation: none, pretrainedFile: null, checkpointFile: null, recoveries: [], untilEpoch: 1 },
  };
  const images = benchImages(options);
  const labels = images.map((_, i): 0 | 1 => (i % 2 === 0 ? 0 : 1));
  const counts = { negative: Math.ceil(batch / 2), positive: Math.floor(batch / 2) };
  const set: LabelledSet = { side: size, channels: 3, images, labels, counts, sha256: 'bench' };
  const training = createTraining(task, { precision, execution }, { train: set, validation: set });
  assignWeights(training.model, new Map(training.model.plan.variables.map((spec) => [spec.name, recipe(spec)])));
  return training;
}
