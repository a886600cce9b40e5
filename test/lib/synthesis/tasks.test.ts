import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type {
  ClassifierModel,
  EngineContext,
  EngineEvent,
  GeneratorModel,
  LocalShard,
  SynthesizeShardsTask,
  SyntheticShardFiles,
} from '../../../contract/engine.ts';
import { defaults } from '../../../contract/presets.ts';
import { createModel, initialValues } from '../../../lib/classifier/model.ts';
import { copyWeights, writeWeights } from '../../../lib/classifier/weights.ts';
import { readShard } from '../../../lib/dataset/shard.ts';
import { loadEngine } from '../../../lib/engine/backend.ts';
import { tf } from '../../../lib/engine/tf.ts';
import { networkShapeOf } from '../../../lib/generator/architecture.ts';
import { saveSnapshot } from '../../../lib/generator/checkpoint.ts';
import { createTrainingState, disposeTrainingState } from '../../../lib/generator/state.ts';
import { createRng } from '../../../lib/random.ts';
import { readPngText } from '../../../lib/png-metadata/png-text.ts';
import { compareWithReals, measureFilter } from '../../../lib/synthesis/measure-filter.ts';
import { measureQuality, measureSnapshot } from '../../../lib/synthesis/measure-snapshot.ts';
import { scoreShards } from '../../../lib/synthesis/score-shards.ts';
import { synthesizeShards } from '../../../lib/synthesis/synthesize-shards.ts';

/** The engine tasks of this room on real TensorFlow, with untrained networks of the product's classes at 8 px. */

let workDir = '';
let generator: GeneratorModel;
let extractor: ClassifierModel;
const events: EngineEvent[] = [];

const contextWith = (signal: AbortSignal): EngineContext => ({
  settings: { precision: 'fp32', execution: 'eager' },
  workDir,
  signal,
  emit: (event) => {
    events.push(event);
    return Promise.resolve();
  },
});
const running = new AbortController().signal;

beforeAll(async () => {
  await loadEngine();
  workDir = await mkdtemp(join(tmpdir(), 'echoforge-synthesis-'));
  const image = { ...defaults.image, resolution: 8 };
  const small = { fmapBase: 64, fmapMax: 8, latentSize: 8, mappingLayers: 2 };
  const config = { ...defaults.generator, ...small };
  const state = createTrainingState({ shape: networkShapeOf(config, image), config, seed: 1, stream: 'test' });
  // Noise strengths start at 0: without this, the noise of a seed would not show.
  for (const [name, variable] of state.gs)
    if (variable.rank === 0 && /noise/i.test(name)) variable.assign(tf.scalar(0.5));
  generator = { config, image, weightsFile: join(workDir, 'generator.safetensors') };
  await saveSnapshot(generator.weightsFile, { state, nimg: 0, hash: 'test' });
  disposeTrainingState(state);

  const classifier = {
    ...defaults.classifier,
    width: 0.05,
    blocks: [1, 1, 1] as [number, number, number],
    headUnits: 0,
  };
  const model = createModel({ name: 'tasks-test', config: classifier, inputSize: 75, channels: 1 }, (spec) =>
    initialValues(spec, { seed: 1, stream: 'test' }),
  );
  const weightsFile = join(workDir, 'classifier.safetensors');
  extractor = { config: classifier, inputSize: 75, channels: 1, weightsFile, temperature: 1 };
  await writeWeights(extractor.weightsFile, model, copyWeights(model));
  model.dispose();
});
afterAll(() => rm(workDir, { recursive: true, force: true }));

const progressOf = (all: readonly EngineEvent[]): EngineEvent[] => all.filter(({ type }) => type === 'progress');

const taskOf = (shards: SynthesizeShardsTask['shards'], psi = 1.6): SynthesizeShardsTask => ({
  ...{ generator, psi, shards, batchSize: 4 },
  side: 'positive',
  className: 'malignant',
  provenance: { snapshot: 'abc', software: 'echoforge test' },
});
/** One shard. */
const synthesize = async (firstSeed: number, lastSeed: number, psi?: number): Promise<SyntheticShardFiles> => {
  const [shard] = await synthesizeShards(taskOf([{ firstSeed, lastSeed }], psi), contextWith(running));
  return shard!;
};
const pngsOf = async (shard: LocalShard) =>
  new Map((await readShard(shard)).map(({ entry, png }) => [entry.seed, Buffer.from(png)]));

