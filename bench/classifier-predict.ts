import { mkdtemp, rm } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { createModel } from '../lib/classifier/model.ts';
import { loadClassifier, type Classifier } from '../lib/classifier/predict.ts';
import { copyWeights, writeWeights } from '../lib/classifier/weights.ts';
import { loadEngine } from '../lib/engine/backend.ts';
import { executionOf } from '../lib/engine/compile.ts';
import { tf } from '../lib/engine/tf.ts';
import { benchImages, classifierConfig, kerasLoad, type ClassifierOptions } from './classifier-config.ts';
import { classifierText, measureInTurn, requireSame, type ClassifierReport } from './classifier-report.ts';
import { requireQuietMachine } from './quiet-machine.ts';
import { recipe } from './reference/integer-recipe.ts';
import { startPeer } from './reference-peer.ts';

/** Times `probabilities` of a loaded classifier on one batch, in turn with Keras' `predict_on_batch` when asked. */
export async function benchClassifierPredict(options: ClassifierOptions): Promise<void> {
  await requireQuietMachine(options.allowBusy ?? false);
  await loadEngine();
  const classifier = await recipeClassifier(options);
  const keras =
    options.against === 'keras' ? await startPeer('keras', (line) => process.stderr.write(`${line}\n`)) : null;
  try {
    const { size, precision, execution } = options;
    const images = benchImages(options).map((data) => ({ width: size, height: size, channels: 3 as const, data }));
    const [ours = Number.NaN] = classifier.probabilities(images); // traces
    let check: ClassifierReport['check'] = null;
    if (keras !== null) {
      await keras.ask('load', kerasLoad(options, availableParallelism()));
      const { positive } = await keras.ask<{ positive: number[] }>('probabilities');
      check = { what: 'probability of both', ours, keras: positive[0] ?? Number.NaN };
      requireSame('the probability of the first image', check, options);
    }
    const predict = (): void => void classifier.probabilities(images);
    const report: ClassifierReport = {
      ...(await measureInTurn(predict, { keras, command: 'predict' }, options)),
      ...{ check, execution: executionOf({ precision, execution }), tensorsAlive: tf.memory().numTensors },
    };
    process.stdout.write(options.json ? `${JSON.stringify(report)}\n` : classifierText(report));
  } finally {
    keras?.close();
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
