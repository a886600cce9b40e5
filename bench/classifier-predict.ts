import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createModel } from '../lib/classifier/model.ts';
import { loadClassifier, type Classifier } from '../lib/classifier/predict.ts';
import { copyWeights, writeWeights } from '../lib/classifier/weights.ts';
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

/** Times `probabilities` of a loaded classifier on one batch, in turn with Keras' `predict_on_batch` when asked. */
export async function benchClassifierPredict(options: ClassifierOptions): Promise<void> {
  await requireQuietMachine(options.allowBusy ?? false);
  await loadEngine();
  const classifier = await recipeClassifier(options);
  const keras = await startKeras('predict', options);
  try {
    const { size, precision, execution } = options;
    const images = benchImages(options).map((data) => ({ width: size, height: size, channels: 3 as const, data }));
    const predict = (): readonly number[] => classifier.probabilities(images);
    const start = performance.now();
    const [ours = Number.NaN] = predict(); // records
    const us = ourselves(() => void predict(), performance.now() - start);
    const checks = keras.answers.map((answer) => ({ what: 'probability of both', ours, keras: answer }));
    for (const check of checks) requireSame('the probability of the first image', check, options);
    const report: ClassifierReport = {
      ...(await measureInTurn([us, ...keras.contenders], options)),
      ...{ check: checks[0] ?? null, execution: executionOf({ precision, execution }) },
      tensorsAlive: tf.memory().numTensors,
    };
    process.stdout.write(options.json ? `${JSON.stringify(report)}\n` : classifierText(report));
  } finally {
    keras.close();
    classifier.dispose();
  }
}

async function recipeClassifier(options: ClassifierOptions): Promise<Classifier> {
  const { size, batch, precision, execution } = options;
  const network = { config: classifierConfig(options), inputSize: size, channels: 3 as const };
  const dir = await mkdtemp(join(tmpdir(), 'echoforge-bench-'));
  try {
    const weightsFile = join(dir, 'weights.safetensors');
    const model = createModel({ name: 'bench', ...network }, recipe);
    await writeWeights(weightsFile, model, copyWeights(model));
    model.dispose();
    const settings = { precision, execution };
    return await loadClassifier({ model: { ...network, weightsFile, temperature: 1 }, settings, batchSize: batch });
  } finally {
    await rm(dir, { recursive: true });
  }
}
