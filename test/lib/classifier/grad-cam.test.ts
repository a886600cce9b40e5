import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { enlargeSaliency, gradCam } from '../../../lib/classifier/grad-cam.ts';
import type { Model } from '../../../lib/classifier/model.ts';
import { loadEngine } from '../../../lib/engine/backend.ts';
import { tf } from '../../../lib/engine/tf.ts';
import { expectRows } from '../../support/digests.ts';
import { readFixture, recipeImages, recipeModel, type KerasFixture } from './keras-fixture.ts';

const fixture = readFixture('keras-small.json') as KerasFixture;

let model: Model;
let images: tf.Tensor4D;
beforeAll(async () => {
  await loadEngine();
  model = recipeModel(fixture, 'saliency');
  images = recipeImages(fixture.images, fixture.architecture.inputSize);
});
afterAll(() => {
  images.dispose();
  model.dispose();
});

describe('gradCam', () => {
  it.each([0, 1] as const)('gives the maps that Keras and TensorFlow give for class %i', (target) => {
    const { side, values } = gradCam({ model, images, target });
    expect(side).toBe(3);
    expectRows(values, fixture.gradCam[target] ?? [], 1e-4);
  });

  it('leaves no tensor behind', () => {
    const before = tf.memory().numTensors;
    enlargeSaliency(gradCam({ model, images, target: 1 }), 64);
    expect(tf.memory().numTensors).toBe(before);
  });
});

describe('enlargeSaliency', () => {
  it('scales every map to a largest value of 1 and keeps the place of its maximum', () => {
    const pixels = enlargeSaliency({ side: 2, values: Float32Array.of(0, 0, 0, 8, 0.5, 0, 0, 0) }, 8);
    const first = pixels.subarray(0, 64);
    const second = pixels.subarray(64);
    expect([first.indexOf(1), second.indexOf(1)]).toEqual([6 * 8 + 6, 0]);
    expect([first[63], second[63]]).toEqual([1, 0]);
  });

  it('leaves a map of zeros black', () => {
    expect(enlargeSaliency({ side: 2, values: new Float32Array(4) }, 4)).toEqual(new Float32Array(16));
  });
});
