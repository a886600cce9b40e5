import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { LocalShard, TrainGeneratorTask } from '../../../contract/engine.ts';
import { defaults } from '../../../contract/presets.ts';
import type { GeneratorConfig } from '../../../contract/study.ts';
import { loadEngine } from '../../../lib/engine/backend.ts';
import { readTensorFile, writeTensorFile, type StoredTensor } from '../../../lib/engine/tensor-file.ts';
import { tf } from '../../../lib/engine/tf.ts';
import { frozenVariables, styleCount } from '../../../lib/generator/architecture.ts';
import { createTrainingState, disposeTrainingState, type TrainingState } from '../../../lib/generator/state.ts';
import { createTrainingSteps } from '../../../lib/generator/steps.ts';
import { takeStartWeights } from '../../../lib/generator/start-weights.ts';
import { createRng, randomInt } from '../../../lib/random.ts';
import { bytesOf, recordGenerator, shardOf } from '../../support/training-runner.ts';
import { smallConfig, smallImages, smallShape } from './small.ts';

/** Transfer (stylegan2.md 5.3) and FreezeD (Mo, Cho and Shin 2020). */

const settings = { precision: 'fp32', execution: 'function' } as const;
/** 16 px, so that D has two blocks above 4 px. */
const config: GeneratorConfig = { ...smallConfig, totalKimg: 0.064 };
const shape = { ...smallShape, resolution: 16 };
let dir = '';
let shard: LocalShard;
let checkpoint = '';
let snapshot = '';

const task = (over: Partial<TrainGeneratorTask> = {}): TrainGeneratorTask => ({
  ...{ config, image: { ...defaults.image, resolution: 16 }, seed: 1, side: 'positive', shards: [shard] },
  ...{ checkpointFile: null, startFile: null, untilNimg: 64 },
  ...over,
});

const train = (
  name: string,
  over: Partial<TrainGeneratorTask>,
  stopAt = Infinity,
): ReturnType<typeof recordGenerator> => recordGenerator(join(dir, name), settings, { task: task(over), stopAt });

type Tensors = ReadonlyMap<string, StoredTensor>;
const tensorsOf = async (file: string): Promise<Tensors> => (await readTensorFile(file)).tensors;

beforeAll(async () => {
  await loadEngine();
  dir = await mkdtemp(join(tmpdir(), 'echoforge-transfer-'));
  const rng = createRng(1, 'reals');
  const images = Array.from({ length: 10 }, () => ({
    ...{ width: 16, height: 16, channels: 1 as const },
    data: Uint8Array.from({ length: 256 }, () => randomInt(rng, 256)),
  }));
  shard = await shardOf(join(dir, 'reals'), 'positive', images);
  const last = (await train('source', { seed: 7 })).at(-1)!;
  checkpoint = last.checkpointFile;
  snapshot = last.snapshot!.weightsFile;
});
afterAll(() => rm(dir, { recursive: true, force: true }));

/** A fresh state of another seed, given to `use`. */
async function withState<T>(use: (state: TrainingState) => Promise<T>, of = shape): Promise<T> {
  const state = createTrainingState({ shape: of, config, seed: 2, stream: 'transfer' });
  try {
    return await use(state);
  } finally {
    disposeTrainingState(state);
  }
}
const valuesOf = (state: TrainingState): Map<string, number[]> =>
  new Map(state.variables.map((v) => [v.name, [...v.dataSync()]]));
const fresh = (): Promise<Map<string, number[]>> => withState((state) => Promise.resolve(valuesOf(state)));
const started = (file: string, freezeD = 0, of = shape): Promise<Map<string, number[]>> =>
  withState(async (state) => {
    await takeStartWeights(file, state, freezeD);
    return valuesOf(state);
  }, of);

