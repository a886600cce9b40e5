import type { CpuActivities } from '../contract/activities.ts';
import { toolKey } from '../contract/keys.ts';
import type { ToolFile } from '../contract/tools.ts';
import { projectionLossSpec } from '../lib/report/figure-projection.ts';
import { renderFigure } from '../lib/report/figures.ts';
import { getBlob } from '../lib/storage/blobs.ts';
import { beating } from './activity-support.ts';
import { parseJsonLines, type LocalDeps } from './local-inputs.ts';
import { commonOf, finishTool, storeToolBytes } from './tool-output.ts';

const notes = [
  'the distance is the mean squared difference of pixels over all scales, not LPIPS: it knows nothing of perception',
  'a small distance says that the generator can make the picture, not that it learned it from this image',
];

/** Loss curve and manifest of a projection. Never loads TensorFlow. */
export function createProjectionPublishing({ store }: LocalDeps): Pick<CpuActivities, 'publishProjection'> {
  return {
    publishProjection: async ({ plan, segments }) =>
      await beating(async () => {
        const { request, fingerprint } = commonOf(segments, plan.study.queues.synthesize);
        const target = { studyId: plan.study.studyId, tool: plan.tool, request };
        const last = segments.at(-1)?.files ?? null;
        if (last === null) throw new RangeError('publishProjection expects the files of the last segment, got none');
        const files = parseJsonLines<ToolFile>(await getBlob(store, last));
        const table = Buffer.from(await store.get(toolKey(target, 'loss.csv'))).toString('utf8');
        const { svg } = await renderFigure(projectionLossSpec(table, plan.request.target.name));
        const curve = await storeToolBytes(store, target, { name: 'loss.svg', bytes: Buffer.from(svg) });
        return await finishTool(store, plan, { request, notes, files: [...files, curve], fingerprint });
      }),
  };
}
