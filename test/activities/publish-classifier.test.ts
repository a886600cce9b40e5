import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createControlActivities } from '../../activities/control.ts';
import { fetchClassifier, jsonLines } from '../../activities/local-inputs.ts';
import { studyKey, trainingHeadKey } from '../../contract/keys.ts';
import type { ClassifierManifest, RefTo, ValidationScore } from '../../contract/manifests.ts';
import { trainingName, type ClassifierTraining } from '../../contract/names.ts';
import { resolveStudyFile } from '../../contract/resolve-study.ts';
import { newClassifierState, type ClassifierState } from '../../contract/training-state.ts';
import { getManifest, putBlob } from '../../lib/storage/blobs.ts';
import { createBlobCache } from '../../lib/storage/local-blobs.ts';
import { createMemoryStore } from '../../lib/storage/memory.ts';
import type { ObjectStore } from '../../lib/storage/object-store.ts';
import { updatePointer } from '../../lib/storage/pointer.ts';
import { claimHead } from '../../lib/storage/training-head.ts';
import { fakeFingerprint } from '../support/fake-activities.ts';

let dir = '';
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'echoforge-publish-'));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

/** Log-odds towards the image's own class: two surprising errors among six. */
const scores = [5, 4, -4, 3, -3, 6].map((margin, i): ValidationScore => {
  const side = i % 2 === 0 ? 'negative' : 'positive';
  return { side, logOdds: side === 'positive' ? margin : -margin };
});

/** Publishes a finished training of a study with this `classifier`. */
async function publish(
  classifier: Record<string, unknown>,
  validation: readonly ValidationScore[] | null,
  training: ClassifierTraining = { variant: 'real' },
  recoveries: ClassifierState['recoveries'] = [],
): Promise<{ store: ObjectStore; ref: RefTo<ClassifierManifest> }> {
  const store = createMemoryStore();
  const classes = { negative: 'benign', positive: 'malignant' };
  const study = resolveStudyFile({ studyId: 's1', dataset: { name: 'busi' }, classes, classifier });
  await updatePointer(store, studyKey('s1'), () => ({ study, source: null }));
  const perClass = { negative: 3, positive: 3 };
  await claimHead({
    ...{ store, key: trainingHeadKey('s1', `classifier/${trainingName(training)}`), owner: 'test', nonce: '1' },
    configSha256: '0'.repeat(64),
    initial: {
      ...newClassifierState,
      ...{ finished: true, parameters: 1, recoveries, fingerprint: fakeFingerprint, weightsEpoch: 1 },
      images: { train: perClass, validation: perClass },
      weights: await putBlob(store, Buffer.from('weights')),
      validation: validation === null ? null : await putBlob(store, jsonLines(validation)),
    },
  });
  const control = createControlActivities({
    ...{ store, timeouts: 'test', findIdleQueues: () => Promise.resolve([]), freeBytes: () => Promise.resolve(null) },
  });
  return { store, ref: await control.publishClassifier({ studyId: 's1', ...training }) };
}

describe('publishClassifier', () => {
  it('fits the temperature on the validation scores of the weights, and every scorer is given it', async () => {
    const { store, ref } = await publish({}, scores);
    const { calibration, validation } = await getManifest<ClassifierManifest>(store, ref);
    expect(calibration.temperature).toBeGreaterThan(1.5);
    expect(calibration.after.logLoss).toBeLessThan(calibration.before.logLoss);
    expect(validation).toEqual(await putBlob(store, jsonLines(scores)));
    const cache = createBlobCache({ dir: join(dir, 'cache'), maxBytes: 2 ** 20 });
    const model = await fetchClassifier({ store, cache, workDir: dir }, ref, 1);
    expect(model.temperature).toBe(calibration.temperature);
  });
  it('says how often the training diverged, and has no field for it where it never did', async () => {
    const recoveries = [{ epoch: 3, loss: 'NaN', learningRate: 0.01, nextLearningRate: 0.001 }];
    const diverged = await publish({}, scores, { variant: 'real' }, recoveries);
    expect(await getManifest<ClassifierManifest>(diverged.store, diverged.ref)).toMatchObject({ recoveries });
    const { store, ref } = await publish({}, scores);
    expect(await getManifest<ClassifierManifest>(store, ref)).not.toHaveProperty('recoveries');
  });
  it('fits none where the study file asks for none', async () => {
    const { store, ref } = await publish({ calibration: 'none' }, scores);
    expect((await getManifest<ClassifierManifest>(store, ref)).calibration).toMatchObject({
      temperature: 1,
      note: null,
    });
  });
  it('reads the training of a repeat, and says which it is; repeat 0 says nothing of repeats', async () => {
    const { store, ref } = await publish({}, scores, { variant: 'synthetic', repeat: 2 });
    expect(await getManifest<ClassifierManifest>(store, ref)).toMatchObject({ variant: 'synthetic', repeat: 2 });
    const first = await publish({}, scores);
    expect(await getManifest<ClassifierManifest>(first.store, first.ref)).not.toHaveProperty('repeat');
  });
  it('refuses a training without validation scores', async () => {
    await expect(publish({}, null)).rejects.toThrow(/finished training/);
  });
});
