import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { EngineEvent, EngineProgress, LocalShard, TrainClassifierTask } from '../../../contract/engine.ts';
import type { EpochRecord, PerClass, ValidationScore } from '../../../contract/manifests.ts';
import { defaults } from '../../../contract/presets.ts';
import type { ClassifierConfig } from '../../../contract/study.ts';
import { probabilityOf } from '../../../lib/classifier/calibration.ts';
import { createModel, initialValues } from '../../../lib/classifier/model.ts';
import { loadClassifier } from '../../../lib/classifier/predict.ts';
import { trainClassifier } from '../../../lib/classifier/train.ts';
import { storedWeights } from '../../../lib/classifier/weight-file.ts';
import { copyWeights, writeWeights } from '../../../lib/classifier/weights.ts';
import { loadShardImages } from '../../../lib/dataset/shard.ts';
import { loadEngine } from '../../../lib/engine/backend.ts';
import { readTensorFile } from '../../../lib/engine/tensor-file.ts';
import { tf } from '../../../lib/engine/tf.ts';
import { simulatePhantom } from '../../../lib/phantom/simulate.ts';
import { bytesOf, recordInto, shardOf } from '../../support/training-runner.ts';

let dir = '';
const sets: Partial<Record<'train' | 'validation', PerClass<readonly LocalShard[]>>> = {};
beforeAll(async () => {
  await loadEngine();
  dir = await mkdtemp(join(tmpdir(), 'echoforge-classifier-'));
  const phantoms = (side: 'negative' | 'positive', first: number, count: number) =>
    Array.from({ length: count }, (_, i) => simulatePhantom({ side, index: first + i, seed: 1, resolution: 32 }));
  const set = async (name: string, first: number, count: number): Promise<PerClass<readonly LocalShard[]>> => ({
    negative: [await shardOf(join(dir, name), 'negative', phantoms('negative', first, count))],
    positive: [await shardOf(join(dir, name), 'positive', phantoms('positive', first, count))],
  });
  sets.train = await set('train', 0, 8);
  sets.validation = await set('validation', 8, 3);
});
afterAll(() => rm(dir, { recursive: true, force: true }));

/** Three epochs of four steps of four images. */
const config = {
  ...defaults.classifier,
  ...{ width: 0.05, headUnits: 8, epochs: 3, batchSize: 4, bnMomentum: 0.9 },
  blocks: [1, 1, 1] as [number, number, number],
};
const task = (over: Partial<TrainClassifierTask>): TrainClassifierTask => ({
  ...{ config, inputSize: 75, channels: 1, seed: 1, stream: 'classifier/real' },
  ...{ train: sets.train!, validation: sets.validation! },
  ...{ pretrainedFile: null, checkpointFile: null, untilEpoch: 3 },
  ...over,
});
const settings = { precision: 'fp32', execution: 'function' } as const;

interface Part {
  readonly untilEpoch: number;
  /** Images trained on, over all epochs, after which the part is asked to stop. */
  readonly stopAt?: number;
}

/** The last checkpoint, the weights that would be published, the history; after parts that each begin from a file. */
async function train(
  name: string,
  parts: readonly Part[],
  over: Partial<TrainClassifierTask> = {},
): Promise<Record<string, unknown>> {
  let checkpointFile: string | null = null;
  let outcome: Record<string, unknown> = {};
  for (const [i, { untilEpoch, stopAt = Infinity }] of parts.entries()) {
    const stopWhen = ({ phase, done }: EngineProgress): boolean => phase === 'train' && done >= stopAt;
    const take = async (event: EngineEvent): Promise<void> => {
      if (event.type !== 'classifierCheckpoint') return;
      checkpointFile = event.checkpointFile;
      const { epoch, history, weightsEpoch, complete } = event;
      const weights = await bytesOf(event.weightsFile);
      const validation = event.validationFile === null ? null : await bytesOf(event.validationFile);
      const checkpoint = await bytesOf(event.checkpointFile);
      outcome = { epoch, history, weightsEpoch, complete, weights, validation, checkpoint };
    };
    const { context } = await recordInto(join(dir, `${name}-${i}`), settings, { stopWhen, take });
    await trainClassifier(task({ ...over, checkpointFile, untilEpoch }), context);
  }
  return outcome;
}

