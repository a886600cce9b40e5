import { beforeAll, expect, it } from 'vitest';
import { loadEngine } from '../../../lib/engine/backend.ts';
import { registerGradients } from '../../../lib/engine/gradients.ts';
import { tf } from '../../../lib/engine/tf.ts';
import { directionalError, gradientPenalty, uniform } from './second-order.ts';

beforeAll(loadEngine);

it('registers what tfjs-core lacks, once and without harm when repeated', () => {
  registerGradients();
  registerGradients();
  for (const kernel of [tf.Conv2DBackpropFilter, tf.Greater, tf.Less, tf.Equal, tf.LogicalAnd])
    expect(tf.getGradient(kernel), kernel).toBeDefined();
});

it('differentiates twice a convolution whose filter depends on the differentiated input', () => {
  const f = (s: tf.Tensor, w: tf.Tensor, x: tf.Tensor): tf.Tensor =>
    tf.conv2d(x as tf.Tensor4D, tf.mul(w, tf.reshape(s, [1, 1, 2, 1])) as tf.Tensor4D, 1, 'same');
  const args = [uniform([2], 's'), uniform([3, 3, 2, 3], 'w'), uniform([2, 4, 4, 2], 'x')];
  expect(directionalError(gradientPenalty(f), args)).toBeLessThan(1e-2);
});

it('treats comparisons as constants in second derivatives', () => {
  // relu by maximum: stock tfjs throws "gradient function not found for Greater".
  const f = (x: tf.Tensor): tf.Tensor => tf.square(tf.maximum(x, 0));
  const second = tf.grad(gradientPenalty(f))(tf.tensor1d([-1, 2]));
  expect(second.dataSync()[0]).toBe(0);
  expect(second.dataSync()[1]).not.toBe(0);
});
