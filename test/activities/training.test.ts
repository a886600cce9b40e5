import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { MockActivityEnvironment } from '@temporalio/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createGpuActivities } from '../../activities/gpu.ts';
import type { TrainGeneratorSegmentInput } from '../../contract/activities.ts';
import type { EngineRunner } from '../../contract/engine.ts';
import type { DatasetManifest } from '../../contract/manifests.ts';
import { resolveStudyFile } from '../../contract/resolve-study.ts';
import { putManifest } from '../../lib/storage/blobs.ts';
import { createBlobCache } from '../../lib/storage/local-blobs.ts';
import { createMemoryStore } from '../../lib/storage/memory.ts';
import type { ObjectStore } from '../../lib/storage/object-store.ts';
import { fakeFingerprint } from '../support/fake-activities.ts';

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'echoforge-training-'));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

const study = resolveStudyFile({
  studyId: 's1',
  preset: 'demo',
  dataset: { name: 'busi' },
  classes: { negative: 'benign', positive: 'malignant' },
});

/** A real small engine: it trains nothing, says `said` at once, and then is silent for `silentMs`. */
const engineThat = (silentMs: number): EngineRunner => ({
  run: async (task, _input, { workDir, onEvent }) => {
    if (task === 'describeEngine') return fakeFingerprint as never;
    await onEvent({ type: 'progress', phase: 'trace', done: 0, total: 64 });
    await sleep(silentMs);
    const checkpointFile = join(workDir, 'checkpoint');
    await writeFile(checkpointFile, 'state at 64');
    const event = { type: 'generatorCheckpoint', nimg: 64, complete: true, checkpointFile } as const;
    await onEvent({ ...event, snapshot: null, eventsFile: null, ticks: [] });
    const realsGridFile = join(workDir, 'reals.png');
    await writeFile(realsGridFile, 'grid');
    return { nimg: 64, parameters: { g: 1, d: 1 }, images: 2, realsGridFile } as never; // of trainGenerator
  },
});

async function segmentInput(store: ObjectStore): Promise<TrainGeneratorSegmentInput> {
  const none = { negative: [], positive: [] };
  const counts = { negative: 0, positive: 0 };
  const dataset = await putManifest<DatasetManifest>(store, {
    ...{ kind: 'dataset', name: 'busi', classes: study.classes, ignored: [], image: study.image, splitUnit: 'group' },
    ...{ training: { train: none, validation: none }, test: none, groups: 0, fingerprint: fakeFingerprint },
    ...{ counts: { train: counts, validation: counts, test: counts } },
    ...{ nearDuplicateGroups: [], setAside: [], rejected: [] },
  });
  return { study, side: 'negative', dataset, untilNimg: 64, bestNimg: null };
}

describe('a training segment', () => {
  it('beats from a timer while the engine is silent: a long trace is no dead worker', async () => {
    const store = createMemoryStore();
    const cache = createBlobCache({ dir: join(dir, 'blobs'), maxBytes: 1e6 });
    const gpu = createGpuActivities({ store, cache, workDir: dir, engine: engineThat(2_500) });
    const environment = new MockActivityEnvironment({ heartbeatTimeoutMs: 800, attempt: 1 });
    const beats: unknown[] = [];
    environment.on('heartbeat', (details) => beats.push(details));
    const result = await environment.run(
      (input: TrainGeneratorSegmentInput) => gpu.trainGeneratorSegment(input),
      await segmentInput(store),
    );
    expect(result).toEqual({ nimg: 64, snapshots: [], interrupted: false });
    // Every 200 ms; the engine itself spoke once.
    expect(beats.length).toBeGreaterThan(5);
    expect(beats.at(-1)).toMatchObject({ type: 'progress', phase: 'trace' });
  });
});
