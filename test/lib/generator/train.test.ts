import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type {
  EngineEvent,
  EngineProgress,
  EngineSettings,
  LocalShard,
  TrainGeneratorTask,
} from '../../../contract/engine.ts';
import { defaults } from '../../../contract/presets.ts';
import { loadEngine } from '../../../lib/engine/backend.ts';
import { tf } from '../../../lib/engine/tf.ts';
import { trainGenerator } from '../../../lib/generator/train.ts';
import { createRng, randomInt } from '../../../lib/random.ts';
import { bytesOf, recordInto, shardOf } from '../../support/training-runner.ts';
import { smallConfig } from './small.ts';

let dir = '';
let shard: LocalShard;
beforeAll(async () => {
  await loadEngine();
  dir = await mkdtemp(join(tmpdir(), 'echoforge-generator-'));
  const rng = createRng(1, 'reals');
  const images = Array.from({ length: 10 }, () => ({
    ...{ width: 8, height: 8, channels: 1 as const },
    data: Uint8Array.from({ length: 64 }, () => randomInt(rng, 256)),
  }));
  shard = await shardOf(join(dir, 'reals'), 'positive', images);
});
afterAll(() => rm(dir, { recursive: true, force: true }));

/** 24 minibatches of 8: ticks of 32 images, snapshots at 0, 64, 128 and 192. */
const task = (over: Partial<TrainGeneratorTask>): TrainGeneratorTask => ({
  ...{ config: smallConfig, image: { ...defaults.image, resolution: 8 }, seed: 1, side: 'positive' },
  ...{ shards: [shard], checkpointFile: null, untilNimg: 192 },
  ...over,
});

/** Everything that a training leaves: checkpoints that count, snapshots, grids, ticks, and the state at the end. */
interface Outcome {
  readonly last: string;
  readonly snapshots: readonly { readonly nimg: number; readonly weights: string; readonly grid: string }[];
  readonly ticks: readonly object[];
}

interface Part {
  readonly untilNimg: number;
  readonly stopAt?: number;
}

/** Runs one training in parts, each in a fresh set of networks that starts from the checkpoint of the part before. */
async function train(name: string, settings: EngineSettings, parts: readonly Part[]): Promise<Outcome> {
  const snapshots: Outcome['snapshots'][number][] = [];
  const ticks: object[] = [];
  let checkpointFile: string | null = null;
  for (const [i, { untilNimg, stopAt = Infinity }] of parts.entries()) {
    const stopWhen = ({ phase, done }: EngineProgress): boolean => phase === 'train' && done >= stopAt;
    const take = async (event: EngineEvent): Promise<void> => {
      if (event.type !== 'generatorCheckpoint') return;
      checkpointFile = event.checkpointFile;
      ticks.push(...event.ticks);
      if (event.snapshot === null) return;
      const { weightsFile, gridFile } = event.snapshot;
      snapshots.push({ nimg: event.nimg, weights: await bytesOf(weightsFile), grid: await bytesOf(gridFile) });
    };
    const { context } = await recordInto(join(dir, `${name}-${i}`), settings, { stopWhen, take });
    await trainGenerator(task({ checkpointFile, untilNimg }), context);
  }
  return { last: await bytesOf(checkpointFile ?? ''), snapshots, ticks };
}

describe('trainGenerator', () => {
  // Op by op a step takes five times as long: a shorter training says the same.
  describe.each([
    ['function', 192, [{ untilNimg: 64 }, { untilNimg: 192, stopAt: 104 }, { untilNimg: 192, stopAt: 136 }]],
    [
      'eager',
      64,
      [
        { untilNimg: 64, stopAt: 16 },
        { untilNimg: 64, stopAt: 40 },
      ],
    ],
  ] as const)('with execution %s', (execution, untilNimg, parts) => {
    const settings = { precision: 'fp32', execution } as const;
    let whole: Outcome;
    beforeAll(async () => {
      whole = await train(`whole-${execution}`, settings, [{ untilNimg }]);
    });

    it('makes snapshots at the start, every second tick and the end, and a record per tick', () => {
      expect(whole.snapshots.map(({ nimg }) => nimg)).toEqual([0, 64, 128, 192].filter((nimg) => nimg <= untilNimg));
      const ticks = [32, 64, 96, 128, 160, 192].map((nimg, i) => ({ tick: i + 1, nimg }));
      expect(whole.ticks).toMatchObject(ticks.filter(({ nimg }) => nimg <= untilNimg));
      expect(new Set(whole.snapshots.map(({ weights }) => weights)).size).toBe(whole.snapshots.length);
    });

    it('stopped in mid-tick, once more, and resumed, ends in the same bytes', async () => {
      expect(await train(`cut-${execution}`, settings, [...parts, { untilNimg }])).toEqual(whole);
    });
  });

  const settings = { precision: 'fp32', execution: 'function' } as const;

  it('says of a checkpoint in mid-tick that it only resumes', async () => {
    const { context, checkpoints } = await recordInto(join(dir, 'mid'), settings, {
      stopWhen: ({ done }) => done >= 40,
    });
    const { nimg } = await trainGenerator(task({}), context);
    expect(nimg).toBe(40);
    expect(checkpoints.map((event) => event.complete)).toEqual([true, false]);
    expect(checkpoints.at(-1)).toMatchObject({ nimg: 40, snapshot: null });
  });

  it('refuses the checkpoint of another training: another seed, another configuration', async () => {
    const { context, checkpoints } = await recordInto(join(dir, 'first'), settings);
    await trainGenerator(task({ untilNimg: 64 }), context);
    const checkpointFile = checkpoints.at(-1)?.checkpointFile ?? '';
    const resume = async (over: Partial<TrainGeneratorTask>): Promise<unknown> => {
      const again = await recordInto(join(dir, 'other'), settings);
      return await trainGenerator(task({ checkpointFile, ...over }), again.context);
    };
    await expect(resume({ seed: 2 })).rejects.toThrow(/is of the training .* expected/);
    await expect(resume({ config: { ...smallConfig, r1Gamma: 7 } })).rejects.toThrow(/is of the training/);
    await expect(resume({ config: { ...smallConfig, fmapMax: 4 } })).rejects.toThrow(/has shape .* expected/);
  });

  it('leaves no tensor behind, however it ends', async () => {
    const before = tf.memory().numTensors;
    const { context } = await recordInto(join(dir, 'clean'), settings);
    await trainGenerator(task({ untilNimg: 64 }), context);
    expect(tf.memory().numTensors).toBe(before);
    await expect(trainGenerator(task({ checkpointFile: join(dir, 'missing') }), context)).rejects.toThrow();
    expect(tf.memory().numTensors).toBe(before);
  });
});
