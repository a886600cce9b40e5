import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createModel } from '../lib/classifier/model.ts';
import { loadClassifier, type Classifier } from '../lib/classifier/predict.ts';
import { copyWeights, writeWeights } from '../lib/classifier/weights.ts';
import { loadEngine } from '../lib/engine/backend.ts';
import { benchImages, classifierConfig, type ClassifierOptions } from './classifier-config.ts';
import { reportAgainstKeras } from './classifier-report.ts';
import { requireQuietMachine } from './quiet-machine.ts';
import { recipe } from './reference/integer-recipe.ts';

/** Times `probabilities` of a loaded classifier on one batch, in turn with Keras' `predict_on_batch` when asked. */
export async function benchClassifierPredict(options: ClassifierOptions): Promise<void> {
  await requireQuietMachine(options.allowBusy ?? false);
  await loadEngine();
  const classifier = await recipeClassifier(options);
  try {
    const { size } = options;
    const images = benchImages(options).map((data) => ({ width: size, height: size, channels: 3 as const, data }));
    const run = (): number => classifier.probabilities(images)[0] ?? Number.NaN;
    await reportAgainstKeras({ command: 'predict', run, what: 'probability' }, options);
  } finally {
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
