import { beforeEach, describe, expect, it } from 'vitest';
import { createControlActivities } from '../../activities/control.ts';
import type { ControlActivities, StepIdentity } from '../../contract/activities.ts';
import { importHeadKey, weightsKey } from '../../contract/keys.ts';
import type { DatasetImport, GeneratorManifest } from '../../contract/manifests.ts';
import { putManifest } from '../../lib/storage/blobs.ts';
import { createMemoryStore } from '../../lib/storage/memory.ts';
import type { ObjectStore } from '../../lib/storage/object-store.ts';
import { updatePointer } from '../../lib/storage/pointer.ts';
import { fakeFingerprint } from '../support/fake-activities.ts';

const manifest = { kind: 'dataset', sha256: 'a'.repeat(64), bytes: 3 };
const identity: StepIdentity = {
  studyId: 's1',
  step: 'dataset',
  config: { resolution: 32 },
  inputs: ['b'.repeat(64)],
  fingerprint: fakeFingerprint,
  reuse: true,
};

describe('control activities', () => {
  let store: ObjectStore;
  let control: ControlActivities;
  let freeBytes: number | null;
  beforeEach(() => {
    store = createMemoryStore();
    freeBytes = null;
    control = createControlActivities({
      store,
      timeouts: 'test',
      findIdleQueues: (queues) => Promise.resolve(queues.filter((queue) => queue === 'gpu-b')),
      freeBytes: () => Promise.resolve(freeBytes),
    });
  });

  describe('finished steps', () => {
    const finish = async (over: Partial<StepIdentity> = {}): Promise<void> => {
      const { key } = await control.findStep({ ...identity, ...over });
      await control.finishStep({ studyId: over.studyId ?? 's1', step: 'dataset', key, manifest });
    };

    it('finds nothing before a step has finished', async () => {
      expect((await control.findStep(identity)).manifest).toBeNull();
    });

    it('finds its own finished step again, whatever would run it now', async () => {
      await finish();
      const fingerprint = { ...fakeFingerprint, node: '99' };
      expect(await control.findStep({ ...identity, fingerprint })).toMatchObject({ manifest, reused: false });
    });

    it('does not find it for another configuration or other inputs', async () => {
      await finish();
      expect((await control.findStep({ ...identity, config: { resolution: 64 } })).manifest).toBeNull();
      expect((await control.findStep({ ...identity, inputs: [] })).manifest).toBeNull();
    });

    it('takes the step of another study on the same fingerprint only, and says so', async () => {
      await finish();
      const other = { ...identity, studyId: 's2' };
      expect(await control.findStep(other)).toMatchObject({ manifest, reused: true });
      expect((await control.findStep({ ...other, reuse: false })).manifest).toBeNull();
      const elsewhere = { ...other, fingerprint: { ...fakeFingerprint, threads: 64 } };
      expect((await control.findStep(elsewhere)).manifest).toBeNull();
    });

    it.each([
      { what: 'all of it', fingerprint: fakeFingerprint, fingerprintChanges: [], reused: true },
      { what: 'its end', fingerprint: fakeFingerprint, fingerprintChanges: ['1 kimg: threads 4 -> 2'], reused: false },
      { what: 'none of it', fingerprint: { ...fakeFingerprint, threads: 64 }, fingerprintChanges: [], reused: false },
    ])(
      'takes a training of another study: $reused, where $what ran on the fingerprint',
      async ({ reused, ...training }) => {
        const { key } = await control.findStep(identity);
        const trained = await putManifest(store, { kind: 'generator', ...training } as unknown as GeneratorManifest); // the part read here
        await control.finishStep({
          studyId: 's1',
          step: 'dataset',
          key,
          manifest: trained,
          fingerprint: fakeFingerprint,
        });
        expect(await control.findStep(identity)).toMatchObject({ manifest: trained, reused: false });
        expect(await control.findStep({ ...identity, studyId: 's2' })).toMatchObject({ reused });
      },
    );
  });

  it('records a decision once, however often its activity is retried', async () => {
    const decision = { type: 'stopTraining', side: 'negative', atNimg: 640, reason: 'enough' } as const;
    await control.recordDecision({ studyId: 's1', decision, by: '' });
    await control.recordDecision({ studyId: 's1', decision, by: '' });
    await importFiles({ benign: 30, malignant: 30 });
    const { decisions } = await control.resolveStudy({ file, workflowId: 'study/s1' });
    expect(decisions).toEqual([decision]);
  });

  const file = { dataset: { name: 'busi' }, classes: { negative: 'benign', positive: 'malignant' } };
  const importFiles = async (folders: Record<string, number>): Promise<void> => {
    const blob = { sha256: 'a'.repeat(64), bytes: 1 };
    const files = Object.entries(folders).flatMap(([folder, count]) =>
      Array.from({ length: count }, (_, i) => ({ path: `${folder}/${i}.png`, blob })),
    );
    const head = await putManifest<DatasetImport>(store, { kind: 'import', name: 'busi', files });
    await updatePointer(store, importHeadKey('busi'), () => head);
  };

  describe('preflight', () => {
    const plan = async (over: object = {}): ReturnType<ControlActivities['preflightStudy']> =>
      await control.preflightStudy({
        resolved: await control.resolveStudy({ file: { ...file, ...over }, workflowId: 'study/s1' }),
      });

    it('lists the steps with their queues and counts the source images', async () => {
      await importFiles({ benign: 40, malignant: 35 });
      const { images, steps, warnings } = await plan();
      expect(images).toEqual({ negative: 40, positive: 35 });
      expect(steps.map(({ step }) => step)).toContain('generator/malignant');
      expect(warnings.filter((warning) => warning.includes('no worker'))).toEqual([]);
    });

    it('refuses a folder that is neither a class nor ignored', async () => {
      await importFiles({ benign: 40, malignant: 35, normal: 10 });
      await expect(plan()).rejects.toThrow(/normal.*"ignore"/);
    });

    it('lets a refused file be mended under the same studyId', async () => {
      await importFiles({ benign: 40, malignant: 35, normal: 10 });
      await expect(plan()).rejects.toThrow();
      await plan({ ignore: ['normal'] });
      await expect(plan({ ignore: ['normal', 'other'] })).rejects.toThrow(/another configuration.*ignore/);
    });

    it('refuses a class that is missing or too small', async () => {
      await importFiles({ benign: 30, malign: 25 });
      await expect(plan({ ignore: ['malign'] })).rejects.toThrow(/"malignant".* 0 files/);
    });

    it('refuses a class with fewer images than a minibatch of its generator', async () => {
      await importFiles({ benign: 40, malignant: 25 });
      await expect(plan()).rejects.toThrow(/"malignant".* 25 files.*lower generator\.batchSize \(32\)/);
      await expect(plan({ generator: { batchSize: 16 } })).resolves.toBeDefined();
    });

    it('counts the images of both classes for the minibatch of a conditional generator', async () => {
      await importFiles({ benign: 40, malignant: 25 });
      await expect(plan({ generator: { conditional: true, batchSize: 128 } })).rejects.toThrow(
        /65 files of both classes/,
      );
      await expect(plan({ generator: { conditional: true } })).resolves.toBeDefined();
    });

    it('warns about a queue that nobody polls', async () => {
      await importFiles({ benign: 40, malignant: 35 });
      expect((await plan({ queues: { synthesize: 'gpu-b' } })).warnings.join()).toContain('gpu-b');
    });

    it('refuses a study that does not fit the disk', async () => {
      await importFiles({ benign: 40, malignant: 35 });
      freeBytes = 1e6;
      await expect(plan()).rejects.toThrow(/GB are free/);
    });

    it('refuses a study that does not fit the memory of this machine, warns where another one trains', async () => {
      await importFiles({ benign: 600, malignant: 600 });
      const huge = { image: { resolution: 1024 }, generator: { config: 'f', batchSize: 512, microBatchSize: 512 } };
      expect((await plan({ ...huge, studyId: 's1' })).warnings.join()).toMatch(/training needs about \d+\.\d GB/);
      freeBytes = 1e15;
      await expect(plan(huge)).rejects.toThrow(
        /training needs about .* GB of memory.*generator\.microBatchSize \(512\)/,
      );
    });

    it('refuses an extractor without its weights, and weights that nothing would use', async () => {
      await importFiles({ benign: 40, malignant: 35 });
      const refusal = (snapshotMetric: object) => plan({ snapshotMetric });
      const inceptionWeights = weightsKey('a'.repeat(64), 'inception.safetensors');
      await expect(refusal({ extractor: 'inception-2015' })).rejects.toThrow(
        /snapshotMetric\.inceptionWeights.*docs\//s,
      );
      await expect(refusal({ extractor: 'irv2-real', inceptionWeights })).rejects.toThrow(/snapshotMetric\.extractor/);
      await expect(refusal({ inceptionWeights: 'inception.pth' })).rejects.toThrow(/import-weights.*inception\.pth/s);
    });

    it('refuses weights that are not in the store, or too large, before anything is computed', async () => {
      await importFiles({ benign: 40, malignant: 35 });
      const inceptionWeights = weightsKey('a'.repeat(64), 'inception.safetensors');
      const over = { snapshotMetric: { inceptionWeights } };
      await expect(plan(over)).rejects.toThrow(/snapshotMetric\.inceptionWeights needs .* echoforge import-weights/);
      await expect(plan({ classifier: { weights: 'weights/x.h5' } })).rejects.toThrow(/classifier\.weights needs/);
      await store.put(inceptionWeights, Buffer.alloc(1000));
      await expect(plan(over)).resolves.toBeDefined();
      await store.put(inceptionWeights, Buffer.alloc(450_000_000));
      await expect(plan(over)).rejects.toThrow(/450000000 bytes/);
    });
  });
});
