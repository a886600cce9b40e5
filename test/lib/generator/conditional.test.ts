import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { GeneratorCheckpointEvent, LocalShard, TrainGeneratorTask } from '../../../contract/engine.ts';
import type { ClassSide } from '../../../contract/manifests.ts';
import { defaults } from '../../../contract/presets.ts';
import type { GeneratorConfig } from '../../../contract/study.ts';
import { loadEngine } from '../../../lib/engine/backend.ts';
import { tf } from '../../../lib/engine/tf.ts';
import { styleCount } from '../../../lib/generator/architecture.ts';
import { createRealBatches, drawnLabels, oneHot } from '../../../lib/generator/data.ts';
import { meanSimilarity } from '../../../lib/generator/diversity.ts';
import { dLogistic, dR1, drawLatents, gLogisticNonSaturating, trainingStyles } from '../../../lib/generator/loss.ts';
import { synthesis } from '../../../lib/generator/network.ts';
import { createProjection } from '../../../lib/generator/projection.ts';
import { loadSampler, type Sampler } from '../../../lib/generator/sampler.ts';
import { createTrainingState, disposeTrainingState, normals } from '../../../lib/generator/state.ts';
import { createTrainingSteps } from '../../../lib/generator/steps.ts';
import { loadStyleSampler } from '../../../lib/generator/style-sampler.ts';
import { trainGenerator } from '../../../lib/generator/train.ts';
import { decodePng } from '../../../lib/image/png.ts';
import type { RawImage } from '../../../lib/image/raw-image.ts';
import { createRng } from '../../../lib/random.ts';
import { bytesOf, recordGenerator, recordInto, shardOf } from '../../support/training-runner.ts';
import { smallConfig, smallImages, smallShape } from './small.ts';

/** One network for both classes (stylegan2.md 2.2, 2.7): its data, its phases, its training, its images. */

const image = { ...defaults.image, resolution: 8 };
const plain = (grey: number): RawImage => ({
  ...{ width: 8, height: 8, channels: 1 as const },
  data: new Uint8Array(64).fill(grey),
});
const dark = Array.from({ length: 6 }, (_, i) => plain(20 + i));
const bright = Array.from({ length: 2 }, (_, i) => plain(230 + i));
const labels = { byImage: [...dark.map(() => 0), ...bright.map(() => 1)], classes: 2 };

let dir = '';
let shards: Record<ClassSide, LocalShard>;
beforeAll(async () => {
  await loadEngine();
  dir = await mkdtemp(join(tmpdir(), 'echoforge-conditional-'));
  shards = {
    negative: await shardOf(join(dir, 'negative'), 'negative', dark),
    positive: await shardOf(join(dir, 'positive'), 'positive', bright),
  };
});
afterAll(() => rm(dir, { recursive: true, force: true }));

describe('labels', () => {
  it('of reals are those of the very images shown', () => {
    const batches = createRealBatches({
      ...{ images: [...dark, ...bright], seed: 1, stream: 's', mirror: true, labels },
    });
    for (const nimg of [0, 4, 8, 40]) {
      const [pixels, shown] = [batches.at(nimg, 4), batches.labelsAt(nimg, 4)];
      for (let i = 0; i < 4; i++)
        expect([shown[2 * i], shown[2 * i + 1]]).toEqual(pixels[64 * i]! < 0 ? [1, 0] : [0, 1]);
    }
  });
  it('of fakes are drawn as often as the classes are among the images, anew for each minibatch', () => {
    const draw = (nimg: number, count: number) => drawnLabels(labels, { count, seed: 1, stream: 'x', nimg });
    const positives = draw(0, 4000).filter((value, i) => i % 2 === 1 && value === 1).length;
    expect(positives / 4000).toBeGreaterThan(0.22);
    expect(positives / 4000).toBeLessThan(0.28);
    expect(draw(8, 32)).toEqual(draw(8, 32));
    expect(draw(8, 32)).not.toEqual(draw(16, 32));
  });
});