describe('synthesizeShards', () => {
  it('gives the same bytes for a seed in every shard, other bytes for another seed or psi', async () => {
    const wide = await pngsOf(await synthesize(1, 9));
    const narrow = await pngsOf(await synthesize(6, 7));
    const plain = await pngsOf(await synthesize(6, 6, 1));
    expect([...wide.keys()]).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect([...narrow.keys()]).toEqual([6, 7]);
    expect(narrow.get(6)).toEqual(wide.get(6));
    expect(narrow.get(7)).toEqual(wide.get(7));
    expect(new Set([...wide.values()].map((png) => png.toString('base64'))).size).toBe(9);
    expect(plain.get(6)).not.toEqual(wide.get(6));
  });
  it('writes whole shards with provenance, the same file bytes each time', async () => {
    const shard = await synthesize(3, 5);
    expect(shard.images).toBe(3);
    const [first] = await readShard(shard);
    expect(first?.entry).toMatchObject({ member: 'seed00003.png', side: 'positive', source: null, seed: 3 });
    const text = { class: 'malignant', seed: '3', psi: '1.6', snapshot: 'abc', software: 'echoforge test' };
    expect(readPngText(first!.png)).toEqual(text);
    const before = await readFile(shard.tarFile);
    await synthesize(3, 5);
    expect(await readFile(shard.tarFile)).toEqual(before);
  });
  it('leaves no tensor behind, reports progress, and ends when aborted', async () => {
    await synthesize(1, 2);
    const tensors = tf.memory().numTensors;
    events.length = 0;
    await synthesize(1, 8);
    expect(tf.memory().numTensors).toBe(tensors);
    expect(progressOf(events).at(-1)).toEqual({ type: 'progress', phase: 'synthesize', done: 8, total: 8 });
    const task = taskOf([{ firstSeed: 1, lastSeed: 8 }]);
    await expect(synthesizeShards(task, contextWith(AbortSignal.abort()))).rejects.toThrow(/aborted/);
    expect(tf.memory().numTensors).toBe(tensors);
  });
});

describe('several shards at once', () => {
  const ranges = [
    { firstSeed: 1, lastSeed: 6 },
    { firstSeed: 7, lastSeed: 8 },
    { firstSeed: 21, lastSeed: 22 },
  ];
  const filesOf = async ({ tarFile, indexFile }: LocalShard): Promise<string[]> =>
    Promise.all([tarFile, indexFile].map(async (file) => (await readFile(file)).toString('base64')));

  it('are the files of each alone, handed over in order, each before the next is begun', async () => {
    const alone: string[][] = [];
    for (const { firstSeed, lastSeed } of ranges) alone.push(await filesOf(await synthesize(firstSeed, lastSeed)));
    events.length = 0;
    const together = await synthesizeShards(taskOf(ranges), contextWith(running));
    expect(await Promise.all(together.map(filesOf))).toEqual(alone);
    expect(together).toMatchObject(ranges.map((range, i) => ({ ...range, images: [6, 2, 2][i] })));
    expect(events.map((event) => (event.type === 'progress' ? event.done : event))).toEqual([
      ...[0, 3, 6, { type: 'syntheticShard', shard: together[0] }],
      ...[7, 8, { type: 'syntheticShard', shard: together[1] }],
      ...[10, { type: 'syntheticShard', shard: together[2] }],
    ]);
  });

  it('leave those that were whole when the task is aborted', async () => {
    const stop = new AbortController();
    const whole: SyntheticShardFiles[] = [];
    let blocksAfter = 0;
    const context: EngineContext = {
      ...contextWith(stop.signal),
      emit: (event) => {
        if (event.type === 'syntheticShard') {
          whole.push(event.shard);
          stop.abort();
        } else if (stop.signal.aborted) blocksAfter++;
        return Promise.resolve();
      },
    };
    await expect(synthesizeShards(taskOf(ranges), context)).rejects.toThrow(/aborted/);
    expect(whole).toMatchObject([{ firstSeed: 1, lastSeed: 6, images: 6 }]);
    expect(await readShard(whole[0]!)).toHaveLength(6);
    expect(blocksAfter).toBe(0);
  });
});

