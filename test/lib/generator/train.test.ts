import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type {
  EngineEvent,
  EngineProgress,
  EngineSettings,
  GeneratorCheckpointEvent,
  LocalShard,
  TrainGeneratorTask,
} from '../../../contract/engine.ts';
import type { TickRecord } from '../../../contract/manifests.ts';
import { defaults } from '../../../contract/presets.ts';
import type { GeneratorConfig } from '../../../contract/study.ts';
import { loadEngine } from '../../../lib/engine/backend.ts';
import { tf } from '../../../lib/engine/tf.ts';
import { trainGenerator } from '../../../lib/generator/train.ts';
import { createRng, randomInt } from '../../../lib/random.ts';
import { readEvents } from '../../support/read-events.ts';
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
  ...{ shards: [shard], checkpointFile: null, startFile: null, untilNimg: 192 },
  ...over,
});

/** Everything that a training leaves: checkpoints that count, snapshots, grids, ticks, and the state at the end. */
interface Outcome {
  readonly last: string;
  readonly snapshots: readonly { readonly nimg: number; readonly weights: string; readonly grid: string }[];
  readonly ticks: readonly TickRecord[];
}

interface Part {
  readonly untilNimg: number;
  readonly stopAt?: number;
  /** Longest without a checkpoint; 0 makes one in every iteration. */
  readonly saveEveryMs?: number;
}

