import { MockActivityEnvironment } from '@temporalio/testing';
import { describe, expect, it } from 'vitest';
import { jsonLines, type LocalDeps } from '../../activities/local-inputs.ts';
import { createProjectionPublishing } from '../../activities/publish-projection.ts';
import type { ProjectionSegment } from '../../contract/activities.ts';
import { toolKey } from '../../contract/keys.ts';
import { resolveStudyFile } from '../../contract/resolve-study.ts';
import type { ToolPlan, ToolResult } from '../../contract/tools.ts';
import { putBlob } from '../../lib/storage/blobs.ts';
import { createMemoryStore } from '../../lib/storage/memory.ts';
import { fakeFingerprint } from '../support/fake-activities.ts';

const study = resolveStudyFile({
  studyId: 's1',
  preset: 'demo',
  dataset: { name: 'd' },
  classes: { negative: 'benign', positive: 'malignant' },
});
const blob = { sha256: 'a', bytes: 1 };
const plan: ToolPlan<'projectImage'> = {
  ...{ tool: 'projectImage', study, side: 'negative', chosenBy: 'lowest', timeouts: 'test' },
  snapshot: { nimg: 64, weights: blob },
  request: { target: { name: 'benign/1.png', png: blob }, steps: 3, loss: 'multi-scale pixel distance' },
};

describe('publishProjection', () => {
  const store = createMemoryStore();
  const publish = (segments: ProjectionSegment[]): Promise<ToolResult> =>
    new MockActivityEnvironment().run(
      createProjectionPublishing({ store } as unknown as LocalDeps).publishProjection, // it looks at nothing else
      { plan, segments },
    );
  const segment = { request: 'r1', fingerprint: fakeFingerprint, state: blob, distance: 1, files: null };

  it('draws the loss and names it for what it is', async () => {
    const key = { studyId: 's1', tool: 'projectImage', request: 'r1' };
    await store.put(toolKey(key, 'loss.csv'), Buffer.from('step,distance,regulariser\n0,0.5,1\n1,0.25,1\n2,0.125,1\n'));
    const files = await putBlob(store, jsonLines([{ name: 'loss.csv', ...blob }]));
    const result = await publish([segment, { ...segment, files }]);
    expect(result).toMatchObject({ files: 2, nimg: 64 });
    const read = async (name: string): Promise<string> => Buffer.from(await store.get(toolKey(key, name))).toString();
    expect(await read('loss.svg')).toContain('Distance to benign/1.png over 3 steps: from 0.5 to 0.125');
    const manifest = JSON.parse(await read('manifest.json')) as { request: unknown; notes: string[] };
    expect(manifest.request).toEqual(plan.request);
    expect(manifest.notes[0]).toContain('not LPIPS');
  });

  it('refuses a projection without its end', async () => {
    await expect(publish([segment])).rejects.toThrow(/files of the last segment/);
  });
});
