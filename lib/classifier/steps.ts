import type { EngineSettings } from '../../contract/engine.ts';
import type { ClassifierConfig } from '../../contract/study.ts';
import type { Adam } from '../engine/adam.ts';
import { compileStep, type CompiledStep } from '../engine/compile.ts';
import { tf } from '../engine/tf.ts';
import type { Model } from './model.ts';
import type { Cut } from './network.ts';
import { featureSize, lastMixedShape, sizeOf, type ActivationShape } from './shape-layers.ts';
import { inferenceMode, type BatchNormMode, type Mode } from './tensor-layers.ts';

/**
 * The compiled steps of a classifier: one optimiser step, and one forward pass in inference mode, each from images or from their
 * features at a cut; and the pass that makes these features.
 */

/** What a step begins with: `images` [N, S, S, channels] 0..255, or `features` [N, size] at a cut. */
export type StepInput = 'images' | Cut;

/** Its tensor, by name. */
export type InputTensors = { readonly images: tf.Tensor4D } | { readonly features: tf.Tensor2D };

type Inputs = Parameters<typeof compileStep>[0]['inputs'];

function declareInput({ options, plan }: Model, from: StepInput, batchSize: number): Inputs {
  const { inputSize, channels, config } = options;
  return from === 'images'
    ? { images: { shape: [batchSize, inputSize, inputSize, channels], dtype: 'float32' } }
    : { features: { shape: [batchSize, featureSize(plan, from, config)], dtype: 'float32' } };
}

/** Images -> their features [N, size] at `cut`; of `lastMixed` those of `mixed`, then those of `input`. */
function below(model: Model, cut: Cut, images: tf.Tensor4D): tf.Tensor2D {
  if (cut === 'pooled') return model.pool(model.maps(images, inferenceMode));
  const { mixed, input } = model.lastMixed(images, inferenceMode);
  const flat = [mixed, input].map((maps) => tf.reshape(maps, [images.shape[0], -1]));
  return tf.concat(flat, 1) as tf.Tensor2D; // of the same rank
}

/** Features [N, size] at `cut` -> logits [N, 2]. */
function above(model: Model, cut: Cut, features: tf.Tensor2D, mode: Mode): tf.Tensor2D {
  if (cut === 'pooled') return model.head(features, mode);
  const shapes = lastMixedShape(model.plan, model.options.config);
  const [mixed, input] = tf.split(features, [sizeOf(shapes.mixed), sizeOf(shapes.input)], 1) as [tf.Tensor, tf.Tensor]; // two sizes
  const maps = (flat: tf.Tensor, shape: ActivationShape): tf.Tensor4D =>
    tf.reshape(flat, [features.shape[0], ...shape] as [number, number, number, number]); // [h, w, C] each
  const inside = { mixed: maps(mixed, shapes.mixed), input: maps(input, shapes.input) };
  return model.tail(model.lastMaps(inside, mode), mode).logits;
}

function logitsFrom(model: Model, from: StepInput, inputs: Record<string, tf.Tensor>, mode: Mode): tf.Tensor2D {
  const { images, features } = inputs as { images: tf.Tensor4D; features: tf.Tensor2D }; // one of them, as declareInput says
  return from === 'images' ? model.forward(images, mode).logits : above(model, from, features, mode);
}

/** Cross-entropy of softmax(logits) against `targets` [N, 2], each image times its weight [N], mean over N. */
function weightedCrossEntropy(logits: tf.Tensor2D, targets: tf.Tensor, weights: tf.Tensor): tf.Scalar {
  const losses = tf.neg(tf.sum(tf.mul(tf.logSoftmax(logits), targets), -1)); // [N]
  return tf.mean(tf.mul(losses, weights));
}

/**
 * Inputs: what `from` names, targets [N, 2], weights [N], learningRate [], seed [2]. Output: loss [].
 * Only the variables in `trained` get a gradient; the others' is never computed.
 */
export function compileTrainStep(options: {
  readonly model: Model;
  readonly from: StepInput;
  readonly adam: Adam;
  readonly trained: readonly tf.Variable[];
  readonly batchNorm: BatchNormMode;
  readonly config: Pick<ClassifierConfig, 'batchSize' | 'dropout'>;
  readonly settings: EngineSettings;
}): CompiledStep {
  const { model, from, adam, trained, batchNorm, config, settings } = options;
  const { batchSize } = config;
  return compileStep({
    name: 'classifierTrain',
    settings,
    configuration: { model: model.options, from, batchNorm, config, trained: trained.map((variable) => variable.name) },
    variables: [...model.variables.values(), ...adam.state],
    inputs: {
      ...declareInput(model, from, batchSize),
      targets: { shape: [batchSize, 2], dtype: 'float32' },
      weights: { shape: [batchSize], dtype: 'float32' },
      learningRate: { shape: [], dtype: 'float32' },
      seed: { shape: [2], dtype: 'int32' },
    },
    step(inputs) {
      const { targets, weights, learningRate, seed, ...input } = inputs as Record<string, tf.Tensor> & TrainInputs; // as declared above
      const dropout = { rate: config.dropout, seed };
      const { value, grads } = tf.variableGrads(() => {
        const logits = logitsFrom(model, from, input, { batchNorm, dropout });
        return weightedCrossEntropy(logits, targets, weights);
      }, [...trained]);
      adam.apply(grads, { learningRate });
      return { loss: value };
    },
  });
}

interface TrainInputs {
  readonly targets: tf.Tensor2D;
  readonly weights: tf.Tensor1D;
  readonly learningRate: tf.Scalar;
  readonly seed: tf.Tensor1D;
}

interface PassOptions {
  readonly model: Model;
  readonly settings: EngineSettings;
  readonly batchSize: number;
}

/** Input: images. Outputs: features [N, F] after pooling, logits [N, 2]. */
export function compilePredictStep({ model, settings, batchSize }: PassOptions): CompiledStep {
  return compileStep({
    name: 'classifierPredict',
    settings,
    configuration: model.options,
    variables: [...model.variables.values()],
    inputs: declareInput(model, 'images', batchSize),
    step: ({ images }) => ({ ...model.forward(images as tf.Tensor4D, inferenceMode) }), // as declared above
  });
}

/** The network in two halves. Images -> features [N, size] at `cut`; these -> logits [N, 2]. */
export function compileHalves(options: PassOptions & { readonly cut: Cut }): {
  readonly below: CompiledStep;
  readonly above: CompiledStep;
} {
  const { model, cut, settings, batchSize } = options;
  const variables = [...model.variables.values()];
  const common = { settings, variables, configuration: { model: model.options, cut } };
  return {
    below: compileStep({
      ...{ ...common, name: 'classifierBelow', inputs: declareInput(model, 'images', batchSize) },
      step: ({ images }) => ({ features: below(model, cut, images as tf.Tensor4D) }), // as declared
    }),
    above: compileStep({
      ...{ ...common, name: 'classifierAbove', inputs: declareInput(model, cut, batchSize) },
      step: ({ features }) => ({ logits: above(model, cut, features as tf.Tensor2D, inferenceMode) }), // as declared
    }),
  };
}