describe('trainClassifier', () => {
  it('stopped after an epoch and twice in the middle of one, and resumed, ends in the same bytes', async () => {
    const whole = await train('whole', [{ untilEpoch: 3 }]);
    expect(whole).toMatchObject({ epoch: 3, complete: true });
    const parts = [{ untilEpoch: 1 }, { untilEpoch: 3, stopAt: 20 }, { untilEpoch: 3, stopAt: 28 }, { untilEpoch: 3 }];
    expect(await train('cut', parts)).toEqual(whole);
  });

  it('hands over with the weights what exactly these say about the validation images, one epoch after the best too', async () => {
    const images = (await loadShardImages([...sets.validation!.negative, ...sets.validation!.positive])).images;
    const sides = images.map((_, i) => (i < images.length / 2 ? 'negative' : 'positive'));
    const scoresOf = async (weightsFile: string, temperature: number): Promise<number[]> => {
      const model = { config, inputSize: 75, channels: 1 as const, weightsFile, temperature };
      const classifier = await loadClassifier({ model, settings, batchSize: config.batchSize });
      const probabilities = classifier.probabilities(images);
      classifier.dispose();
      return probabilities;
    };
    // A rate at which losses go up and down: the best epoch is not always the last.
    const { context, checkpoints } = await recordInto(join(dir, 'validation'), settings);
    await trainClassifier(task({ config: { ...config, learningRate: 0.02 }, untilEpoch: 3 }), context);
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
    const first = await recordInto(join(dir, 'first'), settings);
    await trainClassifier(task({ untilEpoch: 1 }), first.context);
    const checkpointFile = first.checkpoints.at(-1)?.checkpointFile ?? '';
    const again = await recordInto(join(dir, 'again'), settings);
    await expect(trainClassifier(task({ checkpointFile, seed: 2 }), again.context)).rejects.toThrow(
      /seed is 1, expected 2/,
    );
    expect(tf.memory().numTensors).toBe(tensors);
  });
});

describe('trainClassifier on a pretrained trunk', () => {
  let pretrainedFile = '';
  let given: ReadonlyMap<string, Float32Array> = new Map();
  const twoPhases = {
    ...config,
    ...{ weights: 'weights/given', headEpochs: 1, learningRate: 0.01, fineTuneLearningRate: 0.005 },
  };
  beforeAll(async () => {
    const options = { name: 'given', config, inputSize: 75, channels: 1 as const };
    const model = createModel(options, (spec) => initialValues(spec, { seed: 5, stream: 'given' }));
    pretrainedFile = join(dir, 'given.safetensors');
    given = copyWeights(model);
    await writeWeights(pretrainedFile, model, given);
    model.dispose();
  });

  /** Layers with a weight, or a statistic, other than that of the given file. */
  async function movedLayers(over: Partial<ClassifierConfig>, untilEpoch: number): Promise<Set<string>> {
    const last = { ...twoPhases, ...over, restoreBest: false };
    const { context, checkpoints } = await recordInto(
      join(dir, `moved-${JSON.stringify(over)}-${untilEpoch}`),
      settings,
    );
    await trainClassifier(task({ config: last, pretrainedFile, untilEpoch }), context);
    const event = checkpoints.at(-1);
    if (event?.type !== 'classifierCheckpoint') throw new Error('the training left no checkpoint');
    const { tensors } = await readTensorFile(event.weightsFile);
    const moved = [...storedWeights(tensors)].filter(([name, weight]) => {
      const values = weight.read();
      return given.get(name)?.some((value, i) => value !== values[i]);
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

  it('changes the rate with the phase, and keeps one phase from random weights', async () => {
    const rates = async (over: Partial<TrainClassifierTask>): Promise<number[]> => {
      const { history } = await train(`rates-${over.pretrainedFile}`.replaceAll('/', '-'), [{ untilEpoch: 3 }], over);
      return (history as EpochRecord[]).map(({ learningRate }) => learningRate);
    };
    expect(await rates({ config: twoPhases, pretrainedFile })).toEqual([0.01, 0.005, 0.005]);
    expect(await rates({ config: { ...twoPhases, weights: null }, pretrainedFile: null })).toEqual([0.01, 0.01, 0.01]);
  });

  it('stopped in each phase and between them, and resumed, ends in the same bytes', async () => {
    const over = { config: { ...twoPhases, headEpochs: 2 }, pretrainedFile };
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
