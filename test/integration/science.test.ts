import { copyFile, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ClassifierModel, EngineEvent, GeneratorModel, LocalShard } from '../../contract/engine.ts';
import type { ClassSide, PerClass } from '../../contract/manifests.ts';
import { resolveStudyFile } from '../../contract/resolve-study.ts';
import { trainClassifier } from '../../lib/classifier/train.ts';
import { loadShardImages } from '../../lib/dataset/shard.ts';
import { trainGenerator } from '../../lib/generator/train.ts';
import type { RawImage } from '../../lib/image/raw-image.ts';
import { resizeBilinear } from '../../lib/image/resize.ts';
import { simulatePhantom } from '../../lib/phantom/simulate.ts';
import { measureSnapshot } from '../../lib/synthesis/measure-snapshot.ts';
import { scoreShards } from '../../lib/synthesis/score-shards.ts';
import { synthesizeShards } from '../../lib/synthesis/synthesize-shards.ts';
import { recordInto, shardOf } from '../support/training-runner.ts';

/** Gates that neither a dead network nor one that sees the answer can pass, at the demo's sizes. */
let dir = '';
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'echoforge-science-'));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

const settings = { precision: 'fp32', execution: 'function' } as const;
const { classifier, generator, image } = resolveStudyFile({
  studyId: 'science',
  preset: 'demo',
  dataset: { name: 'phantoms' },
  classes: { negative: 'benign', positive: 'malignant' },
  classifier: { epochs: 8, batchSize: 8 },
});
const phantoms = (side: ClassSide, first: number, count: number): RawImage[] =>
  Array.from({ length: count }, (_, i) => simulatePhantom({ side, index: first + i, seed: 3, resolution: 32 }));

const half = ({ width, height }: { width: number; height: number }): { width: number; height: number } => ({
  width: width / 2,
  height: height / 2,
});
const distance = (a: RawImage, b: RawImage): number =>
  Math.sqrt(a.data.reduce((sum, value, i) => sum + (value - (b.data[i] ?? 0)) ** 2, 0) / a.data.length);
const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

const perClass = async (name: string, images: PerClass<readonly RawImage[]>): Promise<PerClass<LocalShard[]>> => ({
  negative: [await shardOf(join(dir, name), 'negative', images.negative)],
  positive: [await shardOf(join(dir, name), 'positive', images.positive)],
});
const imagesOf = (first: number, count: number): PerClass<RawImage[]> => ({
  negative: phantoms('negative', first, count),
  positive: phantoms('positive', first, count),
});
/** Every second image goes to the other class: labels say nothing, exactly. */
const shuffledLabels = ({ negative, positive }: PerClass<RawImage[]>): PerClass<RawImage[]> => {
  const pick = (even: RawImage[], odd: RawImage[]): RawImage[] => even.map((own, i) => (i % 2 === 0 ? own : odd[i]!));
  return { negative: pick(negative, positive), positive: pick(positive, negative) };
};

async function train(
  name: string,
  change: (images: PerClass<RawImage[]>) => PerClass<RawImage[]>,
): Promise<ClassifierModel> {
  let weightsFile = '';
  const take = (event: EngineEvent): Promise<void> => {
    if (event.type === 'classifierCheckpoint') weightsFile = event.weightsFile;
    return Promise.resolve();
  };
  const { context } = await recordInto(join(dir, name), settings, { take });
  const inputs = { config: classifier, inputSize: 96, channels: 1 as const };
  await trainClassifier(
    {
      ...{ ...inputs, seed: 1, stream: 'classifier/real', pretrainedFile: null, checkpointFile: null, recoveries: [] },
      train: await perClass(`${name}-train`, change(imagesOf(0, 64))),
      validation: await perClass(`${name}-validation`, change(imagesOf(64, 12))),
      untilEpoch: classifier.epochs,
    },
    context,
  );
  return { ...inputs, weightsFile, temperature: 1 };
}

/** AUC on phantoms that no training saw, by counting pairs. */
async function heldOutAuc(name: string, model: ClassifierModel): Promise<number> {
  const { context } = await recordInto(join(dir, `${name}-scores`), settings);
  const test = await perClass(`${name}-test`, imagesOf(100, 40));
  const scoresOf = async (side: ClassSide): Promise<number[]> =>
    (await scoreShards({ model, shards: test[side] }, context)).scores.map(({ probability }) => probability);
  const [negatives, positives] = [await scoresOf('negative'), await scoresOf('positive')];
  const wins = positives.flatMap((p) => negatives.map((n) => (p > n ? 1 : p === n ? 0.5 : 0)));
  return mean(wins);
}

let extractor: ClassifierModel;

