import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { LocalShard } from '../../../contract/engine.ts';
import type { PerClass } from '../../../contract/manifests.ts';
import { trainClassifier } from '../../../lib/classifier/train.ts';
import { loadTrainingSets } from '../../../lib/classifier/training-images.ts';
import { DatasetError } from '../../../lib/errors.ts';
import { fp32, tinyConfig, trainingRoom, type Sets } from '../../support/classifier-training.ts';
import { recordInto, shardOf } from '../../support/training-runner.ts';

const room = trainingRoom('bad', { train: 2, validation: 1 });
const { task } = room;

const refusal = async (over: Partial<Sets>): Promise<string> => {
  const error: unknown = await loadTrainingSets(task(over)).catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(DatasetError);
  return (error as DatasetError).message;
};
const black = { width: 32, height: 32, channels: 1, data: new Uint8Array(32 * 32) } as const;

describe('a classifier refuses, before it trains,', () => {
  it('images of a single class', async () => {
    expect(await refusal({ train: { ...room.sets.train, positive: [] } })).toMatch(
      /at least 2 training image\(s\) of each class, got 0 positive/,
    );
    expect(await refusal({ validation: { ...room.sets.validation, negative: [] } })).toMatch(
      /at least 1 validation image\(s\) of each class, got 0 negative/,
    );
  });
  it('one image per class', async () => {
    expect(await refusal({ train: room.sets.validation })).toMatch(/at least 2 training image.*got 1 negative/);
    expect((await loadTrainingSets(task())).train.counts).toEqual({ negative: 2, positive: 2 });
  });
  it('a class of black images', async () => {
    const negative = [await shardOf(join(room.dir, 'black'), 'negative', [black, black])];
    expect(await refusal({ train: { ...room.sets.train, negative } })).toMatch(
      /all 2 negative training images are blank/,
    );
  });
  it('labels that are no label, or that of the other class', async () => {
    const relabelled = async (label: string): Promise<PerClass<readonly LocalShard[]>> => {
      const shard = await shardOf(join(room.dir, label), 'negative', [
        black,
        { ...black, data: black.data.map((_, i) => i) },
      ]);
      const index = await readFile(shard.indexFile, 'utf8');
      await writeFile(shard.indexFile, index.replaceAll('"side":"negative"', `"side":"${label}"`));
      return { ...room.sets.train, negative: [shard] };
    };
    expect(await refusal({ train: await relabelled('2') })).toMatch(
      /0\.png among the negative training images is labelled "2"; expected negative/,
    );
    expect(await refusal({ train: await relabelled('positive') })).toContain('is labelled "positive"');
  });
  it('the checkpoint of another architecture', async () => {
    const small = await recordInto(join(room.dir, 'small'), fp32);
    await trainClassifier(task({ untilEpoch: 1 }), small.context);
    const checkpointFile = small.checkpoints.at(-1)?.checkpointFile ?? '';
    const other = { ...tinyConfig, width: 0.1, blocks: [1, 2, 1] as [number, number, number] };
    const { context } = await recordInto(join(room.dir, 'other'), fp32);
    await expect(trainClassifier(task({ config: other, checkpointFile }), context)).rejects.toThrow(
      /belongs to another training: .*config\.width is 0\.05, expected 0\.1; config\.blocks is \[1,1,1\], expected \[1,2,1\]/,
    );
  });
});
