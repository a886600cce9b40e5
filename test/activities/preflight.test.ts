import { describe, expect, it } from 'vitest';
import { planStudy } from '../../activities/preflight.ts';
import type { StudyPlan } from '../../contract/activities.ts';
import type { DatasetImport } from '../../contract/manifests.ts';
import { resolveStudyFile } from '../../contract/resolve-study.ts';
import { hashBytes, putManifest } from '../../lib/storage/blobs.ts';
import { createMemoryStore } from '../../lib/storage/memory.ts';

const blob = hashBytes(Buffer.from('image'));
const file = { studyId: 's1', dataset: { name: 'busi' }, classes: { negative: 'benign', positive: 'malignant' } };

async function plan(over: object, free: number | null = null, hasGpu = false): Promise<StudyPlan> {
  const store = createMemoryStore();
  await store.put('weights/w', Buffer.from('weights'));
  const paths = ['benign', 'malignant'].flatMap((name) => Array.from({ length: 40 }, (_, i) => `${name}/${i}.png`));
  const source = await putManifest<DatasetImport>(store, {
    ...{ kind: 'import', name: 'busi' },
    files: paths.map((path) => ({ path, blob })),
  });
  const study = resolveStudyFile({ ...file, ...over });
  return await planStudy(
    { study, configSha256: '', source, decisions: [], timeouts: 'test' },
    { store, findIdleQueues: () => Promise.resolve([]), freeBytes: () => Promise.resolve(free), hasGpu },
  );
}

describe('the plan of a study', () => {
  it('has a step for every repeat of a classifier, repeat 0 first', async () => {
    const steps = (await plan({ repeats: 2 })).steps.map(({ step }) => step);
    expect(steps.filter((step) => step.startsWith('classifier/'))).toEqual([
      ...['classifier/real', 'classifier/real/1', 'classifier/synthetic', 'classifier/synthetic/1'],
    ]);
  });
  it('asks for the space of every training: 2 GB for one at full width, weights and two checkpoints', async () => {
    const [one, two] = [await plan({ repeats: 1 }), await plan({ repeats: 2 })];
    // 55,912,674 parameters of 4 bytes; weights, best epoch and two Adam moments, twice, and the published weights.
    expect(two.estimatedBytes - one.estimatedBytes).toBe(2 * 4 * 55_912_674 * 9);
    await expect(plan({ repeats: 2 }, one.estimatedBytes)).rejects.toThrow(/GB are free/);
  });
  it('warns where a small budget leaves no snapshots to choose from, as ticks of the length in the paper do', async () => {
    const few = async (over: object): Promise<string> =>
      (await plan(over)).warnings.filter((warning) => warning.includes('snapshot')).join();
    expect(await few({ image: { resolution: 64 }, generator: { totalKimg: 30 } })).toBe(
      'generator.totalKimg 30 ends with 1 trained snapshot to choose from: there is one every 160 kimg; lower generator.tickNimg (16000)',
    );
    expect(await few({ image: { resolution: 64 }, generator: { totalKimg: 30, tickNimg: 500 } })).toBe('');
    expect(await few({ preset: 'demo' })).toBe('');
    expect(await few({})).toBe('');
  });
  it('refuses a training that this host has no memory for, unless a GPU brings its own', async () => {
    const huge = {
      image: { resolution: 1024 },
      generator: { fmapBase: 1_048_576, batchSize: 32, microBatchSize: 32 },
    };
    await expect(plan(huge, 1e18)).rejects.toThrow(/memory/);
    expect((await plan(huge, 1e18, true)).warnings.join()).toContain('a GPU has its own');
    expect((await plan(huge)).warnings.join()).toContain('a GPU has its own'); // trained elsewhere
  });
  it('asks for the space of cached features: of real and synthetic images in the store, of the larger set in the work directory', async () => {
    const needs = async (classifier: object, free?: number): Promise<number> => {
      const recipe = { weights: 'weights/w', headEpochs: 0, freeze: 'nakata', bn: 'frozen', ...classifier };
      const small = { synthesis: { imagesPerClass: 100 }, split: { test: 0.25 }, repeats: 3 };
      return (await plan({ ...small, classifier: recipe }, free)).estimatedBytes;
    };
    const perView = 4 * 6 * 6 * (448 + 2080);
    const none = await needs({});
    const two = await needs({ featureCache: 2 });
    expect(two - none).toBe(2 * perView * (60 + 200));
    // A third view is altered at random, in each repeat otherwise.
    expect((await needs({ featureCache: 3 })) - none).toBe(3 * 3 * perView * (60 + 200));
    expect(await needs({ featureCache: 2 }, two + 2 * perView * 200)).toBe(two);
    await expect(needs({ featureCache: 2 }, two + 2 * perView * 200 - 1)).rejects.toThrow(
      /GB in the store and, for cached features, 0\.1 GB in the work directory, .* GB are free/,
    );
  });
});
