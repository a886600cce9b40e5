import { beforeAll, describe, expect, it } from 'vitest';
import { batchNormRelu, batchNormReluInference, batchNormReluReference } from '../../../lib/classifier/batch-norm.ts';
import { maxPoolDown, residualRelu } from '../../../lib/classifier/fused-layers.ts';
import { loadEngine } from '../../../lib/engine/backend.ts';
import { compileStep } from '../../../lib/engine/compile.ts';
import { tf } from '../../../lib/engine/tf.ts';

type Inputs = Record<string, tf.Tensor>;

describe('fused layers', () => {
  beforeAll(loadEngine);
  /** All that `layer` gives in a recorded step, where our own kernels work if the processor has what they take. */
  const recorded = (layer: (inputs: Inputs) => Inputs, inputs: Inputs): Record<string, Float32Array> => {
    const declared = Object.entries(inputs).map(
      ([name, { shape }]) => [name, { shape, dtype: 'float32' as const }] as const,
    );
    const settings = { precision: 'fp32', execution: 'function' } as const;
    const step = compileStep({
      ...{ name: 'fusedLayer', settings, variables: [] },
      ...{ inputs: Object.fromEntries(declared), step: layer },
    });
    const outputs = step.run(inputs);
    const values = Object.entries(outputs).map(([name, tensor]) => [name, tensor.dataSync<'float32'>()] as const);
    tf.dispose(outputs);
    step.dispose();
    return Object.fromEntries(values);
  };
  const eager = (layer: (inputs: Inputs) => Inputs, inputs: Inputs): Record<string, Float32Array> =>
    tf.tidy(() =>
      Object.fromEntries(Object.entries(layer(inputs)).map(([name, t]) => [name, t.dataSync<'float32'>()])),
    );
  const expectSame = (
    ours: Record<string, Float32Array>,
    reference: Record<string, Float32Array>,
    tolerance: number,
  ): void => {
    expect(Object.keys(ours)).toEqual(Object.keys(reference));
    for (const [name, values] of Object.entries(reference)) {
      const largest = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
      const difference = values.reduce(
        (most, value, i) => Math.max(most, Math.abs(value - (ours[name]?.[i] ?? NaN))),
        0,
      );
      expect(difference / largest, name).toBeLessThan(tolerance);
    }
  };

  // Parts of vectors, one part of a thread, and means far from zero with small deviations.
  it.each([
    { shape: [2, 3, 5, 4], mean: 0 },
    { shape: [8, 29, 29, 33], mean: 1 },
    { shape: [3, 20, 20, 64], mean: 100 },
  ])('normalise $shape around $mean as small operations do', ({ shape, mean }) => {
    const channels = shape.at(-1) ?? 0;
    const inputs = {
      x: tf.randomNormal(shape, mean, 1.2, 'float32', 1),
      beta: tf.randomNormal([channels], 0, 1, 'float32', 2),
      weights: tf.randomNormal(shape, 0, 1, 'float32', 3),
    };
    const layer = (normalise: typeof batchNormRelu) => (given: Inputs) => {
      const { x, beta, weights } = given as unknown as { x: tf.Tensor4D; beta: tf.Tensor1D; weights: tf.Tensor4D }; // as above
      const loss = (a: tf.Tensor, b: tf.Tensor): tf.Scalar =>
        tf.sum(tf.mul(normalise(a as tf.Tensor4D, b as tf.Tensor1D).y, weights));
      const [dx, dbeta] = tf.grads(loss)([x, beta]) as [tf.Tensor, tf.Tensor];
      const { y, mean: batchMean, variance } = normalise(x, beta);
      return { dx, dbeta, y, batchMean, variance };
    };
    const reference = eager(layer(batchNormReluReference), inputs);
    expectSame(recorded(layer(batchNormRelu), inputs), reference, mean === 100 ? 2e-4 : 2e-5);
    tf.dispose(inputs);
  });

  it.each([3, 5, 6, 9, 11])('add and clamp equal values to equal sums in all %d places', (places) => {
    const row = (seed: number): tf.Tensor =>
      tf.tile(tf.randomNormal([1, 1, 1, 8], 0, 1, 'float32', seed), [places, 1, 1, 1]);
    const inputs = { x: row(1), up: row(2) };
    const { y } = recorded(({ x, up }) => ({ y: residualRelu(x as tf.Tensor, up as tf.Tensor, 0.17) }), inputs); // as given
    for (let place = 1; place < places; place++) expect(y?.slice(8 * place, 8 * place + 8)).toEqual(y?.slice(0, 8));
    tf.dispose(inputs);
  });

  it('let through what is not a number, so that a loss shows it', () => {
    const inputs = { x: tf.fill([2, 3, 3, 21], NaN), beta: tf.zeros([21]) };
    const layer = (given: Inputs): Inputs => {
      const { x, beta } = given as unknown as { x: tf.Tensor4D; beta: tf.Tensor1D }; // as above
      const fixed = { mean: tf.zeros<tf.Rank.R1>([21]), variance: tf.ones<tf.Rank.R1>([21]) };
      return {
        batch: batchNormRelu(x, beta).y,
        fixed: batchNormReluInference(x, beta, fixed),
        sum: residualRelu(x, x, 1),
      };
    };
    for (const values of Object.values(recorded(layer, inputs))) expect([...new Set(values)]).toEqual([NaN]);
    tf.dispose(inputs);
  });

  it('normalise with fixed statistics as small operations do', () => {
    const inputs = {
      x: tf.randomNormal([3, 9, 9, 21], 2, 1.2, 'float32', 1),
      beta: tf.randomNormal([21], 0, 1, 'float32', 2),
      mean: tf.randomNormal([21], 2, 1, 'float32', 3),
      variance: tf.randomUniform([21], 0, 3, 'float32', 4),
      weights: tf.randomNormal([3, 9, 9, 21], 0, 1, 'float32', 5),
    };
    const layer = (given: Inputs): Inputs => {
      const { x, beta, mean, variance, weights } = given as unknown as Record<keyof typeof inputs, tf.Tensor1D> & {
        x: tf.Tensor4D;
      }; // as above
      const normalised = (a: tf.Tensor, b: tf.Tensor): tf.Tensor =>
        batchNormReluInference(a as tf.Tensor4D, b as tf.Tensor1D, { mean, variance });
      const loss = (a: tf.Tensor, b: tf.Tensor): tf.Scalar => tf.sum(tf.mul(normalised(a, b), weights));
      const [dx, dbeta] = tf.grads(loss)([x, beta]) as [tf.Tensor, tf.Tensor];
      return { dx, dbeta, y: normalised(x, beta) };
    };
    expectSame(recorded(layer, inputs), eager(layer, inputs), 1e-5);
    tf.dispose(inputs);
  });

  it('give the gradient of the largest pixel to the first of equals, as TensorFlow does', () => {
    // Few different values: most windows hold their largest one several times.
    const x = tf.floor(tf.randomUniform([3, 12, 17, 37], 0, 4, 'float32', 1));
    const inputs = { x, weights: tf.randomNormal([3, 5, 8, 37], 0, 1, 'float32', 2) };
    const layer = (pool: (image: tf.Tensor4D) => tf.Tensor) => (given: Inputs) => {
      const { x: image, weights } = given as unknown as { x: tf.Tensor4D; weights: tf.Tensor4D }; // as above
      const loss = (a: tf.Tensor): tf.Scalar => tf.sum(tf.mul(pool(a as tf.Tensor4D), weights));
      return { dx: tf.grad(loss)(image), y: pool(image) };
    };
    const library = layer((image) => tf.maxPool(image, 3, 2, 'valid'));
    expectSame(recorded(layer(maxPoolDown), inputs), eager(library, inputs), 1e-6);
    tf.dispose(inputs);
  });

  it.each([0.17, 1])('add a branch scaled by %f and clamp', (scale) => {
    const shape = [2, 9, 9, 21];
    const inputs = {
      x: tf.randomNormal(shape, 0, 1, 'float32', 1),
      up: tf.randomNormal(shape, 0, 3, 'float32', 2),
      weights: tf.randomNormal(shape, 0, 1, 'float32', 3),
    };
    const layer = (add: typeof residualRelu) => (given: Inputs) => {
      const { x, up, weights } = given as unknown as typeof inputs; // as above
      const loss = (a: tf.Tensor, b: tf.Tensor): tf.Scalar => tf.sum(tf.mul(add(a, b, scale), weights));
      const [dx, dup] = tf.grads(loss)([x, up]) as [tf.Tensor, tf.Tensor];
      return { dx, dup, y: add(x, up, scale) };
    };
    const plain: typeof residualRelu = (x, up, factor) => tf.relu(tf.add(x, tf.mul(up, factor)));
    expectSame(recorded(layer(residualRelu), inputs), eager(layer(plain), inputs), 1e-6);
    tf.dispose(inputs);
  });
});