/** Runs one training in parts, each in a fresh set of networks that starts from the checkpoint of the part before. */
async function train(
  name: string,
  settings: EngineSettings,
  parts: readonly Part[],
  change: Partial<GeneratorConfig> = {},
  onCheckpoint: () => void = () => undefined,
): Promise<Outcome> {
  const snapshots: Outcome['snapshots'][number][] = [];
  const ticks: TickRecord[] = [];
  let checkpointFile: string | null = null;
  for (const [i, { untilNimg, stopAt = Infinity, ...saving }] of parts.entries()) {
    const stopWhen = ({ phase, done }: EngineProgress): boolean => phase === 'train' && done >= stopAt;
    const take = async (event: EngineEvent): Promise<void> => {
      if (event.type !== 'generatorCheckpoint') return;
      onCheckpoint();
      checkpointFile = event.checkpointFile;
      ticks.push(...event.ticks);
      if (event.snapshot === null) return;
      const { weightsFile, gridFile } = event.snapshot;
      snapshots.push({ nimg: event.nimg, weights: await bytesOf(weightsFile), grid: await bytesOf(gridFile) });
    };
    const { context } = await recordInto(join(dir, `${name}-${i}`), settings, { stopWhen, take, ...saving });
    await trainGenerator(task({ checkpointFile, untilNimg, config: { ...smallConfig, ...change } }), context);
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

  it('saves itself on the way when its time has come, and ends in the same bytes from there', async () => {
    const whole = await train('unsaved', settings, [{ untilNimg: 64 }]);
    let saves = 0;
    const parts = [{ untilNimg: 64, stopAt: 40, saveEveryMs: 0 }, { untilNimg: 64 }];
    expect(await train('saved', settings, parts, {}, () => (saves += 1))).toEqual(whole);
    // The untrained one, one after each of five minibatches of 8, the end.
    expect(saves).toBe(7);
  });

  it('ends off the grid with a tick and a snapshot of which an extension leaves no trace', async () => {
    const whole = await train('long', settings, [{ untilNimg: 192 }]);
    const part = async (name: string, over: Partial<TrainGeneratorTask>): Promise<GeneratorCheckpointEvent[]> => {
      const { context, checkpoints } = await recordInto(join(dir, name), settings);
      await trainGenerator(task(over), context);
      return checkpoints as GeneratorCheckpointEvent[]; // of a generator
    };
    // In mid-tick; and at a tick without a snapshot.
    for (const [totalNimg, ticks] of [
      [112, 1],
      [160, 0],
    ] as const) {
      const config = { ...smallConfig, totalKimg: totalNimg / 1000 };
      const short = await part(`short-${totalNimg}`, { config, untilNimg: totalNimg });
      const last = short.at(-1)!;
      expect(last).toMatchObject({ nimg: totalNimg, complete: false, end: { ticks } });
      expect(last.ticks.at(-1)).toMatchObject({ nimg: totalNimg, tick: Math.ceil(totalNimg / 32) });
      expect(last.snapshot).not.toBeNull();
      const events = readEvents(await readFile(last.end!.eventsFile));
      expect(events.map(([tag]) => tag)).toContain('fakes');
      expect(events.some(([tag]) => tag === 'Progress/tick')).toBe(ticks === 1);
      const long = await part(`on-${totalNimg}`, { checkpointFile: last.checkpointFile });
      const kept = [...short, ...long].flatMap((event) =>
        event.ticks.slice(0, event.ticks.length - (event.end?.ticks ?? 0)),
      );
      expect(kept).toEqual(whole.ticks);
      expect(await bytesOf(long.at(-1)!.checkpointFile)).toBe(whole.last);
      expect(long.flatMap(({ snapshot, nimg }) => (snapshot ? [nimg] : []))).toEqual(
        totalNimg < 128 ? [128, 192] : [192],
      );
    }
  });

  /** p moves every 3 minibatches, so that the parts below end within an interval; D at first gives every real the same sign. */
  const ada = { augment: 'ada', adaInterval: 3, adaKimg: 1, adaTarget: -0.9 } as const;

  it('with adaptive augmentation ends in the same bytes when stopped within an interval and resumed', async () => {
    const whole = await train('ada-whole', settings, [{ untilNimg: 128 }], ada);
    const parts = [{ untilNimg: 128, stopAt: 40 }, { untilNimg: 128, stopAt: 104 }, { untilNimg: 128 }];
    expect(await train('ada-cut', settings, parts, ada)).toEqual(whole);
    expect(whole.ticks.at(-1)!.augmentP).toBeGreaterThan(0);
  });

  it('records r_t, and p where there is one; p follows r_t to either side of its target', async () => {
    const untilNimg = 96;
    const plain = await train('plain', settings, [{ untilNimg }]);
    for (const { rt, augmentP } of plain.ticks) {
      expect(Math.abs(rt!)).toBeLessThanOrEqual(1);
      expect(augmentP).toBe(0);
    }
    const up = await train('up', settings, [{ untilNimg }], { ...ada, adaTarget: -0.99, augmentPMax: 1 });
    const down = await train('down', settings, [{ untilNimg }], { ...ada, adaTarget: 0.99 });
    const fixed = await train('fixed', settings, [{ untilNimg }], { augment: 'ada', augmentP: 0.25 });
    expect(up.ticks.at(-1)!.augmentP).toBeGreaterThan(up.ticks[0]!.augmentP);
    expect(down.ticks.map(({ augmentP }) => augmentP)).toEqual([0, 0, 0]);
    expect(fixed.ticks.map(({ augmentP }) => augmentP)).toEqual([0.25, 0.25, 0.25]);
    expect(up.last).not.toBe(down.last);
    expect(fixed.last).not.toBe(plain.last);
  });

  it('raises p when D over-fits four images that G does not make', async () => {
    const few = await shardOf(
      join(dir, 'few'),
      'positive',
      [0, 85, 170, 255, 0, 85, 170, 255].map((grey) => ({
        ...{ width: 8, height: 8, channels: 1 as const },
        data: Uint8Array.from({ length: 64 }, (_, i) => (i % 2 === 0 ? grey : 255 - grey)),
      })),
    );
    const { context, checkpoints } = await recordInto(join(dir, 'overfit'), settings);
    const config: GeneratorConfig = {
      ...smallConfig,
      ...{ augment: 'ada', adaKimg: 2, augmentPipe: 'ultrasound', totalKimg: 0.8, tickNimg: 160, snapshotTicks: 10 },
      ...{ segmentTicks: 10, learningRate: 0.01, r1Gamma: 0, plWeight: 0 },
    };
    await trainGenerator(task({ config, shards: [few], untilNimg: 800 }), context);
    const ticks = checkpoints.flatMap((event) => ('ticks' in event ? event.ticks : []));
    expect(ticks[1]!.rt).toBeGreaterThan(0.6);
    expect(ticks.at(-1)!.augmentP).toBeGreaterThan(0.1);
  });

  /** R1 weighted beyond what float32 holds: every R1 update is refused, all others are made. */
  const broken = { r1Gamma: 3e38, dRegInterval: 1 } as const;

  it('stops where an update was not finite 16 times in a row; what it made on the way says that it was skipping', async () => {
    const { context, checkpoints } = await recordInto(join(dir, 'diverged'), settings);
    const config = { ...smallConfig, ...broken };
    const output = await trainGenerator(task({ config }), context);
    expect(output).toMatchObject({
      nimg: 128,
      trouble: { nimg: 128, reason: expect.stringContaining('RegD') as string },
    });
    expect(checkpoints.map((event) => 'nimg' in event && event.nimg)).toEqual([0, 64]);
    // The one at 64 was made in mid-divergence.
    expect(checkpoints.map((event) => 'skipping' in event && event.skipping)).toEqual([false, true]);
    const ticks = checkpoints.flatMap((event) => ('ticks' in event ? event.ticks : []));
    expect(ticks.map(({ skipped }) => skipped)).toEqual([{ RegD: 4 }, { RegD: 4 }]);
    for (const { r1Penalty, lossD } of ticks) expect([r1Penalty, Number.isFinite(lossD)]).toEqual([0, true]);
  });

  it('counts skipped updates across a stop in mid-tick: the same bytes, stopped at the same image', async () => {
    const run = async (name: string, stopAt: number) => {
      let outcome = null;
      let checkpointFile: string | null = null;
      const counts: unknown[] = [];
      for (const stop of [stopAt, Infinity]) {
        const take = async (event: EngineEvent): Promise<void> => {
          if (event.type !== 'generatorCheckpoint') return;
          checkpointFile = event.checkpointFile;
          counts.push(...event.ticks.map(({ skipped }) => skipped));
          await Promise.resolve();
        };
        const { context } = await recordInto(join(dir, `${name}-${stop}`), settings, {
          stopWhen: ({ phase, done }) => phase === 'train' && done >= stop,
          take,
        });
        outcome = await trainGenerator(task({ config: { ...smallConfig, ...broken }, checkpointFile }), context);
        if (outcome.trouble !== null) break;
      }
      return { trouble: outcome?.trouble, counts, last: await bytesOf(checkpointFile ?? '') };
    };
    expect(await run('skips-cut', 48)).toEqual(await run('skips-whole', Infinity));
  });

  it('goes on from a checkpoint with other draws after a roll-back, the same ones each time', async () => {
    const { context, checkpoints } = await recordInto(join(dir, 'before'), settings);
    await trainGenerator(task({ untilNimg: 64 }), context);
    const checkpointFile = checkpoints.at(-1)?.checkpointFile ?? '';
    const from = async (name: string, rollBacks: number): Promise<string> => {
      const after = await recordInto(join(dir, name), settings);
      await trainGenerator(task({ checkpointFile, untilNimg: 128, rollBacks }), after.context);
      return await bytesOf(after.checkpoints.at(-1)?.checkpointFile ?? '');
    };
    const first = await from('back-1', 1);
    expect(await from('back-1-again', 1)).toBe(first);
    expect(await from('back-2', 2)).not.toBe(first);
    expect(await from('back-0', 0)).not.toBe(first);
  });

  it('takes fakes that were diverse once and are one image now for a collapse', async () => {
    const { context, checkpoints } = await recordInto(join(dir, 'collapsed'), settings);
    // Fakes as diverse as these will never be: what they are, whatever that is, is a collapse beside it.
    const { trouble } = await trainGenerator(task({ mostDiverse: 100 }), context);
    expect(trouble).toMatchObject({ nimg: 64, reason: expect.stringContaining('MS-SSIM') as string });
    expect(checkpoints.map((event) => 'nimg' in event && event.nimg)).toEqual([]);
    const snapshot = await recordInto(join(dir, 'diverse'), settings);
    await trainGenerator(task({ untilNimg: 64 }), snapshot.context);
    for (const event of snapshot.checkpoints)
      expect(event).toMatchObject({ snapshot: { msSsim: expect.any(Number) as number } });
  });

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
    await expect(resume({ seed: 2 })).rejects.toThrow(
      /is of the training .* expected .*; give the changed study another studyId/,
    );
    await expect(resume({ config: { ...smallConfig, r1Gamma: 7 } })).rejects.toThrow(/is of the training/);
    await expect(resume({ config: { ...smallConfig, fmapMax: 4 } })).rejects.toThrow(/has shape .* expected/);
  });

  it('refuses reals of another size and fewer reals than a minibatch, before it trains', async () => {
    const { context, checkpoints } = await recordInto(join(dir, 'refused'), settings);
    const image = { ...defaults.image, resolution: 16 };
    await expect(trainGenerator(task({ image }), context)).rejects.toThrow('is 8 x 8 x 1, expected 16 x 16 x 1');
    const config = { ...smallConfig, batchSize: 12 };
    await expect(trainGenerator(task({ config }), context)).rejects.toThrow(
      'expected at least the 12 training images of one minibatch (generator.batchSize), found 10',
    );
    expect(checkpoints).toEqual([]);
  });

  it('refuses a plan that is clearly too large for the memory of the machine, before it allocates anything', async () => {
    const { context, checkpoints } = await recordInto(join(dir, 'large'), settings);
    const config = { ...smallConfig, fmapBase: 16_384, fmapMax: 512, batchSize: 4096, microBatchSize: 4096 };
    const image = { ...defaults.image, resolution: 1024 };
    await expect(trainGenerator(task({ config, image }), context)).rejects.toThrow(
      /needs about \d+\.\d GB of memory, this machine has .*generator\.microBatchSize \(4096\)/,
    );
    expect(checkpoints).toEqual([]);
  });

  it('writes histograms of all weights where they are asked for', async () => {
    const read = async (name: string, change: Partial<GeneratorConfig>) => {
      const { context, checkpoints } = await recordInto(join(dir, name), settings);
      await trainGenerator(task({ untilNimg: 8, config: { ...smallConfig, ...change } }), context);
      const [first] = checkpoints as GeneratorCheckpointEvent[];
      return readEvents(await readFile(first!.eventsFile!)).map(([tag]) => tag);
    };
    const plain = await read('plain-events', {});
    const asked = await read('histograms', { histograms: true });
    expect(plain.some((tag) => tag.startsWith('G/'))).toBe(false);
    for (const tag of ['fakes', 'G/synthesis/b4/const', 'D/b4/conv/weight']) expect(asked).toContain(tag);
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
