import type { ClassifierModel, EngineSettings } from '../../contract/engine.ts';
import { loadEngine } from '../engine/backend.ts';
import type { RawImage } from '../image/raw-image.ts';
import { probabilityOf } from './calibration.ts';
import { forwardBatch, logOddsOf } from './forward.ts';
import { architectureOf, createModel } from './model.ts';
import { planNetwork } from './shape-layers.ts';
import { compilePredictStep } from './steps.ts';
import { toInput } from './training-images.ts';
import { readWeights } from './weights.ts';

export interface Classifier {
  /** Length of one feature vector: 1536 at width 1. */
  readonly featureSize: number;
  /** Probability of the positive class per image, in [0, 1], calibrated by the model's temperature. */
  probabilities(images: readonly RawImage[]): number[];
  /** Output of the global average pooling, [images, featureSize] row after row. */
  features(images: readonly RawImage[]): Float32Array;
  dispose(): void;
}

/** Keeps the names of variables apart when several classifiers live in one process. */
let loaded = 0;

/**
 * Loads a trained classifier for scoring and for features. Images of any size are resized to the input by the one rule.
 * Every pass has `batchSize` slots, the last one filled up with black, and images in inference mode never see each other: on
 * the CPU an image's score has the same bits in every slot and whatever its neighbours.
 *
 * The temperature moves no image past another or past one half: rankings, the AUC and argmax are those without it.
 *
 * Throws RangeError on a temperature that is not positive, WeightsError when the file belongs to another network, DatasetError when an image has other channels.
 */
export async function loadClassifier(options: {
  readonly model: ClassifierModel;
  readonly settings: EngineSettings;
  readonly batchSize: number;
}): Promise<Classifier> {
  const { settings, batchSize } = options;
  const { config, inputSize, channels, weightsFile, temperature } = options.model;
  if (!(temperature > 0 && temperature < Infinity))
    throw new RangeError(`loadClassifier expects a positive temperature, got ${temperature}`);
  await loadEngine();
  const modelOptions = { name: `scorer${loaded++}`, config, inputSize, channels };
  const { variables } = planNetwork(architectureOf(config), inputSize);
  const values = await readWeights(weightsFile, modelOptions, variables);
  const model = createModel(modelOptions, ({ name }) => values.get(name) ?? new Float32Array());
  const step = compilePredictStep({ model, settings, batchSize });
  const run = (images: readonly RawImage[]): { logits: Float32Array; features: Float32Array } => {
    const logits = new Float32Array(images.length * 2);
    const features = new Float32Array(images.length * model.plan.features);
    for (let start = 0; start < images.length; start += batchSize) {
      const inputs = images.slice(start, start + batchSize).map((image) => toInput(image, { inputSize, channels }));
      const result = forwardBatch(step, { inputSize, channels, batchSize }, inputs);
      logits.set(result.logits, start * 2);
      features.set(result.features, start * model.plan.features);
    }
    return { logits, features };
  };
  return {
    featureSize: model.plan.features,
    probabilities(images) {
      const { logits } = run(images);
      return images.map((_, i) => probabilityOf(logOddsOf(logits, i), temperature));
    },
    features: (images) => run(images).features,
    dispose() {
      step.dispose();
      model.dispose();
    },
  };
}
