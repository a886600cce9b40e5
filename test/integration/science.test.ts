import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { EngineEvent, LocalShard } from '../../contract/engine.ts';
import type { ClassSide, PerClass } from '../../contract/manifests.ts';
import { resolveStudyFile } from '../../contract/resolve-study.ts';
import { trainClassifier } from '../../lib/classifier/train.ts';
import type { RawImage } from '../../lib/image/raw-image.ts';
import { simulatePhantom } from '../../lib/phantom/simulate.ts';
import { scoreShards } from '../../lib/synthesis/score-shards.ts';
import { recordInto, shardOf } from '../support/training-runner.ts';

/** A gate that neither a dead network nor one that sees the answer can pass. The other gates are in study.test.ts. */
let dir = '';
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'echoforge-science-'));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

const settings = { precision: 'fp32', execution: 'function' } as const;
const { classifier } = resolveStudyFile({
  studyId: 'science',
  preset: 'demo',
  dataset: { name: 'phantoms' },
  classes: { negative: 'benign', positive: 'malignant' },
  classifier: { epochs: 8, batchSize: 8 },
});
const phantoms = (side: ClassSide, first: number, count: number): RawImage[] =>
  Array.from({ length: count }, (_, i) => simulatePhantom({ side, index: first + i, seed: 3, resolution: 32 }));

const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

describe('a classifier', () => {
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

  /** AUC on phantoms that no training saw, by counting pairs. */
  async function heldOutAuc(
    name: string,
    change: (images: PerClass<RawImage[]>) => PerClass<RawImage[]>,
  ): Promise<number> {
    let weightsFile = '';
    const take = (event: EngineEvent): Promise<void> => {
      if (event.type === 'classifierCheckpoint') weightsFile = event.weightsFile;
      return Promise.resolve();
    };
    const { context } = await recordInto(join(dir, name), settings, { take });
    const inputs = { config: classifier, inputSize: 96, channels: 1 as const };
    await trainClassifier(
      {
        ...{ ...inputs, seed: 1, stream: 'classifier/real', pretrainedFile: null, checkpointFile: null },
        train: await perClass(`${name}-train`, change(imagesOf(0, 64))),
        validation: await perClass(`${name}-validation`, change(imagesOf(64, 12))),
        untilEpoch: classifier.epochs,
      },
      context,
    );
    const test = await perClass(`${name}-test`, imagesOf(100, 40));
    const model = { ...inputs, weightsFile };
    const scoresOf = async (side: ClassSide): Promise<number[]> =>
      (await scoreShards({ model, shards: test[side] }, context)).scores.map(({ probability }) => probability);
    const [negatives, positives] = [await scoresOf('negative'), await scoresOf('positive')];
    const wins = positives.flatMap((p) => negatives.map((n) => (p > n ? 1 : p === n ? 0.5 : 0)));
    return mean(wins);
  }

  it('reaches an AUC of 0.9 on held-out phantoms, and stays near 0.5 by the same recipe with shuffled labels', async () => {
    const auc = await heldOutAuc('true', (images) => images);
    const shuffled = await heldOutAuc('shuffled', shuffledLabels);
    expect(auc).toBeGreaterThanOrEqual(0.9);
    expect(shuffled).toBeGreaterThan(0.3);
    expect(shuffled).toBeLessThan(0.7);
  });
});
