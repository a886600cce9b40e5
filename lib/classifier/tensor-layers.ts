import { randomUniform } from '../engine/random-ops.ts';
import { tf } from '../engine/tf.ts';
import { batchNormRelu, batchNormReluInference, movedStatistics } from './batch-norm.ts';
import { maxPoolDown, relu, residualRelu } from './fused-layers.ts';
import type { Layers } from './layers.ts';

/**
 * What batch normalisation divides by, always said and never guessed from a training flag: the statistics of the batch
 * (`batch`), the same while each pass also moves the moving statistics once (`batchUpdate`), or the moving statistics,
 * which stay as they are (`moving`).
 */
export type BatchNormMode =
  | { readonly kind: 'batch' | 'moving' }
  | { readonly kind: 'batchUpdate'; readonly momentum: number; readonly unbiased: boolean };

/** How the network runs. */
export interface Mode {
  readonly batchNorm: BatchNormMode;
  readonly dropout: { readonly rate: number; readonly seed: tf.Tensor1D } | null;
}

export const inferenceMode: Mode = { batchNorm: { kind: 'moving' }, dropout: null };

/** Stream of the dropout mask among the draws of one step. */
const dropoutStream = 0;

// Activations are rank 4 up to the pooling over pixels, then rank 2: network.ts fixes which.
const image = (x: tf.Tensor): tf.Tensor4D => x as tf.Tensor4D;

/** Layers that compute. `variables` by Keras name; all results belong to the caller's tidy. */
export function tensorLayers(variables: ReadonlyMap<string, tf.Variable>, mode: Mode): Layers<tf.Tensor> {
  // eslint-disable-next-line @typescript-eslint/no-unnecessary-type-parameters -- names the rank at each use
  const variable = <T extends tf.Tensor>(name: string): T & tf.Variable => {
    const found = variables.get(name);
    if (found === undefined) throw new RangeError(`the network has no variable "${name}"`);
    return found as T & tf.Variable; // shape-layers.ts fixes the rank of each variable
  };
  const normalise = (x: tf.Tensor4D, layer: string): tf.Tensor4D => {
    const beta = variable<tf.Tensor1D>(`${layer}/beta`);
    const mean = variable<tf.Tensor1D>(`${layer}/moving_mean`);
    const variance = variable<tf.Tensor1D>(`${layer}/moving_variance`);
    const { batchNorm } = mode;
    if (batchNorm.kind === 'moving') return batchNormReluInference(x, beta, { mean, variance });
    const batch = batchNormRelu(x, beta);
    if (batchNorm.kind === 'batchUpdate') {
      const count = x.shape[0] * x.shape[1] * x.shape[2];
      const moved = movedStatistics({ mean, variance }, batch, { ...batchNorm, count });
      mean.assign(moved.mean);
      variance.assign(moved.variance);
    }
    return batch.y;
  };
  return {
    channels: (x) => x.shape.at(-1) ?? 0,
    conv2d(x, { layer, stride, padding, bias }) {
      const y = tf.conv2d(image(x), variable<tf.Tensor4D>(`${layer}/kernel`), stride, padding);
      return bias ? tf.add(y, variable(`${layer}/bias`)) : y;
    },
    batchNormRelu: (x, layer) => normalise(image(x), layer),
    maxPool: (x, { stride }) => (stride === 2 ? maxPoolDown(image(x)) : tf.maxPool(image(x), 3, 1, 'same')),
    avgPool: (x) => tf.avgPool(image(x), 3, 1, 'same'),
    concat: (xs) => tf.concat([...xs], -1),
    residual(x, up, { scale, relu: clamped }) {
      if (clamped) return residualRelu(x, up, scale);
      return tf.add(x, scale === 1 ? up : tf.mul(up, scale));
    },
    globalAveragePool: (x) => tf.mean(x, [1, 2]),
    dense(x, { layer, relu: clamped }) {
      const y = tf.add(tf.matMul(x, variable<tf.Tensor2D>(`${layer}/kernel`)), variable(`${layer}/bias`));
      return clamped ? relu(y) : y;
    },
    dropout(x) {
      if (mode.dropout === null || mode.dropout.rate === 0) return x;
      const { rate, seed } = mode.dropout;
      const kept = tf.cast(tf.greaterEqual(randomUniform(x.shape, seed, dropoutStream), rate), 'float32');
      return tf.mul(tf.mul(x, kept), 1 / (1 - rate));
    },
  };
}
