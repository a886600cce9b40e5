import type { CpuActivities } from '../contract/activities.ts';
import { toolKey } from '../contract/keys.ts';
import { gridCellsOf, type ToolFile } from '../contract/tools.ts';
import { encodeGrid } from '../lib/image/grid.ts';
import { decodePng } from '../lib/image/png.ts';
import type { RawImage } from '../lib/image/raw-image.ts';
import { getBlob } from '../lib/storage/blobs.ts';
import { beating } from './activity-support.ts';
import { parseJsonLines, type LocalDeps } from './local-inputs.ts';
import { commonOf, finishTool, storeToolBytes } from './tool-output.ts';

/** Grid and manifest of the images that `generateImages` asked for. Never loads TensorFlow. */
export function createToolPublishing({ store }: LocalDeps): Pick<CpuActivities, 'publishImages'> {
  return {
    publishImages: async ({ plan, chunks }) =>
      await beating(async () => {
        const { request, fingerprint } = commonOf(chunks, plan.study.queues.synthesize);
        const target = { studyId: plan.study.studyId, tool: plan.tool, request };
        const files: ToolFile[] = [];
        for (const chunk of chunks) files.push(...parseJsonLines<ToolFile>(await getBlob(store, chunk.files)));
        const cells: RawImage[] = [];
        for (const { name } of files.slice(0, gridCellsOf(plan.study.image.resolution)))
          cells.push(await decodePng(await store.get(toolKey(target, name))));
        const columns = Math.ceil(Math.sqrt(cells.length));
        const rows = Math.ceil(cells.length / columns);
        const grid = await storeToolBytes(store, target, {
          name: 'grid.png',
          bytes: await encodeGrid(cells, { columns, rows }),
        });
        const notes = [
          `grid.png holds ${cells.length} of ${files.length} images, ${columns} to a row, in the order of the seed list`,
        ];
        return await finishTool(store, plan, { request, notes, files: [...files, grid], fingerprint });
      }),
  };
}
