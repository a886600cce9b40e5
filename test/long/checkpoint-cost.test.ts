import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { tickNimgOf } from '../../contract/plan.ts';
import { defaults } from '../../contract/presets.ts';
import type { GeneratorConfig } from '../../contract/study.ts';
import { loadEngine } from '../../lib/engine/backend.ts';
import { trainGenerator } from '../../lib/generator/train.ts';
import { simulatePhantom } from '../../lib/phantom/simulate.ts';
import { hashFile, putBlobFile, putObjectFile } from '../../lib/storage/blobs.ts';
import { openMinioStore } from '../../lib/storage/minio.ts';
import { startMinio, type TestMinio } from '../support/minio.ts';
import { recordInto, shardOf } from '../support/training-runner.ts';

/** 64 px with at most 64 feature maps; default minibatch, ticks, snapshots and segments. */
const config: GeneratorConfig = { ...defaults.generator, fmapMax: 64, microBatchSize: 32 };
const image = { ...defaults.image, resolution: 64 };
/** Snapshots of `examples/busi-64.json`, the most frequent ones of a study that is meant: every 5 kimg. */
const frequentNimg = 5000;

let dir = '';
let minio: TestMinio;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'echoforge-checkpoint-cost-'));
  minio = await startMinio();
});
afterAll(async () => {
  await minio?.stop();
  await rm(dir, { recursive: true, force: true });
});

describe('a checkpoint at 64 px', () => {
  it('with its snapshot, grid and upload costs less than 2% of the training between two', async () => {
    await loadEngine();
    const store = openMinioStore(minio.options);
    const phantoms = Array.from({ length: 64 }, (_, index) =>
      simulatePhantom({ side: 'negative', index, seed: 1, resolution: 64 }),
    );
    const shards = [await shardOf(join(dir, 'reals'), 'negative', phantoms)];
    const iterations: number[] = [];
    const costs: number[] = [];
    let bytes = 0;
    let last = performance.now();
    const sinceLast = (): number => {
      const now = performance.now();
      const seconds = (now - last) / 1000;
      last = now;
      return seconds;
    };
    const { context } = await recordInto(
      join(dir, 'work'),
      { precision: 'fp32', execution: 'function' },
      {
        stopWhen: ({ phase }) => {
          if (phase === 'train') iterations.push(sinceLast());
          return false;
        },
        // As activities/training-session.ts does it.
        take: async (event) => {
          if (event.type !== 'generatorCheckpoint' || event.snapshot === null || event.eventsFile === null) return;
          const ref = await hashFile(event.checkpointFile);
          await putObjectFile(store, { key: `files/${ref.sha256}`, ref, file: event.checkpointFile });
          for (const file of [event.snapshot.weightsFile, event.snapshot.gridFile, event.eventsFile])
            await putBlobFile(store, file);
          bytes = (await stat(event.checkpointFile)).size;
          costs.push(sinceLast());
        },
      },
    );
    const short = { ...config, totalKimg: 0.64, tickNimg: 320, snapshotTicks: 1 };
    const task = {
      config: short,
      image,
      seed: 1,
      side: 'negative',
      shards,
      checkpointFile: null,
      startFile: null,
    } as const;
    await trainGenerator({ ...task, untilNimg: 640 }, context);

    // The first iterations record the steps; the first checkpoint comes after loading.
    const steady = iterations.slice(4);
    const perKimg = (steady.reduce((sum, seconds) => sum + seconds, 0) / steady.length) * (1000 / config.batchSize);
    const cost = Math.max(...costs.slice(1));
    const segmentNimg = tickNimgOf(config, image.resolution) * config.segmentTicks;
    const perSegment = (config.segmentTicks / config.snapshotTicks) * cost;
    const ofSegment = perSegment / ((segmentNimg / 1000) * perKimg);
    const ofFrequent = cost / ((frequentNimg / 1000) * perKimg);
    console.log(
      `${perKimg.toFixed(1)} s/kimg; a checkpoint of ${(bytes / 1e6).toFixed(1)} MB with snapshot and grid ${cost.toFixed(2)} s; ` +
        `of a segment of ${segmentNimg / 1000} kimg ${(100 * ofSegment).toFixed(4)}%, every 5 kimg ${(100 * ofFrequent).toFixed(2)}%`,
    );
    expect(costs).toHaveLength(3);
    expect(ofSegment).toBeLessThan(0.02);
    expect(ofFrequent).toBeLessThan(0.02);
  });
});
