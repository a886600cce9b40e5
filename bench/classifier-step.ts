import type { TrainClassifierTask } from '../contract/engine.ts';
import type { LabelledSet } from '../lib/classifier/training-images.ts';
import { createTraining, type Training } from '../lib/classifier/training.ts';
import { assignWeights } from '../lib/classifier/weights.ts';
import { loadEngine } from '../lib/engine/backend.ts';
import { executionOf } from '../lib/engine/compile.ts';
import { tf } from '../lib/engine/tf.ts';
import { benchImages, classifierConfig, type ClassifierOptions } from './classifier-config.ts';
import {
  classifierText,
  measureInTurn,
  ourselves,
  requireSame,
  startKeras,
  type ClassifierReport,
} from './classifier-report.ts';
import { requireQuietMachine } from './quiet-machine.ts';
import { recipe } from './reference/integer-recipe.ts';

/** Times the optimiser step of `createTraining`, its images included, in turn with Keras' when asked. */
export async function benchClassifierStep(options: ClassifierOptions): Promise<void> {
  await requireQuietMachine(options.allowBusy ?? false);
  await loadEngine();
  const training = createMeasuredTraining(options);
  const keras = await startKeras('step', options);
  try {
    const report = await measure(training, keras, options);
    process.stdout.write(options.json ? `${JSON.stringify(report)}\n` : classifierText(report));
  } finally {
    keras.close();
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

async function measure(
  training: Training,
  keras: Awaited<ReturnType<typeof startKeras>>,
  options: ClassifierOptions,
): Promise<ClassifierReport> {
  let epoch = 0;
  const step = (): number => training.trainBatch({ epoch: epoch++, position: 0, learningRate: 0.001 });
  const start = performance.now();
  const ours = step(); // records; its loss is that of the recipe's weights
  const us = ourselves(() => void step(), performance.now() - start);
  const checks = keras.answers.map((answer) => ({ what: 'loss of both', ours, keras: answer }));
  for (const check of checks) requireSame('the loss of the first step', check, options);
  const { precision, execution } = options;
  return {
    ...(await measureInTurn([us, ...keras.contenders], options)),
    ...{ check: checks[0] ?? null, execution: executionOf({ precision, execution }) },
    tensorsAlive: tf.memory().numTensors,
  };
}
