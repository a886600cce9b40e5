import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MockActivityEnvironment } from '@temporalio/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createGpuActivities } from '../../activities/gpu.ts';
import { jsonLines, parseJsonLines } from '../../activities/local-inputs.ts';
import type { ScoredShard } from '../../contract/activities.ts';
import type { EngineRunner, ScoreShardsTask } from '../../contract/engine.ts';
import type { ClassifierManifest, RefTo } from '../../contract/manifests.ts';
import { resolveStudyFile } from '../../contract/resolve-study.ts';
import { getBlob, putBlob, putManifest } from '../../lib/storage/blobs.ts';
import { createBlobCache } from '../../lib/storage/local-blobs.ts';
import { createMemoryStore } from '../../lib/storage/memory.ts';
import type { ObjectStore } from '../../lib/storage/object-store.ts';
import { fakeFingerprint } from '../support/fake-activities.ts';
import { uncalibrated } from '../support/uncalibrated.ts';

let dir = '';
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'echoforge-score-'));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

/** A real small engine: the probabilities of two images are what its caller put in the place of the temperature. */
const engineOf = (answers: readonly (readonly number[])[]): EngineRunner => ({
  run: (task, input) => {
    if (task === 'describeEngine') return Promise.resolve(fakeFingerprint as never);
    const probabilities = answers[(input as ScoreShardsTask).model.temperature] ?? [];
    const scores = probabilities.map((probability, i) => ({ member: `seed${i + 1}.png`, probability }));
    return Promise.resolve({ scores } as never); // of scoreShards
  },
});

const answers = [
  [0.4, 0.95],
  [0.9, 0.75],
  [0.8, 0.4],
];

/** Scores of two images, by the first `classifiers` of the three that answer so, under this rule. */
async function score(filter: object, classifiers: number): Promise<{ accepted: number; probabilities: number[] }> {
  const store: ObjectStore = createMemoryStore();
  const study = resolveStudyFile({
    ...{ studyId: 's1', dataset: { name: 'busi' }, classes: { negative: 'benign', positive: 'malignant' } },
    ...{ filter, repeats: 3 },
  });
  const model = async (temperature: number): Promise<RefTo<ClassifierManifest>> =>
    await putManifest<ClassifierManifest>(store, {
      ...{ kind: 'classifier', variant: 'real', config: study.classifier, inputSize: 96, parameters: 1 },
      ...{ pretrained: null, history: [], epoch: 1, fingerprint: fakeFingerprint, fingerprintChanges: [] },
      images: { train: { negative: 1, positive: 1 }, validation: { negative: 1, positive: 1 } },
      weights: await putBlob(store, Buffer.from('weights')),
      validation: uncalibrated.validation,
      calibration: { ...uncalibrated.calibration, temperature },
    });
  const [classifier, ...ensemble] = await Promise.all(answers.slice(0, classifiers).map((_, i) => model(i)));
  if (!classifier) throw new Error('at least one classifier');
  const tar = await putBlob(store, Buffer.from('tar'));
  const shard = { firstSeed: 1, lastSeed: 2, shard: { tar, index: await putBlob(store, jsonLines([])), images: 2 } };
  const cache = createBlobCache({ dir: join(dir, 'blobs'), maxBytes: 2 ** 20 });
  const gpu = createGpuActivities({ store, cache, workDir: dir, engine: engineOf(answers) });
  const input = {
    ...{ study, side: 'positive' as const, classifier, shard },
    ...(ensemble.length > 0 && { ensemble }),
  };
  const environment = new MockActivityEnvironment();
  // `run` forgets what its function returns.
  const scored = (await environment.run(() => gpu.scoreShard(input))) as ScoredShard;
  const rows = parseJsonLines<{ probability: number }>(await getBlob(store, scored.scores));
  return { accepted: scored.accepted, probabilities: rows.map(({ probability }) => probability) };
}

describe('scoring a shard of fakes', () => {
  it('stores what one classifier says, and counts what passes its rule', async () => {
    expect(await score({}, 1)).toEqual({ accepted: 1, probabilities: [0.4, 0.95] });
  });
  it('stores the mean of an ensemble, which has to pass the rule that the ensemble names', async () => {
    const { accepted, probabilities } = await score({ rule: 'ensemble' }, 3);
    expect(probabilities.map((p) => p.toFixed(12))).toEqual(['0.700000000000', '0.700000000000']);
    expect(accepted).toBe(2);
    const strict = { rule: 'ensemble', ensembleRule: 'threshold', threshold: 0.71 };
    expect((await score(strict, 3)).accepted).toBe(0);
    expect((await score({ ...strict, threshold: 0.69 }, 3)).accepted).toBe(2);
  });
});
