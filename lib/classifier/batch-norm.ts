import { nativeBackend, type NativeBackend } from '../engine/native-backend.ts';
import { ownKernels } from '../engine/step-recorder.ts';
import { tf } from '../engine/tf.ts';
import { relu, reluGradient } from './fused-layers.ts';

/**
 * Batch normalisation without gamma, followed by ReLU (evaluation.md 1.1). Stock tfjs cannot train it: its layer throws
 * with `scale: false`, and its fused operation has no gradient without a scale. So it is built here, once in TensorFlow's
 * fused operations and once in plain ones, which any backend runs and a test holds the fused ones against.
 */

export const epsilon = 1e-3;

export interface BatchStatistics {
  /** [C] */
  readonly mean: tf.Tensor1D;
  /** [C], divided by N H W (biased). */
  readonly variance: tf.Tensor1D;
}

export interface NormalisedBatch extends BatchStatistics {
  /** Shape of x; differentiable in x and beta. */
  readonly y: tf.Tensor4D;
}

const pixelAxes = [0, 1, 2];

/** With the statistics of the batch itself, any backend: x [N, H, W, C], beta [C]. */
export function batchNormReluReference(x: tf.Tensor4D, beta: tf.Tensor1D): NormalisedBatch {
  const mean = tf.mean(x, pixelAxes) as tf.Tensor1D; // three of four axes are gone
  const variance = tf.mean(tf.square(tf.sub(x, mean)), pixelAxes) as tf.Tensor1D; // as above
  const inverse = tf.rsqrt(tf.add(variance, epsilon));
  const normalised = tf.mul(tf.sub(x, mean), inverse);
  const value = tf.relu(tf.add(normalised, beta));
  const gradient: SavedGradient = (dy, saved) => {
    const [y, xHat, scale] = saved as [tf.Tensor, tf.Tensor, tf.Tensor]; // as saved below
    const dz = reluGradient(dy, y);
    const dBeta = tf.sum(dz, pixelAxes);
    const meanDz = tf.mean(dz, pixelAxes);
    const meanDzX = tf.mean(tf.mul(dz, xHat), pixelAxes);
    const dx = tf.mul(scale, tf.sub(tf.sub(dz, meanDz), tf.mul(xHat, meanDzX)));
    return [dx, dBeta];
  };
  const y = withGradient({ x, beta, value, saved: [value, normalised, inverse], gradient });
  return { y, mean, variance };
}

/** The same by FusedBatchNormV3 and its gradient: two operations forward and two backward. */
function batchNormReluNative(backend: NativeBackend, x: tf.Tensor4D, beta: tf.Tensor1D): NormalisedBatch {
  const { TF_ATTR_FLOAT, TF_ATTR_STRING, TF_ATTR_BOOL, TF_ATTR_TYPE, TF_FLOAT } = backend.binding;
  const type = { name: 'T', type: TF_ATTR_TYPE, value: TF_FLOAT };
  const attributes = [
    type,
    { name: 'U', type: TF_ATTR_TYPE, value: TF_FLOAT },
    { name: 'epsilon', type: TF_ATTR_FLOAT, value: epsilon },
    { name: 'data_format', type: TF_ATTR_STRING, value: 'NHWC' },
    { name: 'is_training', type: TF_ATTR_BOOL, value: true },
  ];
  const gamma = tf.ones<tf.Rank.R1>([x.shape[3]]);
  const none = tf.tensor1d([]);
  const outputs = backend.executeMultipleOutputs('FusedBatchNormV3', attributes, [x, gamma, beta, none, none], 6);
  const [normalised, mean, unbiased, ...reserved] = outputs as [tf.Tensor, tf.Tensor1D, tf.Tensor1D, ...tf.Tensor[]]; // the operation's definition
  const value = backend.executeSingleOutput('Relu', [type], [normalised]);
  const gradient: SavedGradient = (dy, saved) => {
    const [y, input, scale, ...statistics] = saved as [tf.Tensor, tf.Tensor, tf.Tensor, ...tf.Tensor[]]; // as saved below
    const dz = reluGradient(dy, y);
    const inputs = [dz, input, scale, ...statistics];
    const gradients = backend.executeMultipleOutputs('FusedBatchNormGradV3', attributes, inputs, 5);
    const [dx, , dBeta] = gradients as [tf.Tensor, tf.Tensor, tf.Tensor]; // x, scale, offset, two reserved
    return [dx, dBeta];
  };
  const count = x.shape[0] * x.shape[1] * x.shape[2];
  // TensorFlow reports N / (N - 1) times what it normalised with.
  const variance = tf.mul(unbiased, (count - 1) / count) as tf.Tensor1D; // times a number: same shape
  const y = withGradient({ x, beta, value, saved: [value, x, gamma, ...reserved], gradient });
  return { y, mean, variance };
}