describe('phases of conditional networks', () => {
  const shape = { ...smallShape, labels: 2 };
  const config: GeneratorConfig = { ...smallConfig, microBatchSize: 8, r1Gamma: 10 };

  it('show D each image with its own class, and ask G for the drawn ones', () => {
    const state = createTrainingState({ shape, config, seed: 1, stream: 'conditional' });
    const { g, d } = state;
    const steps = createTrainingSteps({ state, config, settings: { precision: 'fp32', execution: 'eager' } });
    const mix = new Float32Array(8 * styleCount(shape));
    const [fakes, reals] = [oneHot([0, 1, 1, 0, 1, 1, 0, 0], 2), oneHot([1, 1, 0, 1, 0, 0, 1, 1], 2)];
    const pixels = smallImages(8, shape);
    const round = {
      ...{ seed: [3, 7] as const, mix, reals: Float32Array.from(pixels.dataSync()) },
      ...{ labels: fakes, realLabels: reals },
    };
    const seed = tf.tensor1d([3, 7], 'int32');
    const [fakeLabels, realLabels] = [tf.tensor2d(fakes, [8, 2]), tf.tensor2d(reals, [8, 2])];
    const draws = drawLatents(shape, {
      count: 8,
      seed,
      mix: tf.tensor2d(mix, [8, styleCount(shape)]),
      labels: fakeLabels,
    });
    const value = (t: tf.Tensor): number => t.dataSync()[0]!;
    const made = synthesis(g, shape, { ws: trainingStyles(g, shape, draws).ws, noise: draws.noise });
    const judged = { reals: pixels, fakes: made, realLabels, fakeLabels };
    // Each before the phase that moves its weights.
    const penalty = value(dR1({ d, shape }, { reals: pixels, labels: realLabels, gamma: 10 }));
    expect(steps.dR1([round]).penalty).toBeCloseTo(penalty, 5);
    const loss = value(dLogistic({ d, shape }, judged).loss);
    expect(steps.dMain([round]).loss).toBeCloseTo(loss, 5);
    const swapped = { ...judged, realLabels: fakeLabels, fakeLabels: realLabels };
    expect(Math.abs(value(dLogistic({ d, shape }, swapped).loss) - loss)).toBeGreaterThan(1e-3);
    const gLoss = value(gLogisticNonSaturating({ g, d, shape }, draws).loss);
    expect(steps.gMain([round]).loss).toBeCloseTo(gLoss, 5);
    const half = { ...round, mix: mix.subarray(0, 4 * styleCount(shape)), labels: fakes.subarray(0, 8) };
    expect(steps.gPathLength([half]).length).toBeGreaterThan(0);
    steps.dispose();
    disposeTrainingState(state);
  });
});

