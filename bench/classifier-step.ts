import { availableParallelism } from 'node:os';
import type { TrainClassifierTask } from '../contract/engine.ts';
import type { LabelledSet } from '../lib/classifier/training-images.ts';
import { createTraining, type Training } from '../lib/classifier/training.ts';
import { assignWeights } from '../lib/classifier/weights.ts';
import { loadEngine } from '../lib/engine/backend.ts';
import { executionOf } from '../lib/engine/compile.ts';
import { tf } from '../lib/engine/tf.ts';
import { benchImages, classifierConfig, kerasLoad, type ClassifierOptions } from './classifier-config.ts';
import { classifierText, measureInTurn, requireSame, type ClassifierReport } from './classifier-report.ts';
import { requireQuietMachine } from './quiet-machine.ts';
import { recipe } from './reference/integer-recipe.ts';
import { startPeer, type ReferencePeer } from './reference-peer.ts';

/** Times the optimiser step of `createTraining`, its images included, in turn with Keras' when asked. */
export async function benchClassifierStep(options: ClassifierOptions): Promise<void> {
  await requireQuietMachine(options.allowBusy ?? false);
  await loadEngine();
  const training = createMeasuredTraining(options);
  const keras =
    options.against === 'keras' ? await startPeer('keras', (line) => process.stderr.write(`${line}\n`)) : null;
  try {
    const report = await measure(training, keras, options);
    process.stdout.write(options.json ? `${JSON.stringify(report)}\n` : classifierText(report));
  } finally {
    keras?.close();
    training.dispose();
  }
}

function createMeasuredTraining(options: ClassifierOptions): Training {
  const { size, batch, precision, execution } = options;
  const none = { negative: [], positive: [] };
  const task: TrainClassifierTask = {
    ...{ config: classifierConfig(options), inputSize: size, channels: 3, seed: 1, stream: 'bench' },
    ...{ train: none, validation: none, pretrainedFile: null, checkpointFile: null, untilEpoch: 1 },
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
  keras: ReferencePeer | null,
  options: ClassifierOptions,
): Promise<ClassifierReport> {
  let epoch = 0;
  const step = (): number => training.trainBatch({ epoch: epoch++, position: 0, learningRate: 0.001 });
  const ours = step(); // traces; its loss is that of the recipe's weights
  let check: ClassifierReport['check'] = null;
  if (keras !== null) {
    await keras.ask('load', kerasLoad(options, availableParallelism()));
    check = { what: 'loss of both', ours, keras: (await keras.ask<{ loss: number }>('step')).loss };
    requireSame('the loss of the first step', check, options);
  }
  const measured = await measureInTurn(() => void step(), { keras, command: 'step' }, options);
  const { precision, execution } = options;
  return {
    ...measured,
    ...{ check, execution: executionOf({ precision, execution }), tensorsAlive: tf.memory().numTensors },
  };
}
