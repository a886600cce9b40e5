import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Model } from '../../../lib/classifier/model.ts';
import { inferenceMode, type BatchNormMode } from '../../../lib/classifier/tensor-layers.ts';
import { loadEngine } from '../../../lib/engine/backend.ts';
import { tf } from '../../../lib/engine/tf.ts';
import { digest, expectDigests, expectRows, type Digest } from '../../support/digests.ts';
import {
  layerDigests,
  readFixture,
  recipeImages,
  recipeModel,
  type KerasFixture,
  type TrainingFixture,
} from './keras-fixture.ts';

/** Width 1/16, one block of each kind, 139 px; the published size is compared in test/long. */
const fixture = readFixture('keras-small.json') as KerasFixture & {
  readonly training: Readonly<Record<'batch' | 'frozen', TrainingFixture>>;
};
interface Pass {
  readonly loss: number;
  readonly gradients: Map<string, Digest>;
  readonly statistics: Map<string, Digest>;
}
const side = fixture.architecture.inputSize;

let model: Model;
beforeAll(async () => {
  await loadEngine();
  model = recipeModel(fixture, 'parity');
});
afterAll(() => model.dispose());

describe('InceptionResNetV2 with the weights of Keras', () => {
  it('has as many parameters', () => {
    expect(model.plan.parameters).toBe(fixture.parameters);
  });

  it('computes what Keras computes in every layer, to 1e-4', () => {
    const images = recipeImages(fixture.images, side);
    expectDigests(layerDigests(model, images), fixture.layers, 1e-4);
    images.dispose();
  });

  it("gives Keras' features and logits, to 1e-4", () => {
    const images = recipeImages(fixture.images, side);
    const { features, logits } = tf.tidy(() => model.forward(images, inferenceMode));
    expectRows(features.dataSync<'float32'>(), fixture.features, 1e-4);
    expectRows(logits.dataSync<'float32'>(), fixture.logits, 1e-4);
    tf.dispose([images, features, logits]);
  });
});

describe('one training pass', () => {
  /** Loss, gradients and, after it, statistics of one batch of four images in two classes. */
  const pass = (batchNorm: BatchNormMode): Pass => {
    const trained = recipeModel(fixture, 'trained');
    const isStatistic = (name: string): boolean => name.includes('/moving_');
    const entries = [...trained.variables];
    const named = new Map(entries.map(([name, { name: full }]) => [full, name]));
    tf.engine().startScope();
    const result = ((): Pass => {
      const images = recipeImages(4, side);
      const labels = tf.tensor2d([1, 0, 0, 1, 1, 0, 0, 1], [4, 2]);
      const { value, grads } = tf.variableGrads(
        () => {
          const { logits } = trained.forward(images, { batchNorm, dropout: null });
          return tf.neg<tf.Scalar>(tf.mean(tf.sum(tf.mul(tf.logSoftmax(logits), labels), -1)));
        },
        entries.filter(([name]) => !isStatistic(name)).map(([, variable]) => variable),
      );
      const digests = (tensors: readonly (readonly [string, tf.Tensor])[]): Map<string, Digest> =>
        new Map(tensors.map(([name, tensor]) => [name, digest(name, tensor.dataSync<'float32'>())]));
      return {
        loss: value.dataSync()[0] ?? NaN,
        gradients: digests(Object.entries(grads).map(([full, g]) => [named.get(full) ?? full, g])),
        statistics: digests(entries.filter(([name]) => isStatistic(name))),
      };
    })();
    tf.engine().endScope();
    trained.dispose();
    return result;
  };

  it("has Keras' loss and gradients with the statistics of the batch, and moves the moving ones as Keras does", () => {
    const { loss, gradients, statistics } = pass({ kind: 'batchUpdate', momentum: 0.99, unbiased: false });
    expect(loss).toBeCloseTo(fixture.training.batch.loss, 4);
    // Normalisation takes away any shift of the last block: but for rounding, that gradient is zero on both sides.
    const { 'block8_2_conv/bias': none, ...expected } = fixture.training.batch.gradients;
    for (const zero of [none, gradients.get('block8_2_conv/bias')]) expect(zero?.[1]).toBeLessThan(1e-6);
    gradients.delete('block8_2_conv/bias');
    expectDigests(gradients, expected, 1e-4);
    expectDigests(statistics, fixture.training.batch.statistics, 1e-5);
  });

  it("has Keras' loss and gradients with frozen statistics and leaves them alone", () => {
    const { loss, gradients, statistics } = pass({ kind: 'moving' });
    expect(loss).toBeCloseTo(fixture.training.frozen.loss, 4);
    expectDigests(gradients, fixture.training.frozen.gradients, 1e-4);
    expectDigests(statistics, fixture.training.frozen.statistics, 1e-7);
  });

  it('uses the statistics of the batch and leaves the moving ones alone when asked to', () => {
    const { loss, statistics } = pass({ kind: 'batch' });
    expect(loss).toBeCloseTo(fixture.training.batch.loss, 4);
    expectDigests(statistics, fixture.training.frozen.statistics, 1e-7);
  });

  it('multiplies the variance of the batch by N / (N - 1) when it is to be unbiased', () => {
    const moved = (unbiased: boolean): number =>
      pass({ kind: 'batchUpdate', momentum: 0, unbiased }).statistics.get('conv_7b_bn/moving_variance')?.[1] ?? NaN;
    // 4 images of 3 x 3 pixels.
    expect(moved(true) / moved(false)).toBeCloseTo(36 / 35, 5);
  });
});