describe('scoreShards and measureSnapshot', () => {
  const byClassifier = () => ({
    extractor: { kind: 'classifier' as const, model: extractor },
    metric: { name: 'fd.irv2-real', weights: 'abc' },
  });
  it('score every image once, the same whatever shares its shard', async () => {
    const [wide, narrow] = [await synthesize(1, 9), await synthesize(6, 7)];
    const { scores } = await scoreShards({ model: extractor, shards: [wide, narrow] }, contextWith(running));
    expect(scores).toHaveLength(11);
    expect(scores[9]).toEqual(scores[5]); // seed 6 again
    for (const { probability } of scores) expect(probability).toBeGreaterThan(0);
    await expect(scoreShards({ model: extractor, shards: [wide] }, contextWith(AbortSignal.abort()))).rejects.toThrow(
      /aborted/,
    );
  });
  it('measure the same value again, and name features and counts', async () => {
    const reals = await synthesize(101, 112, 2);
    const task = { ...byClassifier(), reals: [reals], fakes: 20, seed: 1 };
    const metric = await measureSnapshot({ ...task, generator }, contextWith(running));
    expect(metric).toMatchObject({ ...byClassifier().metric, reals: 12, fakes: 20 });
    expect(metric.value).toBeGreaterThan(0);
    expect(await measureSnapshot({ ...task, generator }, contextWith(running))).toEqual(metric);
    expect((await measureSnapshot({ ...task, generator, seed: 2 }, contextWith(running))).value).not.toBe(metric.value);
    const floor = await measureSnapshot({ ...task, generator: null }, contextWith(running));
    expect(floor).toMatchObject({ ...byClassifier().metric, reals: 6, fakes: 6 });
  });
  it('measure every metric of the same features, at the psi of choice', async () => {
    const reals = await synthesize(101, 112, 2);
    const task = { ...byClassifier(), reals: [reals], fakes: 20, seed: 1, generator, psi: 1 };
    const { quality, ...rest } = await measureQuality(task, contextWith(running));
    expect(rest).toEqual({ metric: 'fd.irv2-real', extractor: 'abc', reals: 12, fakes: 20 });
    expect(quality?.frechet).toBe((await measureSnapshot(task, contextWith(running))).value);
    expect(quality?.coverage).toBeGreaterThan(0);
    const still = await measureQuality({ ...task, psi: 0 }, contextWith(running));
    expect(still.quality?.coverage).toBeLessThan(quality?.coverage ?? 0); // one image but for its noise
    const floor = await measureQuality({ ...task, generator: null }, contextWith(running));
    expect(floor).toMatchObject({ reals: 6, fakes: 6 });
    const few = await measureQuality({ ...task, fakes: 5 }, contextWith(running));
    expect(few).toMatchObject({ fakes: 5, quality: null });
  });
  it('refuse fewer than four reals', async () => {
    const reals = await synthesize(1, 3);
    const task = { ...byClassifier(), reals: [reals], fakes: 8, seed: 1, generator: null };
    await expect(measureSnapshot(task, contextWith(running))).rejects.toThrow(
      'at least 4 training images of a class, got 3',
    );
  });
});

describe('measureFilter', () => {
  const measure = async (before: number[], after: number[], signal = running) => {
    const reals = [await synthesize(101, 116, 1)];
    const shards = [await synthesize(1, 10)];
    shards.push(await synthesize(11, 20));
    const task = { ...{ extractor, extractorName: 'irv2-real' }, reals, shards, before, after };
    return measureFilter(task, contextWith(signal));
  };
  const seeds = (first: number, last: number) => Array.from({ length: last - first + 1 }, (_, i) => first + i);

  it('finds no loss between equal sets, across shards, and leaves no tensor behind', async () => {
    await measure(seeds(1, 12), seeds(1, 12));
    const tensors = tf.memory().numTensors;
    const loss = await measure(seeds(1, 12), seeds(1, 12));
    expect(tf.memory().numTensors).toBe(tensors);
    expect(loss).toMatchObject({ extractor: 'irv2-real', reals: 16, fakes: 12 });
    expect(loss?.after).toEqual(loss?.before);
    expect(loss?.before.frechet).toBeGreaterThan(0);
  });
  it('measures another set otherwise', async () => {
    const loss = await measure(seeds(1, 12), seeds(9, 20));
    expect(loss?.after.frechet).not.toBe(loss?.before.frechet);
  });
  it('says nothing about fewer than six images, and refuses unequal numbers and strange seeds', async () => {
    expect(await measure(seeds(1, 5), seeds(1, 5))).toBeNull();
    await expect(measure(seeds(1, 7), seeds(1, 6))).rejects.toThrow(/equal numbers/);
    await expect(measure(seeds(1, 6), seeds(20, 25))).rejects.toThrow(/no image of seed 21/);
  });
});

describe('compareWithReals', () => {
  it('sees fakes that crowd around one real: less recall and coverage, more distance', () => {
    const rng = createRng(1, 'crowd');
    const cloud = (rows: number, spread: number) => ({
      ...{ rows, columns: 3 },
      values: Float64Array.from({ length: rows * 3 }, () => spread * (rng() - 0.5)),
    });
    const reals = cloud(100, 1);
    const wide = compareWithReals(reals, cloud(100, 1));
    const crowded = compareWithReals(reals, cloud(100, 0.1));
    expect(crowded.coverage).toBeLessThan(0.8 * wide.coverage);
    expect(crowded.recall).toBeLessThan(0.5 * wide.recall);
    expect(crowded.frechet).toBeGreaterThan(5 * wide.frechet);
    expect(crowded.kernel).toBeGreaterThan(wide.kernel);
  });
});