describe('a training of both classes', () => {
  const settings = { precision: 'fp32', execution: 'function' } as const;
  const conditional: GeneratorConfig = { ...smallConfig, conditional: true };
  const task = (over: Partial<TrainGeneratorTask>): TrainGeneratorTask => ({
    ...{ config: conditional, image, seed: 1, side: 'both', shards: [shards.negative, shards.positive] },
    ...{ checkpointFile: null, startFile: null, untilNimg: 64 },
    ...over,
  });
  const train = async (
    name: string,
    over: Partial<TrainGeneratorTask>,
    stopAt = Infinity,
  ): Promise<GeneratorCheckpointEvent> =>
    (await recordGenerator(join(dir, name), settings, { task: task(over), stopAt })).at(-1)!;

  it('ends in the same bytes when stopped and resumed', async () => {
    const whole = await train('whole', {});
    const cut = await train('cut', {}, 40);
    const resumed = await train('resumed', { checkpointFile: cut.checkpointFile });
    expect(await bytesOf(resumed.checkpointFile)).toBe(await bytesOf(whole.checkpointFile));
    expect(await bytesOf(resumed.snapshot!.gridFile)).toBe(await bytesOf(whole.snapshot!.gridFile));
  });

  it('is refused when a class has no image', async () => {
    await expect(train('one', { shards: [shards.negative] })).rejects.toThrow(
      /of each, got none of the positive class/,
    );
  });

  it('that diverges or collapses ends with what is wrong, and commits nothing of it', async () => {
    const end = async (name: string, over: Partial<TrainGeneratorTask>) => {
      const { context, checkpoints } = await recordInto(join(dir, name), settings);
      const { trouble } = await trainGenerator(task({ untilNimg: 192, ...over }), context);
      return { trouble, committed: checkpoints.map((event) => 'nimg' in event && event.nimg) };
    };
    // R1 weighted beyond what float32 holds.
    const diverging = await end('diverges', { config: { ...conditional, r1Gamma: 3e38, dRegInterval: 1 } });
    expect(diverging).toMatchObject({ trouble: { nimg: 128 }, committed: [0, 64] });
    expect(diverging.trouble?.reason).toContain('RegD diverged');
    // Fakes as diverse as these never were: even the untrained ones are a collapse beside it.
    const collapsing = await end('collapses', { mostDiverse: 100 });
    expect(collapsing).toMatchObject({ trouble: { nimg: 64 }, committed: [] });
    expect(collapsing.trouble?.reason).toContain('MS-SSIM');
  });

  it('measures how alike the fakes of a class are, not those of both: one class may collapse alone', async () => {
    const { snapshot } = await train('alike', {});
    const { width, data } = await decodePng(await readFile(snapshot!.gridFile));
    // Cells of 8 px, a class in each half of them.
    const cells = Array.from({ length: 8 }, (_, cell) => {
      const [left, top] = [8 * (cell % 4), 8 * Math.floor(cell / 4)];
      const rows = Array.from({ length: 8 }, (_row, y) => [...data.subarray((top + y) * width + left).subarray(0, 8)]);
      return { width: 8, height: 8, channels: 1 as const, data: Uint8Array.from(rows.flat()) };
    });
    const perClass = [cells.slice(0, 4), cells.slice(4)].map((images) => meanSimilarity(images)!);
    expect(snapshot!.msSsim).toBe(Math.max(...perClass));
    expect(snapshot!.msSsim).not.toBeCloseTo(meanSimilarity(cells)!, 3);
  });

  it('goes on with other draws after a roll-back, the same ones each time', async () => {
    const { checkpointFile } = await train('before', {});
    const from = async (name: string, rollBacks: number): Promise<string> =>
      bytesOf((await train(name, { checkpointFile, untilNimg: 128, rollBacks })).checkpointFile);
    const first = await from('back-1', 1);
    expect(await from('back-1-again', 1)).toBe(first);
    expect(await from('back-0', 0)).not.toBe(first);
  });

  it('learns which class it is asked for: dark images for the one, bright ones for the other', async () => {
    const config: GeneratorConfig = {
      ...conditional,
      ...{ totalKimg: 1.2, tickNimg: 240, snapshotTicks: 5, segmentTicks: 5, learningRate: 0.005, plWeight: 0 },
    };
    const { snapshot } = await train('learns', { config, untilNimg: 1200 });
    const model = { config, image, weightsFile: snapshot!.weightsFile };
    const brightness = async (label: ClassSide): Promise<number> => {
      const sampler = await loadSampler({ model: { ...model, label }, settings, batchSize: 8 });
      const pixels = sampler.sampleRaw({ z: normals(64, createRng(1, 'z')), noise: noiseOf(sampler), psi: 1 });
      sampler.dispose();
      return pixels.reduce((sum, y) => sum + y, 0) / pixels.length;
    };
    const [negative, positive] = [await brightness('negative'), await brightness('positive')];
    expect(positive - negative).toBeGreaterThan(0.5);
    await expect(loadSampler({ model, settings, batchSize: 8 })).rejects.toThrow(
      /of 2 labels was asked for class none/,
    );
  });

  it('maps latents to the styles of the class that is asked for', async () => {
    const { snapshot } = await train('styles', {});
    const model = { config: conditional, image, weightsFile: snapshot!.weightsFile };
    const styles = async (label: ClassSide): Promise<number[]> => {
      const sampler = await loadStyleSampler({ model: { ...model, label }, settings, batchSize: 2 });
      const w = sampler.map(normals(16, createRng(1, 'z')), 1);
      sampler.dispose();
      return [...w];
    };
    const negative = await styles('negative');
    expect(await styles('negative')).toEqual(negative);
    expect(await styles('positive')).not.toEqual(negative);
  });

  it('starts a projection from the mean style of the class that is asked for', async () => {
    const { snapshot } = await train('projected', {});
    const model = { config: conditional, image, weightsFile: snapshot!.weightsFile };
    const start = async (label: ClassSide): Promise<number[]> => {
      const projection = await createProjection({
        ...{ model: { ...model, label }, settings, target: new Float32Array(64), steps: 1, seed: 1 },
        latents: normals(32, createRng(1, 'z')),
      });
      const w = [...projection.variables.get('w')!.dataSync()];
      projection.dispose();
      return w;
    };
    const negative = await start('negative');
    expect(await start('negative')).toEqual(negative);
    expect(await start('positive')).not.toEqual(negative);
  });
});

const noiseOf = ({ noiseSizes, batchSize }: Sampler): Float32Array[] =>
  noiseSizes.map((side, i) => normals(batchSize * side * side, createRng(2, `noise${i}`)));
