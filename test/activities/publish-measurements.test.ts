import { MockActivityEnvironment } from '@temporalio/testing';
import { describe, expect, it } from 'vitest';
import { createMeasurementPublishing } from '../../activities/publish-measurements.ts';
import type { StoredMeasurement } from '../../contract/activities.ts';
import type { Fingerprint } from '../../contract/manifests.ts';
import { resolveStudyFile } from '../../contract/resolve-study.ts';
import type { SnapshotChoice, ToolPlan, ToolResult } from '../../contract/tools.ts';
import type { LocalDeps } from '../../activities/local-inputs.ts';
import { createMemoryStore } from '../../lib/storage/memory.ts';
import { fakeFingerprint } from '../support/fake-activities.ts';

const study = resolveStudyFile({
  studyId: 's1',
  preset: 'demo',
  dataset: { name: 'd' },
  classes: { negative: 'benign', positive: 'malignant' },
});
const blob = (sha256: string) => ({ sha256, bytes: 1 });
const snapshots = [0, 64].map((nimg) => ({ nimg, weights: blob(`w${nimg}`) }));
const plan: ToolPlan<'measureSnapshots'> = {
  ...{ tool: 'measureSnapshots', study, side: 'negative', chosenBy: 'lowest', timeouts: 'test' },
  snapshot: { nimg: 64, weights: blob('w64') },
  request: {
    ...{ snapshots, fakes: 20, psi: 1 },
    dataset: { kind: 'dataset', ...blob('d') },
    classifier: { kind: 'classifier', ...blob('c') },
  },
};
const measurement = (frechet: number, fingerprint: Fingerprint = fakeFingerprint): StoredMeasurement => ({
  fingerprint,
  measurement: {
    ...{ metric: 'fd.irv2-real', extractor: 'abc', reals: 12, fakes: 20 },
    quality: { frechet, kernel: frechet / 10, recall: 0.5, coverage: 0.25 },
  },
});

describe('publishMeasurements', () => {
  const store = createMemoryStore();
  const publish = (
    floor: StoredMeasurement,
    measured: StoredMeasurement[],
    chosenBy: SnapshotChoice = 'lowest',
  ): Promise<ToolResult> =>
    new MockActivityEnvironment().run(
      createMeasurementPublishing({ store } as unknown as LocalDeps).publishMeasurements, // it looks at nothing else
      { plan: { ...plan, chosenBy }, floor, measured },
    );
  const text = async (result: ToolResult, name: string): Promise<string> =>
    Buffer.from(await store.get(`${result.prefix}${name}`)).toString('utf8');

  it('writes the same bytes however its snapshot was found, which the answer says', async () => {
    const measured = [measurement(40), measurement(3)];
    const first = await publish(measurement(1.5), measured);
    const manifest = await text(first, 'manifest.json');
    const again = await publish(measurement(1.5), measured, 'asked');
    expect(again).toEqual({ ...first, chosenBy: 'asked' });
    expect(await text(again, 'manifest.json')).toBe(manifest);
  });

  it('writes the numbers as JSON and CSV, the curve, and a manifest', async () => {
    const result = await publish(measurement(1.5), [measurement(40), measurement(3)]);
    expect(result).toMatchObject({ files: 3, nimg: 64, chosenBy: 'lowest' });
    expect(await text(result, 'metrics.csv')).toBe(
      'nimg,reals,fakes,fd.irv2-real,kernel,recall,coverage\n' +
        'floor,12,20,1.5,0.15,0.5,0.25\n0,12,20,40,4,0.5,0.25\n64,12,20,3,0.3,0.5,0.25\n',
    );
    expect(JSON.parse(await text(result, 'metrics.json'))).toMatchObject({
      ...{ metric: 'fd.irv2-real', extractor: 'abc', psi: 1, floor: { frechet: 1.5 } },
      snapshots: [
        { nimg: 0, sha256: 'w0', frechet: 40 },
        { nimg: 64, sha256: 'w64', frechet: 3, coverage: 0.25 },
      ],
    });
    expect(await text(result, 'metrics.svg')).toContain('chosen: 3');
    expect(JSON.parse(await text(result, 'manifest.json'))).toMatchObject({ tool: 'measureSnapshots' });
  });

  it('draws no curve of what could not be measured', async () => {
    const none = { fingerprint: fakeFingerprint, measurement: { ...measurement(0).measurement, quality: null } };
    const result = await publish(none, [none, none]);
    expect(result.files).toBe(2);
    expect(await text(result, 'metrics.csv')).toContain('\n64,12,20,,,,\n');
  });

  it('refuses parts of two kinds of engine', async () => {
    const other = { ...fakeFingerprint, threads: 7 };
    await expect(publish(measurement(1), [measurement(2), measurement(3, other)])).rejects.toThrow(
      /expected one kind of engine behind queue gpu/,
    );
  });
});
