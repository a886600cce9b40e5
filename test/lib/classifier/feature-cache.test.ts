import { copyFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { EngineContext, TrainClassifierTask } from '../../../contract/engine.ts';
import type { ClassifierConfig } from '../../../contract/study.ts';
import { viewsOfFeatures, type FeatureTable } from '../../../lib/classifier/batch-inputs.ts';
import { cacheFeatures, type Disk } from '../../../lib/classifier/feature-cache.ts';
import { createModel } from '../../../lib/classifier/model.ts';
import { inferenceMode } from '../../../lib/classifier/tensor-layers.ts';
import { trainClassifier } from '../../../lib/classifier/train.ts';
import { createTraining } from '../../../lib/classifier/training.ts';
import { loadTrainingSets, toInput } from '../../../lib/classifier/training-images.ts';
import { loadShardImages } from '../../../lib/dataset/shard.ts';
import { readTensorFile } from '../../../lib/engine/tensor-file.ts';
import { tf } from '../../../lib/engine/tf.ts';
import {
  featureFiles,
  fp32,
  givenWeights,
  tinyConfig,
  trainingRoom,
  type Exchange,
  type Part,
} from '../../support/classifier-training.ts';
import { recordInto } from '../../support/training-runner.ts';

const room = trainingRoom('features', { train: 9, validation: 3 });

const still = { mirror: false, shift: 0, zoom: 0, brightness: 0, contrast: 0 };
const pretrained = { ...tinyConfig, weights: 'weights/given', learningRate: 0.01 };
const whole = [{ untilEpoch: 3 }];

/** The trainings that a cache is for, by their cut. */
const configs = {
  pooled: { ...pretrained, headEpochs: 2, fineTuneLearningRate: 0.005 },
  lastMixed: { ...pretrained, headEpochs: 0, freeze: 'nakata', bn: 'frozen' },
} as const;

describe.each(['pooled', 'lastMixed'] as const)('the feature cache at the cut %s', (cut) => {
  const over = (config: Partial<ClassifierConfig>): Partial<TrainClassifierTask> => ({
    config: { ...configs[cut], ...config },
    pretrainedFile: room.given.file,
  });
  const train = (name: string, parts: readonly Part[], of: Partial<TrainClassifierTask>, exchange?: Exchange) =>
    room.train(`${cut}-${name}`, parts, of, exchange);

  it('changes no bit of losses, weights and validation scores', async () => {
    const { checkpoint: own, ...without } = await train('without', whole, over(still));
    const { checkpoint: other, ...withCache } = await train('with', whole, over({ ...still, featureCache: 1 }));
    expect(withCache).toEqual(without);
    expect(other).not.toEqual(own); // it names its cache
  });

  it('stopped while it is filled and later, and resumed with and without what was stored, gives the same bytes', async () => {
    const of = over({ featureCache: 3 });
    const expected = await train('whole', whole, of);
    const parts = [{ untilEpoch: 3, stopAt: 8 }, { untilEpoch: 1 }, { untilEpoch: 3, stopAt: 40 }, ...whole];
    expect(await train('cut', parts, of)).toEqual(expected);
    const store = featureFiles(room.dir);
    expect(await train('cut-stored', parts, of, store.exchange)).toEqual(expected);
    // The layers above the cut have moved meanwhile.
    expect(store.written).toHaveLength(2);
    const filling = await recordInto(join(room.dir, `${cut}-filling`), fp32, {
      stopWhen: ({ phase }) => phase === 'measure',
    });
    expect(await trainClassifier(room.task(of), filling.context)).toMatchObject({ epoch: 0, finished: false });
    expect(filling.checkpoints).toEqual([]);
  });

  it('holds the features of each image and of its mirror image', async () => {
    const store = featureFiles(room.dir);
    await train('views', [{ untilEpoch: 1 }], over({ ...still, mirror: true, featureCache: 2 }), store.exchange);
    const { tensors } = await readTensorFile(store.written[0] ?? '');
    const found = tensors.get('features')!;
    const options = { name: 'views', config: tinyConfig, inputSize: 75, channels: 1 } as const;
    const { negative, positive } = room.sets.train;
    const { images } = await loadShardImages([...negative, ...positive]);
    const model = createModel(options, ({ name }) => room.given.values.get(name)!);
    const expected = tf.tidy(() => {
      const pixels = tf.tensor4d(
        images.flatMap((image) => [...toInput(image, options)]),
        [18, 75, 75, 1],
      );
      const views = tf.reshape(tf.stack([pixels, tf.reverse(pixels, 2)], 1), [36, 75, 75, 1]) as tf.Tensor4D;
      if (cut === 'pooled') return model.forward(views, inferenceMode).features.dataSync();
      const { mixed, input } = model.lastMixed(views, inferenceMode);
      return tf.concat([tf.reshape(mixed, [36, -1]), tf.reshape(input, [36, -1])], 1).dataSync();
    });
    model.dispose();
    const scale = Math.max(...expected.map(Math.abs));
    expect(found.values).toHaveLength(expected.length);
    expect(Math.max(...expected.map((value, i) => Math.abs(value - found.values[i]!))) / scale).toBeLessThan(1e-5);
  });

  it('is filled once for all trainings of the same frozen layers on the same images, and anew for others', async () => {
    const store = featureFiles(room.dir);
    const filled = async (name: string, of: Partial<TrainClassifierTask>): Promise<number> => {
      const before = store.written.length;
      await train(name, [{ untilEpoch: 1 }], of, store.exchange);
      return store.written.length - before;
    };
    expect(await filled('first', over({ featureCache: 2 }))).toBe(2);
    expect(await filled('seed', { ...over({ featureCache: 2 }), seed: 2 })).toBe(0);
    expect(await filled('rate', over({ featureCache: 2, learningRate: 0.02, headUnits: 4 }))).toBe(0);
    expect(await filled('fewer', over({ featureCache: 1 }))).toBe(1);
    expect(await filled('drawn', over({ featureCache: 3 }))).toBe(1);
    expect(await filled('drawn-seed', { ...over({ featureCache: 3 }), seed: 2 })).toBe(1);
    expect(await filled('scaling', over({ featureCache: 2, inputScaling: 'unit' }))).toBe(2);
    const { file } = await givenWeights(room.dir, 6);
    expect(await filled('trunk', { ...over({ featureCache: 2 }), pretrainedFile: file })).toBe(2);
    const { train: images, validation } = room.sets;
    const more = { ...images, negative: [...images.negative, ...validation.negative] };
    expect(await filled('images', { ...over({ featureCache: 2 }), train: more })).toBe(1);
  });

  it('refuses a file that holds other features, and leaves no tensor behind', async () => {
    const tensors = tf.memory().numTensors;
    const exchange: Exchange = ({ file }) => copyFile(room.given.file, file);
    await expect(train('other', whole, over({ featureCache: 1 }), exchange)).rejects.toThrow(
      /does not hold the features \[18, \d+\] with key .*its format is echoforge-classifier/,
    );
    expect(tf.memory().numTensors).toBe(tensors);
  });
});

describe('features of the two cuts', () => {
  it('are found by a training of the same cut alone', async () => {
    const store = featureFiles(room.dir);
    for (const [i, cut] of (['pooled', 'lastMixed'] as const).entries()) {
      const config = { ...configs[cut], featureCache: 1 };
      await room.train(`both-${cut}`, [{ untilEpoch: 1 }], { config, pretrainedFile: room.given.file }, store.exchange);
      expect(store.written).toHaveLength(2 * (i + 1));
    }
  });
  it('stay in the work directory, where a training that goes back finds them', async () => {
    const config = { ...configs.lastMixed, learningRate: 1e30, featureCache: 1 };
    const asked: string[] = [];
    const exchange: Exchange = ({ stage }) => Promise.resolve(void asked.push(stage));
    const over = { config, pretrainedFile: room.given.file };
    await expect(room.train('back', [{ untilEpoch: 1 }], over, exchange)).rejects.toThrow('It had gone back before');
    expect(asked).toEqual(['wanted', 'written', 'wanted', 'written']);
    expect((await readdir(join(room.dir, 'back-0'))).filter((name) => name.startsWith('features-'))).toHaveLength(2);
  });
});

describe('filling the cache', () => {
  /** All rows of both tables, by a training that has done nothing yet; `context` may be that of an earlier call. */
  async function rowsBy(context: EngineContext, disk: Disk): Promise<readonly number[]> {
    const task = room.task({ config: { ...configs.lastMixed, featureCache: 3 } });
    const training = createTraining(task, fp32, await loadTrainingSets(task));
    try {
      const filled = await cacheFeatures(training, context, { cut: 'lastMixed', views: 3 }, disk);
      const rowsOf = ({ size, read }: FeatureTable, rows: number): number[] => {
        const target = new Float32Array(rows * size);
        for (let row = 0; row < rows; row++) read(row, target, row * size);
        return [...target];
      };
      return filled === null ? [] : [...rowsOf(filled.train, 18 * 3), ...rowsOf(filled.validation, 6)];
    } finally {
      training.dispose();
    }
  }

  it('gives the same rows in one part and in many', async () => {
    const store = featureFiles(room.dir);
    const { exchange } = store;
    const one = await rowsBy((await recordInto(join(room.dir, 'one'), fp32, { exchange })).context, {});
    expect(store.written).toHaveLength(2);
    const { context } = await recordInto(join(room.dir, 'many'), fp32, { exchange });
    const size = one.length / (18 * 3 + 6);
    // Batches of four rows, as in one part: an image may come out otherwise in another place of its batch.
    const many = await rowsBy(context, { partBytes: 4 * size * 3 * 4 });
    expect(store.written).toHaveLength(2 + 5); // the validation images are the same part as before
    expect(many).toEqual(one);
  });

  it('asks for the space of what is missing alone', async () => {
    const { context } = await recordInto(join(room.dir, 'space'), fp32);
    const rows = await rowsBy(context, {});
    expect(await rowsBy(context, { freeBytes: () => Promise.resolve(0) })).toEqual(rows);
    const { context: empty } = await recordInto(join(room.dir, 'no-space'), fp32);
    const free = (bytes: number): Disk => ({ freeBytes: () => Promise.resolve(bytes) });
    await expect(rowsBy(empty, free(4 * rows.length - 1))).rejects.toThrow(
      /cached features need 0\.0 GB in .*no-space/,
    );
    expect(await rowsBy(empty, free(4 * rows.length))).toEqual(rows);
  });
});

describe('a batch of cached features', () => {
  it('has of each chosen image one of its views, drawn anew in every epoch', () => {
    // 9 images, 2 views, 2 features
    const read = (row: number, target: Float32Array, offset: number): void =>
      target.set([2 * row, 2 * row + 1], offset);
    const input = viewsOfFeatures(room.task(), { size: 2, views: 2, read });
    const drawn = [0, 1, 2, 3].map((epoch) => {
      const tensors = input([8, 0, 3, 3], { epoch, position: 0 });
      const values = 'features' in tensors ? [...tensors.features.dataSync()] : [];
      tf.dispose(tensors);
      const rowsOf = [0, 2, 4, 6].map((at) => values[at]! / 2);
      expect(values).toEqual(rowsOf.flatMap((row) => [2 * row, 2 * row + 1]));
      expect(rowsOf.map((row) => Math.floor(row / 2))).toEqual([8, 0, 3, 3]);
      return rowsOf.map((row) => row % 2).join('');
    });
    expect(new Set(drawn).size).toBeGreaterThan(2);
  });
});
