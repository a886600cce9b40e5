import { copyFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { TrainClassifierTask } from '../../../contract/engine.ts';
import type { EpochRecord } from '../../../contract/manifests.ts';
import type { ClassifierConfig } from '../../../contract/study.ts';
import { viewsOfFeatures } from '../../../lib/classifier/batch-inputs.ts';
import { loadClassifier } from '../../../lib/classifier/predict.ts';
import { trainClassifier } from '../../../lib/classifier/train.ts';
import { toInput } from '../../../lib/classifier/training-images.ts';
import { loadShardImages } from '../../../lib/dataset/shard.ts';
import { readTensorFile } from '../../../lib/engine/tensor-file.ts';
import { tf } from '../../../lib/engine/tf.ts';
import type { RawImage } from '../../../lib/image/raw-image.ts';
import {
  featureFiles,
  fp32,
  givenWeights,
  tinyConfig,
  trainingRoom,
  type Exchange,
} from '../../support/classifier-training.ts';
import { recordInto } from '../../support/training-runner.ts';

const room = trainingRoom('features', { train: 9, validation: 3 });

const still = { mirror: false, shift: 0, zoom: 0, brightness: 0, contrast: 0 };
const headFirst = {
  ...tinyConfig,
  ...{ weights: 'weights/given', headEpochs: 2, learningRate: 0.01, fineTuneLearningRate: 0.005 },
};
type Over = Partial<TrainClassifierTask>;
const task = (config: Partial<ClassifierConfig>, over: Over = {}): Over => ({
  config: { ...headFirst, ...config },
  pretrainedFile: room.given.file,
  ...over,
});
const { train } = room;
const whole = [{ untilEpoch: 3 }];

describe('the feature cache', () => {
  it('changes the losses by rounding alone, in the phase that uses it and in the next one', async () => {
    const without = await train('without', whole, task(still));
    const withCache = await train('with', whole, task({ ...still, featureCache: 1 }));
    // Recorded alone, the head may round otherwise than behind its trunk.
    const [expected, found] = [without, withCache].map((outcome) => outcome['history'] as readonly EpochRecord[]);
    expect(found).toHaveLength(3);
    found?.forEach(({ trainLoss, validationLoss, ...record }, i) => {
      const { trainLoss: train, validationLoss: validation, ...rest } = expected![i]!;
      expect(Math.abs(trainLoss / train - 1)).toBeLessThan(1e-6);
      expect(Math.abs(validationLoss / validation - 1)).toBeLessThan(1e-6);
      expect(record).toEqual(rest);
    });
  });

  it('stopped while it is filled and in every phase, and resumed with and without what was stored, gives the same bytes', async () => {
    const of = task({ featureCache: 3 });
    const expected = await train('whole', whole, of);
    const parts = [{ untilEpoch: 3, stopAt: 8 }, { untilEpoch: 1 }, { untilEpoch: 3, stopAt: 40 }, ...whole];
    expect(await train('cut', parts, of)).toEqual(expected);
    expect(await train('cut-stored', parts, of, featureFiles(room.dir).exchange)).toEqual(expected);
    const filling = await recordInto(join(room.dir, 'filling'), fp32, { stopWhen: ({ phase }) => phase === 'measure' });
    expect(await trainClassifier(room.task(of), filling.context)).toMatchObject({ epoch: 0, finished: false });
    expect(filling.checkpoints).toEqual([]);
  });

  it('holds the features of each image and of its mirror image', async () => {
    const store = featureFiles(room.dir);
    await train('views', [{ untilEpoch: 1 }], task({ ...still, mirror: true, featureCache: 2 }), store.exchange);
    const { tensors } = await readTensorFile(store.written[0] ?? '');
    const { images } = await loadShardImages([...room.sets.train.negative, ...room.sets.train.positive]);
    const size = { inputSize: 75, channels: 1 as const };
    const inputs = images.map((image): RawImage => ({
      width: 75,
      height: 75,
      channels: 1,
      data: toInput(image, size),
    }));
    const mirrored = inputs.map((image) => ({
      ...image,
      data: image.data.map((_, i) => image.data[i - (i % 75) + 74 - (i % 75)] ?? 0),
    }));
    const model = { ...size, config: tinyConfig, weightsFile: room.given.file, temperature: 1 };
    const classifier = await loadClassifier({ model, settings: fp32, batchSize: 4 });
    const expected = classifier.features(inputs.flatMap((image, i) => [image, mirrored[i] ?? image]));
    classifier.dispose();
    expect(tensors.get('features')?.values).toEqual(expected);
  });

  it('is filled once for all trainings of the same trunk on the same images, and anew for others', async () => {
    const store = featureFiles(room.dir);
    const one = [{ untilEpoch: 1 }];
    const filled = async (name: string, of: Over): Promise<number> => {
      const before = store.written.length;
      await train(name, one, of, store.exchange);
      return store.written.length - before;
    };
    expect(await filled('first', task({ featureCache: 2 }))).toBe(2);
    expect(await filled('seed', task({ featureCache: 2 }, { seed: 2 }))).toBe(0);
    expect(await filled('rate', task({ featureCache: 2, learningRate: 0.02, headUnits: 4 }))).toBe(0);
    expect(await filled('fewer', task({ featureCache: 1 }))).toBe(1);
    expect(await filled('drawn', task({ featureCache: 3 }))).toBe(1);
    expect(await filled('drawn-seed', task({ featureCache: 3 }, { seed: 2 }))).toBe(1);
    expect(await filled('scaling', task({ featureCache: 2, inputScaling: 'unit' }))).toBe(2);
    const { file } = await givenWeights(room.dir, 6);
    expect(await filled('trunk', task({ featureCache: 2 }, { pretrainedFile: file }))).toBe(2);
    const more = { ...room.sets.train, negative: [...room.sets.train.negative, ...room.sets.validation.negative] };
    expect(await filled('images', task({ featureCache: 2 }, { train: more }))).toBe(1);
  });

  it('gives of each chosen image one of its views, drawn anew in every epoch', () => {
    const rows = Float32Array.from({ length: 18 * 2 }, (_, i) => i); // 9 images, 2 views, 2 features
    const input = viewsOfFeatures(room.task(), { size: 2, views: 2, rows });
    const drawn = [0, 1, 2, 3].map((epoch) => {
      const { features } = input([8, 0, 3, 3], { epoch, position: 0 });
      const values = [...features!.dataSync()];
      features!.dispose();
      const rowsOf = [0, 2, 4, 6].map((at) => values[at]! / 2);
      expect(values).toEqual(rowsOf.flatMap((row) => [2 * row, 2 * row + 1]));
      expect(rowsOf.map((row) => Math.floor(row / 2))).toEqual([8, 0, 3, 3]);
      return rowsOf.map((row) => row % 2).join('');
    });
    expect(new Set(drawn).size).toBeGreaterThan(2);
  });

  it('refuses a file that holds other features, and leaves no tensor behind', async () => {
    const tensors = tf.memory().numTensors;
    const exchange: Exchange = ({ file }) => copyFile(room.given.file, file);
    await expect(train('other', whole, task({ featureCache: 1 }), exchange)).rejects.toThrow(
      /does not hold the \d+ features with key .*its format is echoforge-classifier/,
    );
    expect(tf.memory().numTensors).toBe(tensors);
  });
});
