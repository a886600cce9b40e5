import { readFileSync } from 'node:fs';
import type { Layers } from '../../../lib/classifier/layers.ts';
import { createModel, type Model } from '../../../lib/classifier/model.ts';
import { convolutions, type Architecture } from '../../../lib/classifier/network.ts';
import { inferenceMode, tensorLayers } from '../../../lib/classifier/tensor-layers.ts';
import { tf } from '../../../lib/engine/tf.ts';
import { imageBytes, recipe } from '../../../bench/reference/integer-recipe.ts';
import { digest, type Digest, type Digests } from '../../support/digests.ts';

/** What Keras computed (bench/reference/keras_fixtures.py), and the same computed here. */

export interface TrainingFixture {
  readonly loss: number;
  readonly logits: readonly (readonly number[])[];
  readonly gradients: Digests;
  readonly statistics: Digests;
}

export interface KerasFixture {
  readonly architecture: Omit<Architecture, 'classes'> & { readonly inputSize: number };
  readonly images: number;
  readonly parameters: number;
  readonly layers: Digests;
  readonly features: readonly (readonly number[])[];
  readonly logits: readonly (readonly number[])[];
  /** By target class, then image: conv_7b_ac's rows. */
  readonly gradCam: readonly (readonly (readonly number[])[])[];
}

export const readFixture = (name: string): unknown =>
  JSON.parse(readFileSync(new URL(`fixtures/${name}`, import.meta.url), 'utf8'));

/** The fixture's network with the recipe's weights. The caller disposes. */
export function recipeModel({ architecture }: KerasFixture, name: string): Model {
  const { width, blocks, headUnits, inputSize } = architecture;
  const config = {
    width,
    blocks: [...blocks] as [number, number, number],
    headUnits,
    inputScaling: 'symmetric' as const,
  }; // a copy
  return createModel({ name, config, inputSize, channels: 3 }, recipe);
}

/** Images of the recipe as 0..255 floats [count, S, S, 3]. */
export function recipeImages(count: number, side: number): tf.Tensor4D {
  return tf.tensor4d(Float32Array.from(imageBytes(count, side)), [count, side, side, 3]);
}

/** Digest of every convolution and every normalised, rectified activation of one inference pass, by layer. */
export function layerDigests(model: Model, images: tf.Tensor4D): Map<string, Digest> {
  const digests = new Map<string, Digest>();
  const noted = (layer: string, y: tf.Tensor): tf.Tensor => {
    digests.set(layer, digest(layer, y.dataSync<'float32'>()));
    return y;
  };
  const inner = tensorLayers(model.variables, inferenceMode);
  const layers: Layers<tf.Tensor> = {
    ...inner,
    conv2d: (x, options) => noted(options.layer, inner.conv2d(x, options)),
    batchNormRelu: (x, layer) => noted(layer, inner.batchNormRelu(x, layer)),
  };
  const { width, blocks, headUnits } = model.options.config;
  tf.tidy(() => {
    const scaled = tf.sub<tf.Tensor4D>(tf.div(images, 127.5), 1);
    convolutions(layers, { width, blocks, headUnits, classes: 2 }, scaled);
  });
  return digests;
}
