import { copyFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { resolveStudyFile } from '../../../contract/resolve-study.ts';
import { trainClassifier } from '../../../lib/classifier/train.ts';
import { fp32, tinyConfig, trainingRoom, type Part } from '../../support/classifier-training.ts';
import { bytesOf, recordInto } from '../../support/training-runner.ts';

const room = trainingRoom('resume', { train: 4, validation: 2 });

/** The preset's own training of a tiny network, on pretrained weights; `sound` in its two phases. */
function configOf(preset: 'nakata' | 'sound', batchSize: number) {
  const { width, blocks, headUnits } = tinyConfig;
  const { classifier } = resolveStudyFile({
    ...{ studyId: 's', preset, dataset: { name: 'd' }, classes: { negative: 'n', positive: 'p' } },
    classifier: {
      width,
      blocks,
      headUnits,
      weights: 'weights/given',
      ...(preset === 'sound' ? { headEpochs: 1 } : {}),
    },
  });
  return { ...classifier, epochs: 2, batchSize }; // one image per step is less than a study file may ask for
}

describe('a training of a preset', () => {
  it.each([
    { preset: 'nakata', batchSize: 1 },
    { preset: 'nakata', batchSize: 3 },
    { preset: 'sound', batchSize: 1 },
    { preset: 'sound', batchSize: 3 },
  ] as const)(
    '$preset, $batchSize of 8 images per step, stopped in and between epochs, ends in the same bytes',
    async ({ preset, batchSize }) => {
      const over = { config: configOf(preset, batchSize), pretrainedFile: room.given.file };
      const train = (name: string, parts: readonly Part[]) => room.train(`${preset}-${batchSize}-${name}`, parts, over);
      const whole = await train('whole', [{ untilEpoch: 2 }]);
      expect(whole).toMatchObject({ epoch: 2, complete: true });
      const perEpoch = Math.floor(8 / batchSize) * batchSize;
      const parts = [
        { untilEpoch: 2, stopAt: batchSize },
        { untilEpoch: 1 },
        { untilEpoch: 2, stopAt: perEpoch + batchSize },
        { untilEpoch: 2 },
      ];
      expect(await train('cut', parts)).toEqual(whole);
    },
  );

  it('saves itself on the way when its time has come, and goes on from there after a kill', async () => {
    const over = { config: configOf('sound', 3), pretrainedFile: room.given.file };
    const whole = await room.train('unsaved', [{ untilEpoch: 2 }], over);
    const onTheWay = join(room.dir, 'on-the-way.safetensors');
    const run = async (name: string, checkpointFile: string | null): Promise<{ saves: boolean[]; last: string }> => {
      const saves: boolean[] = [];
      let last = '';
      const take = async (event: { readonly complete: boolean; readonly checkpointFile: string }): Promise<void> => {
        saves.push(event.complete);
        last = await bytesOf(event.checkpointFile);
        if (saves.length === 3) await copyFile(event.checkpointFile, onTheWay);
      };
      const { context } = await recordInto(join(room.dir, name), fp32, { saveEveryMs: 0, take });
      await trainClassifier(room.task({ ...over, checkpointFile, untilEpoch: 2 }), context);
      return { saves, last };
    };
    // Two steps of three images and an end, twice: the step after a save is always made.
    const saved = await run('saved', null);
    expect(saved).toEqual({ saves: [false, true, false, true], last: whole['checkpoint'] });
    expect(await run('again', onTheWay)).toEqual({ saves: [true], last: whole['checkpoint'] });
  });
});
