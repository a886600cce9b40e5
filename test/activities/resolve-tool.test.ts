import { beforeEach, describe, expect, it } from 'vitest';
import { resolveTool } from '../../activities/resolve-tool.ts';
import { blobKey, stepKey, studyKey, trainingHeadKey } from '../../contract/keys.ts';
import type { GeneratorManifest, Snapshot, SyntheticSetManifest } from '../../contract/manifests.ts';
import { resolveStudyFile } from '../../contract/resolve-study.ts';
import type { ToolName, ToolPlan } from '../../contract/tools.ts';
import { newGeneratorState } from '../../contract/training-state.ts';
import { putBlob, putManifest } from '../../lib/storage/blobs.ts';
import { createMemoryStore } from '../../lib/storage/memory.ts';
import type { ObjectStore } from '../../lib/storage/object-store.ts';
import { createPointer } from '../../lib/storage/pointer.ts';
import { claimHead } from '../../lib/storage/training-head.ts';
import { fakeFingerprint } from '../support/fake-activities.ts';

const study = resolveStudyFile({
  studyId: 's1',
  preset: 'demo',
  dataset: { name: 'd' },
  classes: { negative: 'benign', positive: 'malignant' },
});

describe('resolveTool', () => {
  let store: ObjectStore;
  let snapshots: Snapshot[];
  beforeEach(async () => {
    store = createMemoryStore();
    await createPointer(store, studyKey('s1'), { study, source: null });
    const metric = (value: number): Snapshot['metric'] => ({ name: 'fd', weights: '', value, reals: 1, fakes: 1 });
    snapshots = [];
    for (const [nimg, value] of [
      [0, 9],
      [64, 2],
      [128, 5],
    ] as const) {
      const weights = await putBlob(store, Buffer.from(`weights ${nimg}`));
      snapshots.push({ nimg, weights, grid: weights, metric: metric(value) });
    }
  });

  const finish = async (step: string, manifest: GeneratorManifest | SyntheticSetManifest): Promise<void> => {
    await createPointer(store, stepKey('s1', step), { identity: '', manifest: await putManifest(store, manifest) });
  };
  const finishGenerator = (): Promise<void> =>
    finish('generator/benign', { kind: 'generator', snapshots } as unknown as GeneratorManifest); // what is read of it
  const resolve = (over: object = {}): Promise<ToolPlan<'generateImages'>> =>
    resolveTool(store, {
      ...{ tool: 'generateImages', timeouts: 'test' },
      input: { study: 's1', class: 'benign', seeds: '1-3', ...over },
    });

  it('takes the snapshot that synthesis used', async () => {
    await finishGenerator();
    const shared = { kind: 'syntheticSet', side: 'negative', className: 'benign', psi: 1, shards: [] } as const;
    const set = { ...shared, snapshot: snapshots[2]!, chosenBy: 'approved', fingerprint: fakeFingerprint } as const;
    await finish('synthesis/benign', set);
    expect(await resolve()).toMatchObject({ side: 'negative', snapshot: { nimg: 128 }, chosenBy: 'approved' });
  });

  it('takes the lowest metric before synthesis, and the one that was asked for in any case', async () => {
    await finishGenerator();
    expect(await resolve()).toMatchObject({ snapshot: { nimg: 64 }, chosenBy: 'lowest' });
    expect(await resolve({ nimg: 0 })).toMatchObject({ snapshot: { nimg: 0 }, chosenBy: 'asked' });
  });

  it('takes the newest of a training that runs', async () => {
    const initial = { ...newGeneratorState, snapshots: snapshots.map(({ metric, ...stored }) => stored) };
    const key = trainingHeadKey('s1', 'generator/benign');
    await claimHead({ store, key, owner: 'test', configSha256: 'c'.repeat(64), nonce: 'n', initial });
    expect(await resolve()).toMatchObject({ snapshot: { nimg: 128 }, chosenBy: 'newest' });
  });

  it('fills in the psi of the study', async () => {
    await finishGenerator();
    expect((await resolve()).request).toEqual({ seeds: [1, 2, 3], psi: study.synthesis.psi, noise: 'seed' });
    expect((await resolve({ psi: 0 })).request.psi).toBe(0);
  });

  it('refuses by name what is not there, and says what is', async () => {
    await expect(resolve()).rejects.toThrow(/nimg: .*benign, found none yet/);
    await finishGenerator();
    await expect(resolve({ study: 'nobody' })).rejects.toThrow(/study: .*none called "nobody"/);
    await expect(resolve({ class: 'cyst' })).rejects.toThrow(/class: expected benign or malignant, found "cyst"/);
    await expect(resolve({ nimg: 65 })).rejects.toThrow(/nimg: .*\(0, 64, 128\), found 65/);
    await store.delete(blobKey(snapshots[1]!.weights.sha256));
    await expect(resolve()).rejects.toThrow(/snapshot 64 are no longer in the store/);
    await expect(resolve()).rejects.toMatchObject({ name: 'ToolInputError' });
  });

  it('mixes the coarser half by default, and refuses layers that the network lacks', async () => {
    await finishGenerator();
    const mixing = (over: object): Promise<ToolPlan<'styleMixing'>> =>
      resolveTool(store, {
        ...{ tool: 'styleMixing', timeouts: 'test' },
        input: { study: 's1', class: 'benign', rowSeeds: '1', columnSeeds: '2', ...over },
      });
    expect((await mixing({})).request.columnStyles).toEqual([0, 1, 2, 3]); // of 8 at 32 px
    expect((await mixing({ columnStyles: '6-7' })).request.columnStyles).toEqual([6, 7]);
    await expect(mixing({ columnStyles: '6-8' })).rejects.toThrow(
      /columnStyles: expected layers 0-7 at 32 px, found 8/,
    );
  });

  it('refuses pictures that could not be stored at the resolution of the study, before any work', async () => {
    const large = { ...study, studyId: 's2', image: { ...study.image, resolution: 1024 } };
    await createPointer(store, studyKey('s2'), { study: large, source: null });
    const manifest = await putManifest(store, { kind: 'generator', snapshots } as unknown as GeneratorManifest); // as above
    await createPointer(store, stepKey('s2', 'generator/benign'), { identity: '', manifest });
    const draw = (tool: ToolName, over: object): Promise<ToolPlan> =>
      resolveTool(store, { tool, timeouts: 'test', input: { study: 's2', class: 'benign', ...over } });
    await expect(draw('styleMixing', { rowSeeds: '1-15', columnSeeds: '1-15' })).rejects.toThrow(
      /columnSeeds: expected at most 255 cells, .* at 1024 px, found 256/,
    );
    await expect(draw('truncationSweep', { seeds: '1-64', psi: [0, 0.5, 1, 1.6] })).rejects.toThrow(
      /seeds: expected at most 255 pairs of seed and psi at 1024 px, found 256/,
    );
    await expect(draw('interpolateLatents', { seeds: '1-16' })).rejects.toThrow(
      /framesBetween: expected at most 255 frames, .*found 256/,
    );
    expect(await draw('truncationSweep', { seeds: '1-51', psi: [0, 0.5, 1, 1.6, 2] })).toMatchObject({ study: large });
    expect(await draw('generateImages', { seeds: '1-300' })).toMatchObject({ study: large }); // its grid holds fewer
  });

  describe('measureSnapshots', () => {
    const measure = (over: object = {}): Promise<ToolPlan<'measureSnapshots'>> =>
      resolveTool(store, {
        ...{ tool: 'measureSnapshots', timeouts: 'test' },
        input: { study: 's1', class: 'benign', ...over },
      });
    const finishInputs = async (): Promise<void> => {
      for (const step of ['dataset', 'classifier/real'])
        await createPointer(store, stepKey('s1', step), {
          identity: '',
          manifest: { kind: step, sha256: '', bytes: 1 },
        });
    };

    it('takes every snapshot whose weights are in the store, or those asked for', async () => {
      await finishGenerator();
      await finishInputs();
      await store.delete(blobKey(snapshots[2]!.weights.sha256));
      const counts = async (over: object = {}): Promise<number[]> =>
        (await measure(over)).request.snapshots.map(({ nimg }) => nimg);
      expect(await counts()).toEqual([0, 64]);
      expect(await counts({ snapshots: '64' })).toEqual([64]);
      await expect(measure({ snapshots: '0,128' })).rejects.toThrow(/snapshots: .*benign \(0, 64\), found 128/);
    });

    it("fills in the study's fakes, and psi 1 as a training measures", async () => {
      await finishGenerator();
      await finishInputs();
      const { request } = await measure();
      expect(request).toMatchObject({
        fakes: study.snapshotMetric.fakes,
        psi: 1,
        classifier: { kind: 'classifier/real' },
      });
    });

    it('refuses a study without a classifier', async () => {
      await finishGenerator();
      await expect(measure()).rejects.toThrow(/expected the finished step dataset of study s1/);
    });
  });
});
