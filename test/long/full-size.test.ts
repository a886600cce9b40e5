import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { EngineContext, EngineEvent, LocalShard } from '../../contract/engine.ts';
import { classSides, type ClassSide } from '../../contract/manifests.ts';
import { defaults } from '../../contract/presets.ts';
import { trainClassifier } from '../../lib/classifier/train.ts';
import { writeShard } from '../../lib/dataset/shard.ts';
import { trainGenerator } from '../../lib/generator/train.ts';
import { encodePng } from '../../lib/image/png.ts';
import { simulatePhantom } from '../../lib/phantom/simulate.ts';

/** One real step of every phase at the published sizes, 256 px: nothing in the product is only ever run small. */

let workDir = '';
const shards: Partial<Record<ClassSide, LocalShard>> = {};

beforeAll(async () => {
  workDir = await mkdtemp(join(tmpdir(), 'echoforge-full-size-'));
  for (const side of classSides) {
    const images = Array.from({ length: 4 }, (_, index) => simulatePhantom({ side, index, seed: 1, resolution: 256 }));
    const members = await Promise.all(
      images.map(async (image, index) => ({
        entry: { member: `${index}.png`, side, source: `${side}/${index}.png`, groupId: null, seed: null },
        png: await encodePng(image),
      })),
    );
    const files = { tarFile: join(workDir, `${side}.tar`), indexFile: join(workDir, `${side}.jsonl`) };
    shards[side] = await writeShard({ ...files, members });
  }
});
afterAll(() => rm(workDir, { recursive: true, force: true }));

const shardsOf = (side: ClassSide): LocalShard[] => {
  const shard = shards[side];
  return shard ? [shard] : [];
};
function contextInto(events: EngineEvent[]): EngineContext {
  return {
    settings: { precision: 'fp32', execution: defaults.execution },
    workDir,
    signal: new AbortController().signal,
    emit: (event) => {
      if (event.type !== 'progress') events.push(event);
      return Promise.resolve();
    },
  };
}
const report = (what: string, began: number): void =>
  console.log(
    `${what}: ${((performance.now() - began) / 1000).toFixed(1)} s, ` +
      `peak memory of the process ${(process.resourceUsage().maxRSS / 2 ** 20).toFixed(1)} GiB`,
  );

describe('at 256 px', () => {
  it('InceptionResNetV2 takes one training step with all layers, and predicts', async () => {
    const events: EngineEvent[] = [];
    const began = performance.now();
    const task = {
      config: { ...defaults.classifier, epochs: 1, batchSize: 8 },
      ...{ inputSize: 256, channels: 1 as const, seed: 1, stream: 'classifier/real', untilEpoch: 1 },
      train: { negative: shardsOf('negative'), positive: shardsOf('positive') },
      validation: { negative: shardsOf('negative'), positive: shardsOf('positive') },
      ...{ pretrainedFile: null, checkpointFile: null, recoveries: [] },
    };
    const { parameters, finished } = await trainClassifier(task, contextInto(events));
    report('classifier, one epoch of one step of 8 images', began);
    expect(parameters).toBe(55_912_674);
    expect(finished).toBe(true);
    expect(events).toMatchObject([
      { type: 'notice', text: expect.stringContaining('random weights') as string },
      { type: 'classifierCheckpoint', epoch: 1, complete: true },
    ]);
  });

  it('StyleGAN2 config-e takes one step of G, path length, D and R1', async () => {
    const events: EngineEvent[] = [];
    const began = performance.now();
    const task = {
      config: {
        ...defaults.generator,
        batchSize: 4,
        microBatchSize: 4,
        tickNimg: 4,
        totalKimg: 0.004,
        snapshotTicks: 1,
      },
      ...{
        image: defaults.image,
        seed: 1,
        side: 'positive' as const,
        untilNimg: 4,
        checkpointFile: null,
        startFile: null,
      },
      shards: shardsOf('positive'),
    };
    const { parameters, nimg } = await trainGenerator(task, contextInto(events));
    report('generator, one minibatch of 4 images with both regularisers, grids and checkpoint', began);
    expect({ parameters, nimg }).toEqual({ parameters: { g: 24_762_452, d: 24_000_961 }, nimg: 4 });
    const ticks = events.flatMap((event) => (event.type === 'generatorCheckpoint' ? event.ticks : []));
    expect(ticks).toHaveLength(1);
    for (const value of Object.values(ticks[0] ?? {})) expect(Number.isFinite(value)).toBe(true);
  });
});
