import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { gradCam } from '../../lib/classifier/grad-cam.ts';
import type { Model } from '../../lib/classifier/model.ts';
import { inferenceMode } from '../../lib/classifier/tensor-layers.ts';
import { loadEngine } from '../../lib/engine/backend.ts';
import { tf } from '../../lib/engine/tf.ts';
import { expectDigests, expectRows } from '../support/digests.ts';
import {
  layerDigests,
  readFixture,
  recipeImages,
  recipeModel,
  type KerasFixture,
} from '../lib/classifier/keras-fixture.ts';

/** The published InceptionResNetV2 against keras.applications, every layer, with the study's head. */

let model: Model | null = null;
beforeAll(loadEngine);
afterEach(() => model?.dispose());

describe.each([256, 299])('InceptionResNetV2 at %i px', (size) => {
  it('computes what Keras computes in every layer, its features, logits and Grad-CAM, to 1e-4', () => {
    const fixture = readFixture(`keras-published-${size}.json`) as KerasFixture;
    model = recipeModel(fixture, `published${size}`);
    expect(model.plan.parameters).toBe(fixture.parameters);
    const images = recipeImages(fixture.images, size);
    expectDigests(layerDigests(model, images), fixture.layers, 1e-4);
    const { features, logits } = model.forward(images, inferenceMode);
    expectRows(features.dataSync<'float32'>(), fixture.features, 1e-4);
    expectRows(logits.dataSync<'float32'>(), fixture.logits, 1e-4);
    for (const target of [0, 1] as const)
      expectRows(gradCam({ model, images, target }).values, fixture.gradCam[target] ?? [], 1e-3);
    tf.dispose([images, features, logits]);
  });
});
