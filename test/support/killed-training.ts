import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { MockActivityEnvironment } from '@temporalio/testing';
import { pino } from 'pino';
import { createGpuActivities } from '../../activities/gpu.ts';
import type { TrainGeneratorSegmentInput } from '../../contract/activities.ts';
import type { EngineRunner } from '../../contract/engine.ts';
import { trainingHeadKey } from '../../contract/keys.ts';
import type { DatasetManifest } from '../../contract/manifests.ts';
import { planSegments, totalNimgOf } from '../../contract/plan.ts';
import { resolveStudyFile } from '../../contract/resolve-study.ts';
import { generatorStateSchema } from '../../contract/training-state.ts';
import { getBlob, putBlobFile, putManifest } from '../../lib/storage/blobs.ts';
import { createBlobCache } from '../../lib/storage/local-blobs.ts';
import { createMemoryStore } from '../../lib/storage/memory.ts';
import type { ObjectStore } from '../../lib/storage/object-store.ts';
import { readHead } from '../../lib/storage/training-head.ts';
import { createRng, randomInt } from '../../lib/random.ts';
import { createEngineHost } from '../../workers/engine-host.ts';
import { fakeFingerprint } from './fake-activities.ts';
import { readEvents, type ReadValue } from './read-events.ts';
import { shardOf } from './training-runner.ts';

/**
 * A generator training at 32 px, by the real activity and a real engine process that is killed at given points; the activity
 * is called again as Temporal would. Only store and server are in this process.
 */

const study = resolveStudyFile({
  studyId: 's1',
  preset: 'demo',
  dataset: { name: 'waves' },
  classes: { negative: 'benign', positive: 'malignant' },
  generator: {
    ...{ fmapBase: 128, fmapMax: 16, latentSize: 16, mappingLayers: 2, gridSize: [4, 2] },
    ...{ totalKimg: 0.768, batchSize: 16, microBatchSize: 16, tickNimg: 64, snapshotTicks: 2, segmentTicks: 6 },
  },
});

export const totalNimg = totalNimgOf(study.generator);

/** A moment of the training: after this image count was first reached, so long. */
export interface KillPoint {
  readonly nimg: number;
  readonly delayMs: number;
}

/** `count` moments that the seed chooses, in their order. Delays reach into checkpoints and uploads, not to the end. */
export function drawKillPoints(count: number, seed: number): KillPoint[] {
  const rng = createRng(seed, 'kill points');
  const points = Array.from({ length: count }, () => ({
    nimg: randomInt(rng, totalNimg - 128),
    delayMs: randomInt(rng, 150),
  }));
  return points.sort((a, b) => a.nimg - b.nimg);
}

export interface KilledTraining {
  /** Weights, grids, ticks and the last checkpoint: hashes and numbers. */
  readonly result: unknown;
  readonly events: readonly ReadValue[];
  /** Image counts at which an engine process was killed. */
  readonly kills: readonly number[];
  readonly attempts: number;
}

async function waves(dir: string, store: ObjectStore): Promise<TrainGeneratorSegmentInput['dataset']> {
  const rng = createRng(1, 'waves');
  const images = Array.from({ length: 40 }, () => {
    const [a, b, phase] = [randomInt(rng, 9), randomInt(rng, 9), randomInt(rng, 64)];
    const data = Uint8Array.from({ length: 1024 }, (_, i) => ((i % 32) * a + (i >> 5) * b + phase) & 255);
    return { width: 32, height: 32, channels: 1 as const, data };
  });
  const { tarFile, indexFile } = await shardOf(join(dir, 'shards'), 'negative', images);
  const shard = { tar: await putBlobFile(store, tarFile), index: await putBlobFile(store, indexFile), images: 40 };
  const none = { negative: [], positive: [] };
  const counts = { negative: 40, positive: 0 };
  return await putManifest<DatasetManifest>(store, {
    ...{ kind: 'dataset', name: 'waves', classes: study.classes, ignored: [], image: study.image, splitUnit: 'group' },
    ...{ training: { train: { negative: [shard], positive: [] }, validation: none }, test: none, groups: 0 },
    ...{ fingerprint: fakeFingerprint, counts: { train: counts, validation: counts, test: counts } },
    ...{ nearDuplicateGroups: [], setAside: [], rejected: [] },
  });
}

/** Trains to the end through every kill. */
export async function trainThrough(points: readonly KillPoint[]): Promise<KilledTraining> {
  const dir = await mkdtemp(join(tmpdir(), 'echoforge-killed-'));
  const entry = new URL('../../workers/engine-process.ts', import.meta.url);
  const log = pino({ level: 'silent' });
  const host = createEngineHost({ entry, log, timeouts: 'test', maxProcesses: 1 });
  const left = [...points];
  const kills: number[] = [];
  let striking = false;
  const strike = async (nimg: number, delayMs: number): Promise<void> => {
    striking = true;
    await sleep(delayMs);
    const [pid] = host.pids();
    if (pid === undefined) throw new Error('there is no engine process to kill');
    process.kill(pid, 'SIGKILL');
    kills.push(nimg);
  };
  const engine: EngineRunner = {
    run: (task, input, options) => {
      const onEvent: typeof options.onEvent = async (event) => {
        const [point] = left;
        const trains = event.type === 'progress' && event.phase === 'train';
        if (trains && point && !striking && event.done >= point.nimg) {
          left.shift();
          void strike(event.done, point.delayMs);
        }
        await options.onEvent(event);
      };
      striking = false;
      return host.run(task, input, { ...options, onEvent });
    },
  };
  try {
    const store = createMemoryStore();
    const cache = createBlobCache({ dir: join(dir, 'blobs'), maxBytes: 1e8 });
    const gpu = createGpuActivities({ store, cache, workDir: join(dir, 'work'), engine });
    const dataset = await waves(dir, store);
    let attempts = 0;
    for (const untilNimg of planSegments(study.generator, study.image.resolution, 0))
      for (let attempt = 1; ; attempt++) {
        attempts++;
        const input: TrainGeneratorSegmentInput = { study, side: 'negative', dataset, untilNimg, bestNimg: null };
        const environment = new MockActivityEnvironment({ attempt, currentAttemptScheduledTimestampMs: attempts });
        const lost = await environment
          .run((given: TrainGeneratorSegmentInput) => gpu.trainGeneratorSegment(given), input)
          .then(
            () => false,
            (error: unknown) => {
              if (error instanceof Error && error.name === 'EngineLostError') return true;
              throw error;
            },
          );
        if (!lost) break;
      }
    const head = await readHead(store, trainingHeadKey('s1', 'generator/benign'));
    const { snapshots, ticks, checkpoint, nimg, events: files } = generatorStateSchema.parse(head?.state);
    const read: ReadValue[] = [];
    for (const file of files) read.push(...readEvents(await getBlob(store, file)));
    return { result: { snapshots, ticks, checkpoint, nimg }, events: read, kills, attempts };
  } finally {
    host.close();
    await rm(dir, { recursive: true, force: true });
  }
}
