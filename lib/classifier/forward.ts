import type { CompiledStep } from '../engine/compile.ts';
import { tf } from '../engine/tf.ts';
import type { ModelOptions } from './model.ts';

/** Forward passes over any number of images by one step of fixed batch size; the last batch is filled up with black. */

export interface ForwardResult {
  /** [n, F], row after row. */
  readonly features: Float32Array;
  /** [n, 2], row after row. */
  readonly logits: Float32Array;
}

/** `count` images written by `write(index, target, offset)` as 0..255 floats into a fresh tensor [batchSize, S, S, C]. */
export function imageTensor(
  options: Pick<ModelOptions, 'inputSize' | 'channels'> & { readonly batchSize: number },
  count: number,
  write: (slot: number, target: Float32Array, offset: number) => void,
): tf.Tensor4D {
  const { inputSize, channels, batchSize } = options;
  const size = inputSize * inputSize * channels;
  // Fresh for every batch: TensorFlow may keep the buffer itself.
  const target = new Float32Array(batchSize * size);
  for (let slot = 0; slot < count; slot++) write(slot, target, slot * size);
  return tf.tensor4d(target, [batchSize, inputSize, inputSize, channels]);
}

/** Rows of features written by `write(slot, target, offset)` into a fresh tensor [batchSize, F]. */
export function featureTensor(
  { features, batchSize }: { readonly features: number; readonly batchSize: number },
  count: number,
  write: (slot: number, target: Float32Array, offset: number) => void,
): tf.Tensor2D {
  const target = new Float32Array(batchSize * features);
  for (let slot = 0; slot < count; slot++) write(slot, target, slot * features);
  return tf.tensor2d(target, [batchSize, features]);
}

/** Runs the predict step on one batch of at most `batchSize` images, each inputSize * inputSize * channels bytes. */
export function forwardBatch(
  step: CompiledStep,
  options: Pick<ModelOptions, 'inputSize' | 'channels'> & { readonly batchSize: number },
  images: readonly Uint8Array[],
): ForwardResult {
  const input = imageTensor(options, images.length, (slot, target, offset) => {
    target.set(images[slot] ?? [], offset);
  });
  return runRows(step, { images: input }, { count: images.length, outputs: ['features', 'logits'] });
}

/** Runs a step and disposes its inputs; of the named outputs, [batchSize, n] each, only the first `count` rows are kept. */
export function runRows<K extends string>(
  step: CompiledStep,
  inputs: Readonly<Record<string, tf.Tensor>>,
  { count, outputs: names }: { readonly count: number; readonly outputs: readonly K[] },
): Record<K, Float32Array> {
  const outputs = step.run(inputs);
  const rows = names.map((name) => {
    const tensor = outputs[name];
    if (tensor === undefined) throw new RangeError(`the step returned no ${name}`);
    return [name, Float32Array.from(tensor.dataSync()).subarray(0, count * (tensor.shape[1] ?? 0))] as const;
  });
  tf.dispose([inputs, outputs]);
  return Object.fromEntries(rows) as Record<K, Float32Array>; // of all names
}

/** Log-odds of the positive class of image `index`, in float64. */
export function logOddsOf(logits: Float32Array, index: number): number {
  return (logits[2 * index + 1] ?? Number.NaN) - (logits[2 * index] ?? Number.NaN);
}

/** log(softmax(negative, positive)) of image `index`, in float64. */
export function logProbabilities(logits: Float32Array, index: number): readonly [number, number] {
  const negative = logits[2 * index] ?? Number.NaN;
  const positive = logits[2 * index + 1] ?? Number.NaN;
  const largest = Math.max(negative, positive);
  const logSum = largest + Math.log(Math.exp(negative - largest) + Math.exp(positive - largest));
  return [negative - logSum, positive - logSum];
}
