import type { EngineSettings } from '../../contract/engine.ts';
import type { ClassifierConfig } from '../../contract/study.ts';
import type { Adam } from '../engine/adam.ts';
import { compileStep, type CompiledStep } from '../engine/compile.ts';
import { tf } from '../engine/tf.ts';
import type { Model } from './model.ts';
import { inferenceMode, type BatchNormMode, type Mode } from './tensor-layers.ts';

/** The compiled steps of a classifier: one optimiser step, and one forward pass in inference mode; each from images or from features. */

/** What a step is given: images [N, S, S, channels] 0..255, or what the trunk makes of them, features [N, F]. */
export type StepInput = 'images' | 'features';

function inputShape({ options, plan }: Model, from: StepInput, batchSize: number): number[] {
  const { inputSize, channels } = options;
  return from === 'features' ? [batchSize, plan.features] : [batchSize, inputSize, inputSize, channels];
}

/** Through the whole network, or its head alone. */
function forwardFrom(model: Model, from: StepInput, input: tf.Tensor, mode: Mode): ReturnType<Model['forward']> {
  if (from === 'images') return model.forward(input as tf.Tensor4D, mode); // declared with inputShape
  const features = input as tf.Tensor2D; // as above
  return { features: tf.clone(features), logits: model.head(features, mode) };
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
    configuration: { model: model.options, batchNorm, config, trained: trained.map((variable) => variable.name) },
    variables: [...model.variables.values(), ...adam.state],
    inputs: {
      [from]: { shape: inputShape(model, from, batchSize), dtype: 'float32' },
      targets: { shape: [batchSize, 2], dtype: 'float32' },
      weights: { shape: [batchSize], dtype: 'float32' },
      learningRate: { shape: [], dtype: 'float32' },
      seed: { shape: [2], dtype: 'int32' },
    },
    step(inputs) {
      const { targets, weights, learningRate, seed, ...input } = inputs as Record<string, tf.Tensor> & TrainInputs; // as declared above
      const dropout = { rate: config.dropout, seed };
      const { value, grads } = tf.variableGrads(() => {
        const { logits } = forwardFrom(model, from, input[from] as tf.Tensor, { batchNorm, dropout });
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

/** Input: what `from` names. Outputs: features [N, F], logits [N, 2]. */
export function compilePredictStep(options: {
  readonly model: Model;
  readonly from: StepInput;
  readonly settings: EngineSettings;
  readonly batchSize: number;
}): CompiledStep {
  const { model, from, settings, batchSize } = options;
  return compileStep({
    name: 'classifierPredict',
    settings,
    configuration: model.options,
    variables: [...model.variables.values()],
    inputs: { [from]: { shape: inputShape(model, from, batchSize), dtype: 'float32' } },
    step: (inputs) => ({ ...forwardFrom(model, from, inputs[from] as tf.Tensor, inferenceMode) }), // as declared above
  });
}
