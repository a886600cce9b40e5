import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { fetchExtractor } from '../../activities/extractor.ts';
import { importWeights } from '../../cli/weights.ts';
import { promisedSha256 } from '../../contract/keys.ts';
import type { ClassifierManifest } from '../../contract/manifests.ts';
import { resolveStudyFile } from '../../contract/resolve-study.ts';
import { loadEngine } from '../../lib/engine/backend.ts';
import { writeTensorFile } from '../../lib/engine/tensor-file.ts';
import { tf } from '../../lib/engine/tf.ts';
import { putBlob, putManifest } from '../../lib/storage/blobs.ts';
import { createBlobCache } from '../../lib/storage/local-blobs.ts';
import { createMemoryStore } from '../../lib/storage/memory.ts';
import type { ObjectStore } from '../../lib/storage/object-store.ts';
import { fakeFingerprint } from '../support/fake-activities.ts';
import { uncalibrated } from '../support/uncalibrated.ts';

/** Which network measures, and under which name; that the network computes the right features is its own test. */
let dir = '';
let file = '';
let store: ObjectStore;
beforeAll(async () => {
  await loadEngine();
  dir = await mkdtemp(join(tmpdir(), 'echoforge-extractor-'));
  file = join(dir, 'inception.safetensors');
  const tensor = tf.scalar(1);
  await writeTensorFile(file, { tensor }, {});
  tensor.dispose();
});
afterAll(() => rm(dir, { recursive: true, force: true }));
beforeEach(() => {
  store = createMemoryStore();
});

const classifierWeights = Buffer.from('weights of the real classifier');
async function fetchFor(snapshotMetric: object): ReturnType<typeof fetchExtractor> {
  const study = resolveStudyFile({
    studyId: 's1',
    dataset: { name: 'x' },
    classes: { negative: 'a', positive: 'b' },
    snapshotMetric,
  });
  const workDir = await mkdtemp(join(dir, 'work-'));
  const manifest: ClassifierManifest = {
    ...{ kind: 'classifier', variant: 'real', config: study.classifier, inputSize: 75, parameters: 1 },
    ...{ pretrained: null, history: [], epoch: 1, fingerprint: fakeFingerprint, fingerprintChanges: [] },
    images: { train: { negative: 1, positive: 1 }, validation: { negative: 1, positive: 1 } },
    weights: await putBlob(store, classifierWeights),
    ...uncalibrated,
  };
  const cache = createBlobCache({ dir: join(workDir, 'cache'), maxBytes: 2 ** 20 });
  return await fetchExtractor(
    { store, workDir, cache },
    { study, classifier: await putManifest(store, manifest), workDir },
  );
}

describe('the extractor of the snapshot metric', () => {
  it('is the real classifier unless weights are supplied, and the metric is then not called FID', async () => {
    const { extractor, metric } = await fetchFor({});
    expect(extractor.kind).toBe('classifier');
    expect(metric).toEqual({ name: 'fd.irv2-real', weights: (await putBlob(store, classifierWeights)).sha256 });
  });

  it('is the 2015 Inception network where its weights are supplied: FID, with their hash', async () => {
    const inceptionWeights = await importWeights({ store, file, say: () => undefined });
    const { extractor, metric } = await fetchFor({ inceptionWeights });
    expect(metric).toEqual({ name: 'fid', weights: promisedSha256(inceptionWeights) });
    if (extractor.kind !== 'inception-2015') throw new Error(`expected inception-2015, got ${extractor.kind}`);
    expect(await readFile(extractor.weightsFile)).toEqual(await readFile(file));
  });

  it('is refused when its weights were replaced after their import', async () => {
    const inceptionWeights = await importWeights({ store, file, say: () => undefined });
    await store.put(inceptionWeights, Buffer.concat([await readFile(file), Buffer.from([0])]));
    await expect(fetchFor({ inceptionWeights })).rejects.toThrow(/changed after its import/);
  });
});
