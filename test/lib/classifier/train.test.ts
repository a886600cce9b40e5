import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { TrainClassifierTask } from '../../../contract/engine.ts';
import type { EpochRecord, ValidationScore } from '../../../contract/manifests.ts';
import type { ClassifierConfig } from '../../../contract/study.ts';
import { probabilityOf } from '../../../lib/classifier/calibration.ts';
import { loadClassifier } from '../../../lib/classifier/predict.ts';
import { trainClassifier } from '../../../lib/classifier/train.ts';
import { storedWeights } from '../../../lib/classifier/weight-file.ts';
import { loadShardImages } from '../../../lib/dataset/shard.ts';
import { readTensorFile } from '../../../lib/engine/tensor-file.ts';
import { tf } from '../../../lib/engine/tf.ts';
import { recordInto } from '../../support/training-runner.ts';
import { fp32, tinyConfig, trainingRoom } from '../../support/classifier-training.ts';

const room = trainingRoom('classifier', { train: 8, validation: 3 });
const { task, train } = room;

describe('trainClassifier', () => {
  it('stopped after an epoch and twice in the middle of one, and resumed, ends in the same bytes', async () => {
    const whole = await train('whole', [{ untilEpoch: 3 }]);
    expect(whole).toMatchObject({ epoch: 3, complete: true });
    const parts = [{ untilEpoch: 1 }, { untilEpoch: 3, stopAt: 20 }, { untilEpoch: 3, stopAt: 28 }, { untilEpoch: 3 }];
    expect(await train('cut', parts)).toEqual(whole);
  });

  it('hands over with the weights what exactly these say about the validation images, one epoch after the best too', async () => {
    const images = (await loadShardImages([...room.sets.validation.negative, ...room.sets.validation.positive])).images;
    const sides = images.map((_, i) => (i < images.length / 2 ? 'negative' : 'positive'));
    const scoresOf = async (weightsFile: string, temperature: number): Promise<number[]> => {
      const model = { config: tinyConfig, inputSize: 75, channels: 1 as const, weightsFile, temperature };
      const classifier = await loadClassifier({ model, settings: fp32, batchSize: tinyConfig.batchSize });
      const probabilities = classifier.probabilities(images);
      classifier.dispose();
      return probabilities;
    };
    // A rate at which losses go up and down: the best epoch is not always the last.
    const { context, checkpoints } = await recordInto(join(room.dir, 'validation'), fp32);
    await trainClassifier(task({ config: { ...tinyConfig, learningRate: 0.02 }, untilEpoch: 3 }), context);
    const events = checkpoints.filter((event) => event.type === 'classifierCheckpoint');
    expect(events).toHaveLength(3);
    for (const { weightsFile, validationFile } of events) {
      const lines = (await readFile(validationFile ?? '', 'utf8')).trimEnd().split('\n');
      const scores = lines.map((line) => JSON.parse(line) as ValidationScore);
      expect(scores.map(({ side }) => side)).toEqual(sides);
      const of = (temperature: number): number[] => scores.map(({ logOdds }) => probabilityOf(logOdds, temperature));
      expect(await scoresOf(weightsFile, 1)).toEqual(of(1));
      expect(await scoresOf(weightsFile, 2.5)).toEqual(of(2.5));
    }
    await expect(scoresOf(events[0]?.weightsFile ?? '', 0)).rejects.toThrow('expects a positive temperature, got 0');
  });

  it('refuses the checkpoint of another training and leaves no tensor behind', async () => {
    const tensors = tf.memory().numTensors;
    const first = await recordInto(join(room.dir, 'first'), fp32);
    await trainClassifier(task({ untilEpoch: 1 }), first.context);
    const checkpointFile = first.checkpoints.at(-1)?.checkpointFile ?? '';
    const again = await recordInto(join(room.dir, 'again'), fp32);
    await expect(trainClassifier(task({ checkpointFile, seed: 2 }), again.context)).rejects.toThrow(
      /seed is 1, expected 2/,
    );
    expect(tf.memory().numTensors).toBe(tensors);
  });
});