/** Writes some of the tensors of a file under the names that `rename` gives; null leaves one out. */
async function rewritten(from: string, name: string, rename: (tensor: string) => string | null): Promise<string> {
  const file = join(dir, `${name}.safetensors`);
  const entries = [...(await tensorsOf(from))].flatMap(([tensor, { values, shape: dims }]) => {
    const to = rename(tensor);
    return to === null ? [] : [[to, tf.tensor(values, dims, 'float32')] as const];
  });
  await writeTensorFile(file, Object.fromEntries(entries), {});
  tf.dispose(entries.map(([, tensor]) => tensor));
  return file;
}

describe('weights to start from', () => {
  it('of a checkpoint are G, D, the averages of G, w and path lengths; both optimisers start anew', async () => {
    const [stored, untrained, found] = [await tensorsOf(checkpoint), await fresh(), await started(checkpoint)];
    for (const [name, values] of found)
      expect(values, name).toEqual(name.startsWith('adam') ? untrained.get(name) : [...stored.get(name)!.values]);
    expect([...stored.get('adamD/t')!.values]).not.toEqual(found.get('adamD/t'));
  });

  it('of a snapshot are the averaged G for G too, beside a fresh D', async () => {
    const [stored, untrained, found] = [await tensorsOf(snapshot), await fresh(), await started(snapshot)];
    for (const [name, values] of found) {
      const source = name.replace(/^Gs?\//, '');
      expect(values, name).toEqual(stored.has(source) ? [...stored.get(source)!.values] : untrained.get(name));
    }
    expect(found.get('G/synthesis/b4/const')).not.toEqual(untrained.get('G/synthesis/b4/const'));
  });

  it('of a foreign file may lack one of G and Gs, which is then the other', async () => {
    const file = await rewritten(checkpoint, 'no-average', (name) => (/^(G|D)\/|^wAvg$/.test(name) ? name : null));
    const found = await started(file);
    expect(found.get('Gs/synthesis/b4/const')).toEqual(found.get('G/synthesis/b4/const'));
    expect(found.get('plMean')).toEqual([0]);
  });

  const refusal = (file: string, of = shape, freezeD = 0): Promise<string> =>
    started(file, freezeD, of).then(
      () => 'taken',
      (error: unknown) => String(error),
    );
  it('of another resolution, width or class count are refused with the first differences', async () => {
    expect(await refusal(checkpoint, { ...shape, resolution: 32 })).toMatch(
      /is of 16 px, expected 32; G\/synthesis\/b32\/conv0\/affineWeight is missing; .* and \d+ more/,
    );
    expect(await refusal(checkpoint, { ...shape, resolution: 8 })).toMatch(
      /is of 16 px, expected 8; .*b16.*not expected/,
    );
    expect(await refusal(snapshot, { ...shape, fmapMax: 4 })).toMatch(
      /does not fit this study's networks: synthesis\/b4\/const has shape \[1, 4, 4, 8\], expected \[1, 4, 4, 4\]/,
    );
    expect(await refusal(checkpoint, { ...shape, labels: 2 })).toMatch(/G\/mapping\/embedding is missing/);
  });
  it('are refused where a value is not finite, before anything is trained', async () => {
    const tensors = await tensorsOf(snapshot);
    const broken = Object.fromEntries(
      [...tensors].map(([name, { shape: dims, values }]) => [name, tf.tensor(values, dims, 'float32')] as const),
    );
    const bias = 'synthesis/b8/conv1/bias';
    broken[bias] = tf.tensor([1, Infinity, ...(tensors.get(bias)?.values ?? []).slice(2)]);
    const startFile = join(dir, 'broken.safetensors');
    await writeTensorFile(startFile, broken, {});
    tf.dispose(broken);
    await expect(train('broken', { startFile })).rejects.toThrow(
      'generator.resumeFrom: expected finite values, found synthesis/b8/conv1/bias[1] = Infinity; convert',
    );
  });
  it('without a generator, or without the discriminator that is to be frozen, are refused', async () => {
    const onlyD = await rewritten(checkpoint, 'only-d', (name) => (name.startsWith('D/') ? name : null));
    expect(await refusal(onlyD)).toMatch(/holds no generator/);
    expect(await refusal(snapshot, shape, 1)).toMatch(/holds no discriminator, so generator\.freezeD/);
  });
});

describe('a training that starts from weights', () => {
  const resumeFrom = 'a'.repeat(64);
  const transfer = { ...config, resumeFrom };

  it('begins with their images, and ends in the same bytes when stopped and resumed', async () => {
    const over = { config: transfer, startFile: checkpoint };
    const whole = await train('whole', over);
    const [first] = whole;
    expect((await tensorsOf(first!.snapshot!.weightsFile)).get('wAvg')).toEqual(
      (await tensorsOf(snapshot)).get('wAvg'),
    );
    const cut = (await train('cut', over, 40)).at(-1)!;
    expect(cut.nimg).toBe(40);
    const resumed = await train('resumed', { ...over, checkpointFile: cut.checkpointFile });
    expect(await bytesOf(resumed.at(-1)!.checkpointFile)).toBe(await bytesOf(whole.at(-1)!.checkpointFile));
    const other = await train('other', { config });
    expect(await bytesOf(other.at(-1)!.checkpointFile)).not.toBe(await bytesOf(whole.at(-1)!.checkpointFile));
  });

  it('keeps the bytes of frozen blocks and moves everything else, without moments for what is frozen', async () => {
    const last = (await train('frozen', { config: { ...transfer, freezeD: 1 }, startFile: checkpoint })).at(-1)!;
    const [before, after] = [await tensorsOf(checkpoint), await tensorsOf(last.checkpointFile)];
    const frozen = frozenVariables(shape, 1);
    expect([...frozen].sort()).toEqual(
      ['conv0/bias', 'conv0/weight', 'conv1/bias', 'conv1/weight', 'fromRgb/bias', 'fromRgb/weight', 'skip/weight'].map(
        (name) => `b16/${name}`,
      ),
    );
    for (const [name, { values }] of after) {
      if (!name.startsWith('D/')) continue;
      const same = [...values].every((value, i) => value === before.get(name)!.values[i]);
      expect(same, name).toBe(frozen.has(name.slice(2)));
      expect(after.has(`adamD/v/${name}`), name).toBe(!same);
    }
  });
});

describe.each(['dMain', 'dR1'] as const)('freezing blocks of D in %s', (phase) => {
  /** State after one step of the phase, op by op, and how many gradients of convolution kernels it took. */
  async function stepped(freezeD: number): Promise<{ values: Map<string, number[]>; filterGradients: number }> {
    const frozen: GeneratorConfig = { ...config, r1Gamma: 10, freezeD };
    const state = createTrainingState({ shape, config: frozen, seed: 2, stream: 'freeze' });
    const eager = { precision: 'fp32', execution: 'eager' } as const;
    const steps = createTrainingSteps({ state, config: frozen, settings: eager });
    const mix = new Float32Array(4 * styleCount(shape));
    const reals = Float32Array.from(smallImages(4, shape).dataSync());
    const profile = await tf.profile(() => {
      steps[phase]([1, 2].map((i) => ({ seed: [i, 7], mix, reals })));
      return tf.scalar(0);
    });
    const values = valuesOf(state);
    steps.dispose();
    disposeTrainingState(state);
    return { values, filterGradients: profile.kernels.filter(({ name }) => name === 'Conv2DBackpropFilter').length };
  }

  it('leaves the gradients of all others as they are, and computes none of the frozen', async () => {
    const [whole, frozen] = [await stepped(0), await stepped(1)];
    const names = frozenVariables(shape, 1);
    for (const [name, values] of frozen.values)
      if (!names.has(name.slice(2))) expect(values, name).toEqual(whole.values.get(name));
    for (const name of names) expect(frozen.values.has(`adamD/v/D/${name}`), name).toBe(false);
    // fromRgb, conv0, conv1 and skip, in each of two rounds.
    expect(whole.filterGradients - frozen.filterGradients).toBeGreaterThanOrEqual(8);
  });
});
