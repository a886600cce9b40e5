import { MockActivityEnvironment } from '@temporalio/testing';
import { describe, expect, it } from 'vitest';
import { jsonLines, type LocalDeps } from '../../activities/local-inputs.ts';
import { createToolPublishing } from '../../activities/publish-images.ts';
import { storeToolBytes } from '../../activities/tool-output.ts';
import { toolKey } from '../../contract/keys.ts';
import { resolveStudyFile } from '../../contract/resolve-study.ts';
import { gridCellsOf, type ToolFile, type ToolManifest, type ToolPlan, type ToolResult } from '../../contract/tools.ts';
import { decodePng, encodePng } from '../../lib/image/png.ts';
import { putBlob } from '../../lib/storage/blobs.ts';
import { createMemoryStore } from '../../lib/storage/memory.ts';
import { fakeFingerprint } from '../support/fake-activities.ts';

const store = createMemoryStore();

/** The grid and the manifest of so many images in a study of this resolution; they are of one pixel, which no grid minds. */
async function publish(count: number, resolution: number) {
  const classes = { negative: 'benign', positive: 'malignant' };
  const study = resolveStudyFile({
    ...{ studyId: 's1', preset: 'demo', dataset: { name: 'd' }, classes },
    image: { resolution },
  });
  const seeds = Array.from({ length: count }, (_, seed) => seed);
  const plan: ToolPlan<'generateImages'> = {
    ...{ tool: 'generateImages', study, side: 'negative', chosenBy: 'lowest', timeouts: 'test' },
    snapshot: { nimg: 64, weights: { sha256: 'a', bytes: 1 } },
    request: { seeds, psi: 1, noise: 'seed' },
  };
  const target = { studyId: 's1', tool: 'generateImages', request: `at-${resolution}` };
  const bytes = await encodePng({ width: 1, height: 1, channels: 1, data: new Uint8Array([255]) });
  const files: ToolFile[] = [];
  for (const seed of seeds) files.push(await storeToolBytes(store, target, { name: `${seed}.png`, bytes }));
  const chunk = {
    request: target.request,
    fingerprint: fakeFingerprint,
    files: await putBlob(store, jsonLines(files)),
  };
  const result = (await new MockActivityEnvironment().run(
    createToolPublishing({ store } as unknown as LocalDeps).publishImages, // it looks at nothing else
    { plan, chunks: [chunk] },
  )) as ToolResult;
  return {
    result,
    grid: await decodePng(await store.get(toolKey(target, 'grid.png'))),
    manifest: JSON.parse((await store.get(result.manifest)).toString()) as ToolManifest,
  };
}

describe('publishImages', () => {
  it('lays the images out in a square, in the order of the seed list', async () => {
    const { result, grid, manifest } = await publish(10, 32);
    expect([grid.width, grid.height]).toEqual([4, 3]);
    expect(result.files).toBe(11);
    expect(manifest.files.at(-1)?.name).toBe('grid.png');
    expect(manifest.notes).toEqual(['grid.png holds 10 of 10 images, 4 to a row, in the order of the seed list']);
  });

  it('holds as many in the grid as one picture can be stored of', async () => {
    const { result, grid, manifest } = await publish(230, 1024);
    expect([grid.width, grid.height]).toEqual([15, 15]);
    expect(result.files).toBe(231);
    expect(manifest.notes[0]).toContain('grid.png holds 225 of 230 images, 15 to a row');
  });

  it.each([
    [8, 32],
    [256, 32],
    [512, 31],
    [1024, 15],
  ])('fits a grid at %i px into what the encoder takes: %i to a row', (resolution, side) => {
    expect(gridCellsOf(resolution)).toBe(side ** 2);
    expect((side * resolution) ** 2).toBeLessThanOrEqual(0x3fff ** 2); // of sharp, for raw pixels too
  });
});