describe('trainClassifier on a pretrained trunk', () => {
  const twoPhases = {
    ...tinyConfig,
    ...{ weights: 'weights/given', headEpochs: 1, learningRate: 0.01, fineTuneLearningRate: 0.005 },
  };

  /** Layers with a weight, or a statistic, other than that of the given file. */
  async function movedLayers(over: Partial<ClassifierConfig>, untilEpoch: number): Promise<Set<string>> {
    const last = { ...twoPhases, ...over, restoreBest: false };
    const { context, checkpoints } = await recordInto(
      join(room.dir, `moved-${JSON.stringify(over)}-${untilEpoch}`),
      fp32,
    );
    await trainClassifier(task({ config: last, pretrainedFile: room.given.file, untilEpoch }), context);
    const event = checkpoints.at(-1);
    if (event?.type !== 'classifierCheckpoint') throw new Error('the training left no checkpoint');
    const { tensors } = await readTensorFile(event.weightsFile);
    const moved = [...storedWeights(tensors)].filter(([name, weight]) => {
      const values = weight.read();
      return room.given.values.get(name)?.some((value, i) => value !== values[i]);
    });
    return new Set(moved.map(([name]) => name.slice(0, name.indexOf('/'))));
  }
  const head = ['dense_1', 'predictions'];

  it('moves the head alone at first, then the top of the trunk, and never the normalisation', async () => {
    expect(await movedLayers({}, 1)).toEqual(new Set(head));
    const moved = await movedLayers({}, 2);
    expect([...moved].filter((layer) => layer.startsWith('batch_normalization') || layer.endsWith('_bn'))).toEqual([]);
    expect([...moved].filter((layer) => /^block(35|17)|^conv2d_[1-9]$/.test(layer))).toEqual([]);
    expect([...moved]).toEqual(expect.arrayContaining([...head, 'block8_1_conv', 'block8_2_conv', 'conv_7b']));
  });

  it('moves all kernels after the head when asked', async () => {
    const moved = await movedLayers({ fineTuneLayers: 'all' }, 2);
    expect([...moved]).toEqual(expect.arrayContaining([...head, 'conv2d_1', 'block35_1_conv', 'conv_7b']));
    expect(moved).not.toContain('batch_normalization_1');
  });

  it('moves what the reference recipe trains and nothing else, from cached features too', async () => {
    const recipe = { headEpochs: 0, freeze: 'nakata', bn: 'frozen' } as const;
    const free = new Set(['block8_2_conv', 'conv_7b', ...head]);
    expect(await movedLayers(recipe, 2)).toEqual(free);
    expect(await movedLayers({ ...recipe, featureCache: 2 }, 2)).toEqual(free);
  });

  it('changes the rate with the phase, and keeps one phase from random weights', async () => {
    const rates = async (over: Partial<TrainClassifierTask>): Promise<number[]> => {
      const { history } = await train(`rates-${over.pretrainedFile}`.replaceAll('/', '-'), [{ untilEpoch: 3 }], over);
      return (history as EpochRecord[]).map(({ learningRate }) => learningRate);
    };
    expect(await rates({ config: twoPhases, pretrainedFile: room.given.file })).toEqual([0.01, 0.005, 0.005]);
    expect(await rates({ config: { ...twoPhases, weights: null }, pretrainedFile: null })).toEqual([0.01, 0.01, 0.01]);
  });

  it('stopped in each phase and between them, and resumed, ends in the same bytes', async () => {
    const over = { config: { ...twoPhases, headEpochs: 2 }, pretrainedFile: room.given.file };
    const whole = await train('phases-whole', [{ untilEpoch: 3 }], over);
    expect(whole).toMatchObject({ epoch: 3, complete: true });
    const parts = [
      { untilEpoch: 3, stopAt: 8 },
      { untilEpoch: 1 },
      { untilEpoch: 3, stopAt: 20 },
      { untilEpoch: 2 },
      { untilEpoch: 3, stopAt: 36 },
      { untilEpoch: 3 },
    ];
    expect(await train('phases-cut', parts, over)).toEqual(whole);
  });
});
