import { stat } from 'node:fs/promises';
import type { EngineSettings } from '../../contract/engine.ts';
import { imageTensor } from '../classifier/forward.ts';
import type { NetworkPlan } from '../classifier/shape-layers.ts';
import { inferenceMode, tensorLayers } from '../classifier/tensor-layers.ts';
import { storedWeights } from '../classifier/weight-file.ts';
import { weightFormat } from '../classifier/weight-format.ts';
import { refuseBadValues, takeWeights } from '../classifier/weights.ts';
import { loadEngine } from '../engine/backend.ts';
import { compileStep } from '../engine/compile.ts';
import { withTensorFile } from '../engine/tensor-file.ts';
import { tf } from '../engine/tf.ts';
import { createVariable } from '../engine/variables.ts';
import { DatasetError, WeightsError } from '../errors.ts';
import type { RawImage } from '../image/raw-image.ts';
import { inceptionFeatures, inceptionMaxBytes, inceptionSide, planInception } from './inception-2015.ts';

/** What a weight file must say of itself: Keras' and torchvision's weights have the same shapes and give another metric. */
export const inceptionFormat = { format: 'echoforge-inception-2015', formatVersion: '1' } as const;

export interface InceptionFeatures {
  /** 2048 */
  readonly featureSize: number;
  /** Pooled features, [images, 2048] row after row. */
  features(images: readonly RawImage[]): Float32Array;
  dispose(): void;
}

/** Keeps the names of variables apart when several live in one process. */
let loaded = 0;

/**
 * [N, S, S, 1 or 3], 0..255 -> [N, 299, 299, 3] in [-1, 1): grey in all three, TensorFlow 1's bilinear resize (corners not
 * aligned, no half-pixel centres, no antialiasing) in floats, (x - 128) / 128.
 */
export function inceptionInput(images: tf.Tensor4D): tf.Tensor4D {
  const resized = tf.image.resizeBilinear(images, [inceptionSide, inceptionSide], false, false);
  const scaled: tf.Tensor4D = tf.mul(tf.sub(resized, 128), 1 / 128);
  return images.shape[3] === 3 ? scaled : tf.tile(scaled, [1, 1, 1, 3]);
}

/**
 * Loads the 2015-12-05 network for images of `side` px. Always in fp32, whatever the study trains in: FID is compared between
 * studies. Passes have `batchSize` slots, the last filled up with black.
 *
 * Throws WeightsError when the file is not the converted network; `features` throws DatasetError for images of another size.
 */
export async function loadInception(options: {
  readonly weightsFile: string;
  readonly execution: EngineSettings['execution'];
  readonly side: number;
  readonly channels: 1 | 3;
  readonly batchSize: number;
}): Promise<InceptionFeatures> {
  const { weightsFile, execution, side, channels, batchSize } = options;
  await loadEngine();
  const plan = planInception();
  const values = await readInceptionWeights(weightsFile, plan);
  const name = `inception${loaded++}`;
  const variables = new Map<string, tf.Variable>();
  for (const spec of plan.variables) {
    const value = values.get(spec.name) ?? new Float32Array();
    variables.set(spec.name, createVariable(`${name}/${spec.name}`, spec.shape, value, false));
  }
  const layers = tensorLayers(variables, inferenceMode);
  const step = compileStep({
    name: 'inceptionFeatures',
    settings: { execution, precision: 'fp32' },
    variables: [...variables.values()],
    inputs: { images: { shape: [batchSize, side, side, channels], dtype: 'float32' } },
    // Shape as declared.
    step: ({ images }) => ({ features: inceptionFeatures(layers, inceptionInput(images as tf.Tensor4D)) }),
  });
  const runBatch = (images: readonly RawImage[]): Float32Array => {
    const input = imageTensor({ inputSize: side, channels, batchSize }, images.length, (slot, target, offset) => {
      target.set(images[slot]?.data ?? [], offset);
    });
    const outputs = step.run({ images: input });
    const rows = outputs.features?.dataSync() ?? [];
    tf.dispose([input, outputs]);
    return Float32Array.from(rows).subarray(0, images.length * plan.features);
  };
  return {
    featureSize: plan.features,
    features(images) {
      for (const { width, height, channels: found } of images)
        if (width !== side || height !== side || found !== channels)
          throw new DatasetError(
            `the snapshot metric expects images of ${side} px and ${channels} channels, got ${width}x${height} and ${found}`,
          );
      const features = new Float32Array(images.length * plan.features);
      for (let start = 0; start < images.length; start += batchSize)
        features.set(runBatch(images.slice(start, start + batchSize)), start * plan.features);
      return features;
    },
    dispose() {
      step.dispose();
      for (const variable of variables.values()) variable.dispose();
    },
  };
}

async function readInceptionWeights(file: string, { variables }: NetworkPlan): Promise<Map<string, Float32Array>> {
  const hint = 'convert the published file with bench/reference/inception_2015_convert.py (docs/operating.md)';
  const { size } = await stat(file);
  if (size > inceptionMaxBytes())
    throw new WeightsError(`${file} has ${size} bytes, more than the 2015 network; ${hint}`);
  const format = await weightFormat(file);
  if (format !== 'safetensors')
    throw new WeightsError(`${file} is ${format}; the 2015 Inception network expects safetensors: ${hint}`);
  return await withTensorFile(file, ({ tensors, metadata }) => {
    for (const [key, expected] of Object.entries(inceptionFormat))
      if (metadata[key] !== expected)
        throw new WeightsError(
          `${file} does not say that it is the 2015-12-05 network (${key} is ${metadata[key] ?? 'missing'}, expected ${expected}); ${hint}`,
        );
    const taken = takeWeights(storedWeights(tensors), variables, { file });
    refuseBadValues(taken, file);
    return taken;
  });
}
