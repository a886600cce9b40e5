import type { EngineSettings } from '../../contract/engine.ts';
import type { ClassifierConfig } from '../../contract/study.ts';
import type { Adam } from '../engine/adam.ts';
import { compileStep, type CompiledStep } from '../engine/compile.ts';
import { tf } from '../engine/tf.ts';
import type { Model } from './model.ts';
import { inferenceMode, type BatchNormMode } from './tensor-layers.ts';

/** The two compiled steps of a classifier: one optimiser step, and one forward pass in inference mode. */

const imageShape = ({ options }: Model, batchSize: number): number[] => [
  batchSize,
  options.inputSize,
  options.inputSize,
  options.channels,
];

/** Cross-entropy of softmax(logits) against `targets` [N, 2], each image times its weight [N], mean over N. */
function weightedCrossEntropy(logits: tf.Tensor2D, targets: tf.Tensor, weights: tf.Tensor): tf.Scalar {
  const losses = tf.neg(tf.sum(tf.mul(tf.logSoftmax(logits), targets), -1)); // [N]
  return tf.mean(tf.mul(losses, weights));
}

/**
 * Inputs: images [N, S, S, channels] 0..255, targets [N, 2], weights [N], learningRate [], seed [2]. Output: loss [].
 * Only the variables in `trained` get a gradient; the others' is never computed.
 */
export function compileTrainStep(options: {
  readonly model: Model;
  readonly adam: Adam;
  readonly trained: readonly tf.Variable[];
  readonly batchNorm: BatchNormMode;
  readonly config: Pick<ClassifierConfig, 'batchSize' | 'dropout'>;
  readonly settings: EngineSettings;
}): CompiledStep {
  const { model, adam, trained, batchNorm, config, settings } = options;
  const { batchSize } = config;
  return compileStep({
    name: 'classifierTrain',
    settings,
    variables: [...model.variables.values(), ...adam.state],
    inputs: {
      images: { shape: imageShape(model, batchSize), dtype: 'float32' },
      targets: { shape: [batchSize, 2], dtype: 'float32' },
      weights: { shape: [batchSize], dtype: 'float32' },
      learningRate: { shape: [], dtype: 'float32' },
      seed: { shape: [2], dtype: 'int32' },
    },
    step(inputs) {
      const { images, targets, weights, learningRate, seed } = inputs as Record<keyof typeof inputs, tf.Tensor> &
        TrainInputs; // as declared above
      const dropout = { rate: config.dropout, seed };
      const { value, grads } = tf.variableGrads(() => {
        const { logits } = model.forward(images, { batchNorm, dropout });
        return weightedCrossEntropy(logits, targets, weights);
      }, [...trained]);
      adam.apply(grads, { learningRate });
      return { loss: value };
    },
  });
}

interface TrainInputs {
  readonly images: tf.Tensor4D;
  readonly targets: tf.Tensor2D;
  readonly weights: tf.Tensor1D;
  readonly learningRate: tf.Scalar;
  readonly seed: tf.Tensor1D;
}

/** Input: images [N, S, S, channels] 0..255. Outputs: features [N, F], logits [N, 2]. */
export function compilePredictStep(options: {
  readonly model: Model;
  readonly settings: EngineSettings;
  readonly batchSize: number;
}): CompiledStep {
  const { model, settings, batchSize } = options;
  return compileStep({
    name: 'classifierPredict',
    settings,
    variables: [...model.variables.values()],
    inputs: { images: { shape: imageShape(model, batchSize), dtype: 'float32' } },
    step: ({ images }) => ({ ...model.forward(images as tf.Tensor4D, inferenceMode) }), // shape as declared
  });
}