describe('a classifier', () => {
  it('reaches an AUC of 0.9 on held-out phantoms, and stays near 0.5 by the same recipe with shuffled labels', async () => {
    extractor = await train('true', (images) => images);
    expect(await heldOutAuc('true', extractor)).toBeGreaterThanOrEqual(0.9);
    const shuffled = await heldOutAuc('shuffled', await train('shuffled', shuffledLabels));
    expect(shuffled).toBeGreaterThan(0.3);
    expect(shuffled).toBeLessThan(0.7);
  });
});

describe('a generator', () => {
  /** Snapshots of one training by image count, whose files stay. */
  async function snapshotsOf(
    name: string,
    task: Pick<GeneratorModel, 'config' | 'image'>,
    reals: readonly RawImage[],
  ): Promise<{ readonly models: Map<number, GeneratorModel>; readonly shard: LocalShard }> {
    const models = new Map<number, GeneratorModel>();
    const kept = await mkdtemp(join(dir, `${name}-kept-`));
    const take = async (event: EngineEvent): Promise<void> => {
      if (event.type !== 'generatorCheckpoint' || event.snapshot === null) return;
      const weightsFile = join(kept, String(event.nimg));
      await copyFile(event.snapshot.weightsFile, weightsFile);
      models.set(event.nimg, { ...task, weightsFile });
    };
    const shard = await shardOf(join(dir, `${name}-reals`), 'positive', reals);
    const { context } = await recordInto(join(dir, name), settings, { take });
    const untilNimg = task.config.totalKimg * 1000;
    await trainGenerator(
      { ...task, seed: 1, side: 'positive', shards: [shard], checkpointFile: null, startFile: null, untilNimg },
      context,
    );
    return { models, shard };
  }

  it("comes far nearer to the reals, by the demo's configuration and metric", async () => {
    const task = { config: { ...generator, totalKimg: 4 }, image: { ...image, resolution: 32 } };
    const { models, shard } = await snapshotsOf('nearer', task, phantoms('positive', 0, 78));
    const measure = async (model: GeneratorModel | undefined): Promise<number> => {
      const { context } = await recordInto(join(dir, 'measured'), settings);
      const given = {
        extractor: { kind: 'classifier' as const, model: extractor },
        metric: { name: 'fd.irv2-real', weights: 'test' },
        ...{ reals: [shard], fakes: 200, seed: 1 },
      };
      return (await measureSnapshot({ ...given, generator: model ?? null }, context)).value;
    };
    const counts = [...models.keys()].sort((a, b) => a - b);
    expect(counts.length).toBeGreaterThan(1);
    const [first, last] = [await measure(models.get(0)), await measure(models.get(counts.at(-1) ?? 0))];
    expect(last).toBeLessThan(0.4 * first);
  });

  it('over-fits 16 images: its fakes lie nearer to them than other reals do, and around most of them', async () => {
    const small = (phantom: RawImage): RawImage =>
      resizeBilinear(resizeBilinear(phantom, half(phantom)), half(half(phantom)));
    const [reals, others] = [0, 100].map((first) => phantoms('positive', first, 16).map(small)) as [
      RawImage[],
      RawImage[],
    ];
    const task = {
      config: {
        ...generator,
        ...{ fmapBase: 512, fmapMax: 64, latentSize: 64, mappingLayers: 4, gridSize: [4, 4] as [number, number] },
        // What keeps a generator from learning images by heart is off.
        ...{ mirrorAugment: false, mixingProb: 0, plWeight: 0, r1Gamma: 0.5, learningRate: 0.006, emaHalfLifeKimg: 1 },
        ...{ batchSize: 16, microBatchSize: 16, totalKimg: 30, tickNimg: 2000, snapshotTicks: 15, segmentTicks: 15 },
      },
      image: { ...image, resolution: 8 },
    };
    const { models } = await snapshotsOf('sixteen', task, reals);
    const model = models.get(30_000);
    expect(model).toBeDefined();
    const { context } = await recordInto(join(dir, 'sixteen-fakes'), settings);
    const seeds = { psi: 1, shards: [{ firstSeed: 1, lastSeed: 64 }], batchSize: 8 };
    const named = { side: 'positive' as const, className: 'malignant', provenance: {} };
    const fakes = await loadShardImages(await synthesizeShards({ generator: model!, ...seeds, ...named }, context));
    const nearest = (image: RawImage): { readonly real: number; readonly away: number } => {
      const distances = reals.map((real) => distance(image, real));
      return { real: distances.indexOf(Math.min(...distances)), away: Math.min(...distances) };
    };
    const found = fakes.images.map(nearest);
    const others16 = others.map((other) => nearest(other).away);
    expect(mean(found.map(({ away }) => away))).toBeLessThan(0.75 * mean(others16));
    expect(new Set(found.map(({ real }) => real)).size).toBeGreaterThanOrEqual(12); // a mean image is near to one
  });
});
