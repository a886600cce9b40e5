import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { EngineEvent, EngineProgress, LocalShard, TrainClassifierTask } from '../../../contract/engine.ts';
import type { PerClass } from '../../../contract/manifests.ts';
import { defaults } from '../../../contract/presets.ts';
import { trainClassifier } from '../../../lib/classifier/train.ts';
import { loadEngine } from '../../../lib/engine/backend.ts';
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
async function train(name: string, parts: readonly Part[]): Promise<Record<string, unknown>> {
  let checkpointFile: string | null = null;
  let outcome: Record<string, unknown> = {};
  for (const [i, { untilEpoch, stopAt = Infinity }] of parts.entries()) {
    const stopWhen = ({ phase, done }: EngineProgress): boolean => phase === 'train' && done >= stopAt;
    const take = async (event: EngineEvent): Promise<void> => {
      if (event.type !== 'classifierCheckpoint') return;
      checkpointFile = event.checkpointFile;
      const { epoch, history, weightsEpoch, complete } = event;
      const weights = await bytesOf(event.weightsFile);
      outcome = { epoch, history, weightsEpoch, complete, weights, checkpoint: await bytesOf(event.checkpointFile) };
    };
    const { context } = await recordInto(join(dir, `${name}-${i}`), settings, { stopWhen, take });
    await trainClassifier(task({ checkpointFile, untilEpoch }), context);
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
