import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { imageBytes, mixed, recipe } from '../../../bench/reference/integer-recipe.ts';
import type { Layers } from '../../../lib/classifier/layers.ts';
import { inferenceMode, tensorLayers } from '../../../lib/classifier/tensor-layers.ts';
import { loadEngine } from '../../../lib/engine/backend.ts';
import { tf } from '../../../lib/engine/tf.ts';
import { DatasetError, WeightsError } from '../../../lib/errors.ts';
import type { RawImage } from '../../../lib/image/raw-image.ts';
import { inceptionFeatures, planInception } from '../../../lib/metrics/inception-2015.ts';
import { inceptionInput, loadInception } from '../../../lib/metrics/inception-features.ts';
import { digest, expectDigests, expectRows, type Digest, type Digests } from '../../support/digests.ts';
import { writeInceptionWeights } from '../../support/inception-weights.ts';

/** What PyTorch computes in float64 with the same weights (bench/reference/make_inception_fixture.py). */
interface Fixture {
  readonly images: number;
  readonly parameters: number;
  readonly variables: number;
  readonly cases: Readonly<
    Record<string, { side: number; channels: 1 | 3; layers: Digests; features: readonly (readonly number[])[] }>
  >;
}
const fixture = JSON.parse(readFileSync(new URL('fixtures/inception-2015.json', import.meta.url), 'utf8')) as Fixture;
const plan = planInception();
const cases = Object.entries(fixture.cases).map(([name, values]) => ({ name, ...values }));
const featureSize = 2048;

let dir = '';
let weightsFile = '';
beforeAll(async () => {
  await loadEngine();
  dir = await mkdtemp(join(tmpdir(), 'echoforge-inception-'));
  weightsFile = join(dir, 'inception.safetensors');
  await writeInceptionWeights(weightsFile);
});
afterAll(() => rm(dir, { recursive: true, force: true }));

function rawImages(side: number, channels: 1 | 3): RawImage[] {
  const bytes = imageBytes(fixture.images, side);
  const size = side * side * 3;
  return Array.from({ length: fixture.images }, (_, n) => {
    const rgb = bytes.subarray(n * size, (n + 1) * size);
    const data = channels === 3 ? rgb : rgb.filter((_value, i) => i % 3 === 0);
    return { width: side, height: side, channels, data };
  });
}

const load = (file: string, options: { side?: number; channels?: 1 | 3; execution?: 'function' | 'eager' } = {}) =>
  loadInception({ weightsFile: file, execution: 'function', side: 64, channels: 1, batchSize: 3, ...options });

describe('the 2015 Inception network', () => {
  it('has the parameters of the published one without its classification layer', () => {
    expect(plan.parameters).toBe(21_802_784);
    expect(plan.parameters).toBe(fixture.parameters);
    expect(plan.variables).toHaveLength(fixture.variables);
    expect(plan.features).toBe(featureSize);
    expect(plan.outputs.get('conv4a')).toEqual([71, 71, 192]);
    expect(plan.outputs.get('mixed10/pool')).toEqual([8, 8, 192]);
  });

  it.each(cases)('computes in every layer what PyTorch computes from $name, to 1e-4', ({ side, channels, layers }) => {
    const variables = new Map(
      plan.variables.map((spec) => [spec.name, tf.variable(tf.tensor(recipe(spec), [...spec.shape]))]),
    );
    const digests = new Map<string, Digest>();
    const inner = tensorLayers(variables, inferenceMode);
    const noted: Layers<tf.Tensor> = {
      ...inner,
      batchNormRelu(x, layer) {
        const y = inner.batchNormRelu(x, layer);
        digests.set(layer, digest(layer, y.dataSync<'float32'>()));
        return y;
      },
    };
    const images = rawImages(side, channels).flatMap(({ data }) => [...data]);
    tf.tidy(() =>
      inceptionFeatures(noted, inceptionInput(tf.tensor4d(images, [fixture.images, side, side, channels]))),
    );
    for (const variable of variables.values()) variable.dispose();
    expectDigests(digests, layers, 1e-4);
  });

  it.each(cases)(
    'gives its features from $name, recorded and, where it is small, op by op',
    async ({ side, channels, features }) => {
      const kept = [...mixed('features', 64)].map((x) => x % featureSize);
      const images = rawImages(side, channels);
      for (const execution of channels === 1 ? (['function', 'eager'] as const) : (['function'] as const)) {
        const network = await load(weightsFile, { side, channels, execution });
        const ours = network.features(images);
        network.dispose();
        expect(ours).toHaveLength(images.length * featureSize);
        const picked = images.flatMap((_, n) => kept.map((column) => ours[n * featureSize + column] ?? Number.NaN));
        expectRows(Float32Array.from(picked), features, 1e-4);
      }
    },
  );

  it('gives an image the same features in every batch, and leaves no tensor behind', async () => {
    const [first, second] = rawImages(64, 1) as [RawImage, RawImage];
    const before = tf.memory().numTensors;
    const network = await load(weightsFile);
    const many = network.features([first, second, first, second]);
    const row = (n: number): Float32Array => many.subarray(n * featureSize, (n + 1) * featureSize);
    expect(row(0)).toEqual(row(2));
    expect(row(3)).toEqual(network.features([second]));
    expect(row(0)).not.toEqual(row(1));
    expect(() => network.features([{ ...first, width: 32, height: 32 }])).toThrow(DatasetError);
    network.dispose();
    expect(tf.memory().numTensors).toBe(before);
  });
});

describe('weights that are not of the 2015 network', () => {
  const only = (name: string): boolean => name === 'conv1a/kernel';
  it('are refused, whatever their shapes, when they do not say that they are', async () => {
    const file = join(dir, 'keras.safetensors');
    await writeInceptionWeights(file, { metadata: { format: 'echoforge-classifier' }, only });
    await expect(load(file)).rejects.toThrow(/format is echoforge-classifier.*inception_2015_convert/);
  });
  it('are refused when tensors are missing', async () => {
    const file = join(dir, 'short.safetensors');
    await writeInceptionWeights(file, { only });
    await expect(load(file)).rejects.toThrow(/conv1a_bn\/beta is missing.*and 370 more/);
  });
  it('are refused when a value is not finite', async () => {
    const file = join(dir, 'nan.safetensors');
    const bytes = await readFile(weightsFile);
    bytes.writeFloatLE(Number.NaN, bytes.length - 4);
    await writeFile(file, bytes);
    await expect(load(file)).rejects.toThrow(/values that no trained network has/);
  });
  it('are refused in another form', async () => {
    const file = join(dir, 'weights.h5');
    await writeFile(file, Buffer.concat([Buffer.from('\x89HDF\r\n\x1a\n', 'latin1'), Buffer.alloc(100)]));
    await expect(load(file)).rejects.toThrow(WeightsError);
    await expect(load(file)).rejects.toThrow(/keras-h5; the 2015 Inception network expects safetensors/);
  });
});
