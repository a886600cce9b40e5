import { describe, expect, it } from 'vitest';
import type { TrainClassifierTask } from '../../../contract/engine.ts';
import type { EpochRecord, Recovery } from '../../../contract/manifests.ts';
import type { ClassifierConfig } from '../../../contract/study.ts';
import { tf } from '../../../lib/engine/tf.ts';
import { DivergedError } from '../../../lib/errors.ts';
import { tinyConfig, trainingRoom, type Part } from '../../support/classifier-training.ts';

const room = trainingRoom('recovery', { train: 8, validation: 3 });
const train = (
  name: string,
  config: Partial<ClassifierConfig>,
  parts: readonly Part[] = [{ untilEpoch: 3 }],
  over: Partial<TrainClassifierTask> = {},
) => room.train(name, parts, { config: { ...tinyConfig, ...config }, ...over });

const ratesOf = (history: unknown): number[] =>
  (history as readonly EpochRecord[]).map(({ learningRate }) => learningRate);

describe('a training that diverges', () => {
  it('begins again at a tenth of the rate, as if that had been asked for', async () => {
    const { checkpoint: lowered, recoveries, ...recovered } = await train('exploded', { learningRate: 3 });
    const { checkpoint: asked, recoveries: none, ...plain } = await train('plain', { learningRate: 0.3 });
    expect(recovered).toEqual(plain);
    expect(none).toEqual([]);
    expect(recoveries).toEqual([
      { epoch: 1, loss: expect.stringMatching(/^\d{4}\./) as unknown, learningRate: 3, nextLearningRate: 0.3 },
    ]);
    expect(lowered).not.toEqual(asked); // it remembers
  });

  // The head at a harmless rate, then the trunk at one that explodes: there is an epoch to go back to.
  const given = () => ({ pretrainedFile: room.given.file });
  const late = { weights: 'weights/given', headEpochs: 1, learningRate: 0.01, fineTuneLearningRate: 1 };

  it('goes back to the last complete epoch, and wherever it is stopped or killed ends in the same bytes', async () => {
    const whole = await train('late', late, [{ untilEpoch: 3 }], given());
    const recoveries = whole['recoveries'] as readonly Recovery[];
    expect(recoveries.map(({ epoch, learningRate }) => [epoch, learningRate])).toEqual([[2, 1]]);
    expect(ratesOf(whole['history'])).toEqual([0.01, 0.1, 0.1]);
    const cuts: readonly (readonly Part[])[] = [
      [{ untilEpoch: 3, stopAt: 8 }, { untilEpoch: 3, stopAt: 20 }, { untilEpoch: 3 }],
      [{ untilEpoch: 3, killedGoingBack: true }, { untilEpoch: 3, stopAt: 20 }, { untilEpoch: 3 }],
      [{ untilEpoch: 1 }, { untilEpoch: 3, stopAt: 20 }, { untilEpoch: 3, killedGoingBack: true }, { untilEpoch: 3 }],
    ];
    for (const [i, parts] of cuts.entries()) expect(await train(`late-${i}`, late, parts, given())).toEqual(whole);
  });

  it('lowers the rate of the phase that diverged alone', async () => {
    const early = { ...late, learningRate: 10, headEpochs: 2, fineTuneLearningRate: 0.005 };
    const { history, recoveries } = await train('early', early, [{ untilEpoch: 3 }], given());
    expect(recoveries).toMatchObject([{ epoch: 1, learningRate: 10, nextLearningRate: 1 }]);
    expect(ratesOf(history)).toEqual([1, 1, 0.005]);
  });

  it('ends at the third time with an error that says where, how, and what to do, and leaves no tensor behind', async () => {
    const tensors = tf.memory().numTensors;
    const error: unknown = await train('hopeless', { learningRate: 1e30 }).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(DivergedError);
    expect((error as DivergedError).message).toMatch(
      /loss is \S+ in epoch 1, step \d, at learning rate 1e\+28; lower classifier.learningRate \(1e\+30\)\. It had gone back before, from epoch 1 \(loss \S+ at learning rate 1e\+30, then 1e\+29\); from epoch 1/,
    );
    expect((error as DivergedError).at).toMatchObject({ epoch: 1, learningRate: 1e28 });
    expect(tf.memory().numTensors).toBe(tensors);
  });
});
