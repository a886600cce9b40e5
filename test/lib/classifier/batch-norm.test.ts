import { beforeAll, describe, expect, it } from 'vitest';
import { batchNormRelu, batchNormReluReference } from '../../../lib/classifier/batch-norm.ts';
import { loadEngine } from '../../../lib/engine/backend.ts';
import { tf } from '../../../lib/engine/tf.ts';

type Layer = typeof batchNormReluReference;

describe('batch normalisation with ReLU', () => {
  beforeAll(loadEngine);
  const input = (): [tf.Tensor4D, tf.Tensor1D, tf.Tensor4D] => [
    tf.randomNormal([4, 5, 5, 8], 0.3, 1.2, 'float32', 1),
    tf.randomNormal([8], 0, 1, 'float32', 2),
    tf.randomNormal([4, 5, 5, 8], 0, 1, 'float32', 3),
  ];
  /** Gradients of x and beta under random output weights, output, mean and variance. */
  const evaluate = (layer: Layer): Float32Array[] =>
    tf.tidy(() => {
      const [x, beta, weights] = input();
      // A product inside makes x an intermediate tensor, which the tape would free if the layer did not save it.
      const loss = (a: tf.Tensor, b: tf.Tensor): tf.Scalar =>
        tf.sum(tf.mul(layer(tf.mul(a as tf.Tensor4D, 1.5), b as tf.Tensor1D).y, weights));
      const gradients = tf.grads(loss)([x, beta]);
      const { y, mean, variance } = layer(x, beta);
      return [...gradients, y, mean, variance].map((tensor) => tensor.dataSync<'float32'>());
    });
  it('gives the same values and gradients by the fused operations as by small ones', () => {
    const reference = evaluate(batchNormReluReference);
    for (const [i, values] of evaluate(batchNormRelu).entries())
      for (const [j, value] of values.entries())
        expect(Math.abs(value - (reference[i]?.[j] ?? NaN))).toBeLessThan(2e-5);
  });
  it('leaves no tensor behind', () => {
    const before = tf.memory().numTensors;
    evaluate(batchNormRelu);
    expect(tf.memory().numTensors).toBe(before);
  });
});