/** The same in two passes over memory each way (infra/setup/tfjs-binding/batch_norm.cc). */
function batchNormReluOwn(backend: NativeBackend, x: tf.Tensor4D, beta: tf.Tensor1D): NormalisedBatch {
  const attributes = [{ name: 'epsilon', type: backend.binding.TF_ATTR_FLOAT, value: epsilon }];
  const outputs = backend.executeMultipleOutputs('EchoforgeBatchNormRelu', attributes, [x, beta], 3);
  const [value, mean, variance] = outputs as [tf.Tensor, tf.Tensor1D, tf.Tensor1D]; // the kernel's definition
  const gradient: SavedGradient = (dy, saved) =>
    backend.executeMultipleOutputs('EchoforgeBatchNormReluGradient', attributes, [dy, ...saved], 2);
  const y = withGradient({ x, beta, value, saved: [x, beta, mean, variance], gradient });
  return { y, mean, variance };
}

/** Gets dy and the saved tensors; returns the gradients of x and beta. */
type SavedGradient = (dy: tf.Tensor, saved: tf.Tensor[]) => tf.Tensor[];

/** `value` as a function of x and beta. Only what is in `saved` outlives the forward pass. */
function withGradient(args: {
  readonly x: tf.Tensor4D;
  readonly beta: tf.Tensor1D;
  readonly value: tf.Tensor;
  readonly saved: tf.Tensor[];
  readonly gradient: SavedGradient;
}): tf.Tensor4D {
  const { x, beta, value, saved, gradient } = args;
  const op = tf.customGrad((...inputs) => {
    const save = inputs.at(-1) as unknown as (tensors: tf.Tensor[]) => void; // customGrad's last argument
    save(saved);
    return { value: tf.clone(value), gradFunc: gradient };
  });
  return op(x, beta) as tf.Tensor4D; // the shape of x
}

/** With the statistics of the batch itself: x [N, H, W, C], beta [C]. The caller updates the moving statistics. */
export function batchNormRelu(x: tf.Tensor4D, beta: tf.Tensor1D): NormalisedBatch {
  const own = ownKernels();
  if (own !== null) return batchNormReluOwn(own, x, beta);
  const backend = nativeBackend();
  return backend === null ? batchNormReluReference(x, beta) : batchNormReluNative(backend, x, beta);
}

/** With fixed statistics: relu((x - mean) / sqrt(variance + epsilon) + beta). Differentiable in x and beta. */
export function batchNormReluInference(x: tf.Tensor4D, beta: tf.Tensor1D, statistics: BatchStatistics): tf.Tensor4D {
  const { mean, variance } = statistics;
  const scale = tf.rsqrt(tf.add(variance, epsilon));
  const own = ownKernels();
  if (own === null) return relu(tf.add(tf.mul(x, scale), tf.sub(beta, tf.mul(mean, scale)))) as tf.Tensor4D; // elementwise
  const attributes = [{ name: 'epsilon', type: own.binding.TF_ATTR_FLOAT, value: epsilon }];
  const value = own.executeSingleOutput('EchoforgeBatchNormReluInference', attributes, [x, beta, mean, variance]);
  const gradient: SavedGradient = (dy, saved) => {
    const [y, factor] = saved as [tf.Tensor, tf.Tensor]; // as saved below
    const dz = reluGradient(dy, y);
    return [tf.mul(dz, factor), tf.sum(dz, pixelAxes)];
  };
  return withGradient({ x, beta, value, saved: [value, scale], gradient });
}

/**
 * Moving statistics after a batch: momentum * old + (1 - momentum) * batch. `count` = N H W values per channel;
 * `unbiased` multiplies the batch variance by count / (count - 1), as TensorFlow's own layer does (evaluation.md 1.5).
 */
export function movedStatistics(
  moving: BatchStatistics,
  batch: BatchStatistics,
  options: { readonly momentum: number; readonly unbiased: boolean; readonly count: number },
): BatchStatistics {
  const { momentum, unbiased, count } = options;
  const correction = unbiased ? count / Math.max(1, count - 1) : 1;
  const move = (old: tf.Tensor1D, now: tf.Tensor1D, weight: number): tf.Tensor1D =>
    tf.add(tf.mul(old, momentum), tf.mul(now, weight));
  return {
    mean: move(moving.mean, batch.mean, 1 - momentum),
    variance: move(moving.variance, batch.variance, (1 - momentum) * correction),
  };
}
