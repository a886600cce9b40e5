import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MockActivityEnvironment } from '@temporalio/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createControlActivities } from '../../activities/control.ts';
import { createGpuActivities } from '../../activities/gpu.ts';
import { fetchGenerator } from '../../activities/local-inputs.ts';
import type { GpuActivities, TrainGeneratorSegmentInput } from '../../contract/activities.ts';
import type { EngineRunner, TrainGeneratorTask } from '../../contract/engine.ts';
import type {
  ClassSide,
  DatasetManifest,
  GeneratorManifest,
  ShardRef,
  SnapshotMetric,
} from '../../contract/manifests.ts';
import { resolveStudyFile } from '../../contract/resolve-study.ts';
import { getManifest, putBlob, putManifest } from '../../lib/storage/blobs.ts';
import { createBlobCache } from '../../lib/storage/local-blobs.ts';
import { createMemoryStore } from '../../lib/storage/memory.ts';
import { fakeFingerprint } from '../support/fake-activities.ts';

/** Both classes' steps of a conditional study work on one training, and each asks its snapshots for its own class. */

let dir = '';
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'echoforge-conditional-activities-'));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

const study = resolveStudyFile({
  ...{ studyId: 's1', preset: 'demo', dataset: { name: 'busi' }, generator: { conditional: true } },
  classes: { negative: 'benign', positive: 'malignant' },
});

describe('the training of a conditional study', () => {
  it('runs once on the shards of both classes; each class publishes it with its own metric', async () => {
    const store = createMemoryStore();
    const shardOf = async (side: ClassSide): Promise<ShardRef> => ({
      tar: await putBlob(store, Buffer.from(`${side} tar`)),
      ...{ index: await putBlob(store, Buffer.from(`${side} index`)), images: 2 },
    });
    const train = { negative: [await shardOf('negative')], positive: [await shardOf('positive')] };
    const none = { negative: [], positive: [] };
    const counts = { negative: 2, positive: 2 };
    const dataset = await putManifest<DatasetManifest>(store, {
      ...{ kind: 'dataset', name: 'busi', classes: study.classes, ignored: [], image: study.image, splitUnit: 'group' },
      ...{ training: { train, validation: none }, test: none, groups: 0, fingerprint: fakeFingerprint },
      ...{ counts: { train: counts, validation: counts, test: counts } },
      ...{ nearDuplicateGroups: [], setAside: [], rejected: [] },
    });
    const tasks: TrainGeneratorTask[] = [];
    // A real small engine: it trains nothing.
    const engine: EngineRunner = {
      run: async (task, input, { workDir, onEvent }) => {
        if (task === 'describeEngine') return fakeFingerprint as never;
        tasks.push(input as TrainGeneratorTask);
        const file = async (name: string): Promise<string> => {
          await writeFile(join(workDir, name), 'x');
          return join(workDir, name);
        };
        const snapshot = { weightsFile: await file('weights'), gridFile: await file('grid'), msSsim: null };
        const event = { type: 'generatorCheckpoint', nimg: 64, complete: true, eventsFile: null, ticks: [] } as const;
        await onEvent({ ...event, checkpointFile: await file('state'), snapshot });
        const realsGridFile = await file('reals');
        return { nimg: 64, parameters: { g: 1, d: 1 }, images: 4, realsGridFile, trouble: null } as never;
      },
    };
    const cache = createBlobCache({ dir: join(dir, 'blobs'), maxBytes: 1e6 });
    const gpu = createGpuActivities({ store, cache, workDir: dir, engine });
    const segment = (side: ClassSide): ReturnType<GpuActivities['trainGeneratorSegment']> =>
      new MockActivityEnvironment().run((input: TrainGeneratorSegmentInput) => gpu.trainGeneratorSegment(input), {
        ...{ study, side, dataset, untilNimg: 64, bestNimg: null },
      });
    const [first, second] = [await segment('negative'), await segment('positive')];
    expect(tasks).toHaveLength(1);
    expect(tasks[0]?.side).toBe('both');
    expect(tasks[0]?.shards).toHaveLength(2);
    expect(second).toEqual(first);

    const control = createControlActivities({
      ...{ store, timeouts: 'test', findIdleQueues: () => Promise.resolve([]), freeBytes: () => Promise.resolve(null) },
    });
    const metric = (value: number): SnapshotMetric => ({ name: 'm', weights: '', value, reals: 2, fakes: 2 });
    const publish = async (side: ClassSide, value: number): Promise<GeneratorManifest> =>
      getManifest(
        store,
        await control.publishGenerator({
          ...{ studyId: 's1', side, className: study.classes[side], config: study.generator, floor: metric(1) },
          ...{ metrics: [{ nimg: 64, metric: metric(value) }], stopped: null },
        }),
      );
    const [negative, positive] = [await publish('negative', 5), await publish('positive', 7)];
    expect(positive).toMatchObject({ side: 'positive', className: 'malignant', images: 4 });
    expect(positive.snapshots[0]?.weights).toEqual(negative.snapshots[0]?.weights);
    expect([negative, positive].map(({ snapshots }) => snapshots[0]?.metric?.value)).toEqual([5, 7]);
  });

  it('gives a generator that is asked for a class its label; that of one class has none', async () => {
    const store = createMemoryStore();
    const deps = { store, cache: createBlobCache({ dir: join(dir, 'models'), maxBytes: 1e6 }), workDir: dir };
    const weights = await putBlob(store, Buffer.from('weights'));
    for (const side of ['negative', 'positive'] as const)
      expect((await fetchGenerator(deps, study, { weights, side })).label).toBe(side);
    const { conditional, ...generator } = study.generator;
    expect(await fetchGenerator(deps, { ...study, generator }, { weights, side: 'positive' })).not.toHaveProperty(
      'label',
    );
  });

  it('has one list of decisions for both, of all that steer it', async () => {
    const store = createMemoryStore();
    const control = createControlActivities({
      ...{ store, timeouts: 'test', findIdleQueues: () => Promise.resolve([]), freeBytes: () => Promise.resolve(null) },
    });
    const extend = { type: 'extendTraining', side: 'negative', totalKimg: 9 } as const;
    await control.recordDecision({ studyId: 's1', decision: extend, by: 'x' });
    await control.recordDecision({
      ...{ studyId: 's1', decision: { type: 'approveSnapshot', side: 'negative', sha256: 'a' }, by: 'x' },
    });
    expect(await control.listTrainingDecisions({ studyId: 's1' })).toEqual([extend]);
  });
});
