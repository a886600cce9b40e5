import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { fetchPretrained } from '../../activities/pretrained.ts';
import { exportWeights, importWeights } from '../../cli/weights.ts';
import { stepKey } from '../../contract/keys.ts';
import type { ClassifierManifest } from '../../contract/manifests.ts';
import { defaults } from '../../contract/presets.ts';
import { createModel, type Model } from '../../lib/classifier/model.ts';
import { maxWeightFileBytes } from '../../lib/classifier/shape-layers.ts';
import { withWeightFile } from '../../lib/classifier/weight-file.ts';
import { copyWeights, writeWeights } from '../../lib/classifier/weights.ts';
import { loadEngine } from '../../lib/engine/backend.ts';
import { ConfigurationError, NotFoundError, WeightsError } from '../../lib/errors.ts';
import { putBlobFile, putManifest } from '../../lib/storage/blobs.ts';
import { createMemoryStore } from '../../lib/storage/memory.ts';
import type { ObjectStore } from '../../lib/storage/object-store.ts';
import { updatePointer } from '../../lib/storage/pointer.ts';
import { recipe } from '../../bench/reference/integer-recipe.ts';
import { fakeFingerprint } from '../support/fake-activities.ts';
import { uncalibrated } from '../support/uncalibrated.ts';

/** Weights in and out of the store: from a file to a training, from a finished study to Keras. */

const config = { ...defaults.classifier, width: 0.01, blocks: [1, 1, 1] as [number, number, number], headUnits: 4 };
const say = (): void => undefined;
let dir = '';
let model: Model;
let own = '';
let store: ObjectStore;

beforeAll(async () => {
  await loadEngine();
  dir = await mkdtemp(join(tmpdir(), 'echoforge-cli-weights-'));
  model = createModel({ name: 'cli', config, inputSize: 75, channels: 3 }, recipe);
  own = join(dir, 'own weights.safetensors');
  await writeWeights(own, model, copyWeights(model));
});
afterAll(async () => {
  model.dispose();
  await rm(dir, { recursive: true, force: true });
});
beforeEach(() => {
  store = createMemoryStore();
});

const limits = (): { maxBytes: number } => ({ maxBytes: maxWeightFileBytes(model.plan) });
const field = 'classifier.weights';
const fetchInto = async (key: string, maxBytes = limits().maxBytes): Promise<string> =>
  fetchPretrained(store, key, { dir: await mkdtemp(join(dir, 'fetched-')), maxBytes, field });
const valuesOf = (file: string): Promise<Map<string, Float32Array>> =>
  withWeightFile(file, limits(), (weights) => new Map([...weights].map(([name, weight]) => [name, weight.read()])));

async function putTfjs(first: number): Promise<string> {
  const folder = join(dir, `tfjs-${first}`);
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, 'shard.bin'), Buffer.from(Float32Array.of(first, 2).buffer));
  const weights = [{ name: 'conv2d_1/kernel', shape: [1, 1, 1, 2], dtype: 'float32' }];
  await writeFile(join(folder, 'model.json'), JSON.stringify({ weightsManifest: [{ paths: ['shard.bin'], weights }] }));
  return join(folder, 'model.json');
}

describe('pretrained weights', () => {
  it('reach a training as they were imported', async () => {
    const key = await importWeights({ store, file: own, say });
    expect(key).toMatch(/^weights\/[0-9a-f]{64}\/own_weights\.safetensors$/);
    expect(await valuesOf(await fetchInto(key))).toEqual(copyWeights(model));
  });

  it('bring the shards of a TensorFlow.js model along', async () => {
    const key = await importWeights({ store, file: await putTfjs(1), say });
    expect(await valuesOf(await fetchInto(key))).toEqual(new Map([['conv2d_1/kernel', Float32Array.of(1, 2)]]));
  });

  it('of two models that differ in a shard only have two keys', async () => {
    const [a, b] = [await putTfjs(1), await putTfjs(3)];
    expect(await importWeights({ store, file: a, say })).not.toBe(await importWeights({ store, file: b, say }));
  });

  it('are refused when a file or a shard was replaced in the store', async () => {
    const key = await importWeights({ store, file: await putTfjs(1), say });
    await store.put(`${dirname(key)}/shard.bin`, Buffer.from(Float32Array.of(9, 9).buffer));
    await expect(fetchInto(key)).rejects.toThrow(/changed after its import/);
  });

  it('are refused when they are missing, too large, or name a shard that is not there', async () => {
    await expect(fetchInto('weights/none.h5')).rejects.toThrow(ConfigurationError);
    const key = await importWeights({ store, file: own, say });
    await expect(fetchInto(key, 1000)).rejects.toThrow(WeightsError);
    const tfjs = await importWeights({ store, file: await putTfjs(1), say });
    await store.delete(`${dirname(tfjs)}/shard.bin`);
    await expect(fetchInto(tfjs)).rejects.toThrow(/shard\.bin, which is not in the store/);
  });

  it('are refused at import when they are none', async () => {
    const file = join(dir, 'photo.h5');
    await writeFile(file, 'not weights at all');
    await expect(importWeights({ store, file, say })).rejects.toThrow(WeightsError);
  });
});

describe('export of a trained classifier', () => {
  beforeEach(async () => {
    const manifest: ClassifierManifest = {
      ...{ kind: 'classifier', variant: 'real', config, inputSize: 75, parameters: model.plan.parameters },
      ...{ pretrained: null, history: [], epoch: 1, fingerprint: fakeFingerprint, fingerprintChanges: [] },
      images: { train: { negative: 1, positive: 1 }, validation: { negative: 1, positive: 1 } },
      weights: await putBlobFile(store, own),
      ...uncalibrated,
    };
    const ref = await putManifest(store, manifest);
    await updatePointer(store, stepKey('s1', 'classifier/real'), () => ({ identity: '', manifest: ref }));
  });

  it.each(['h5', 'safetensors'] as const)('as %s holds every weight', async (format) => {
    const out = join(dir, `out.${format}`);
    await exportWeights({ store, studyId: 's1', variant: 'real', format, out, say });
    expect(await valuesOf(out)).toEqual(copyWeights(model));
  });

  it('is refused when the study has none, and writes nothing', async () => {
    const out = join(dir, 'none.h5');
    const missing = exportWeights({ store, studyId: 's1', variant: 'synthetic', format: 'h5', out, say });
    await expect(missing).rejects.toThrow(NotFoundError);
    expect(await readdir(dir)).not.toContain('none.h5');
  });
});
