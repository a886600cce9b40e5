import type { GpuActivities } from '../contract/activities.ts';
import type { EngineSettings, ToolTask } from '../contract/engine.ts';
import type { Fingerprint } from '../contract/manifests.ts';
import type { ToolPlan } from '../contract/tools.ts';
import { putBlob } from '../lib/storage/blobs.ts';
import { beating, withWorkDir } from './activity-support.ts';
import { infer, provenanceOf, settingsOf, type GpuDeps } from './inference.ts';
import { fetchGenerator, jsonLines } from './local-inputs.ts';
import { memoized } from './memo.ts';
import { requestOf, storeToolFiles } from './tool-output.ts';

/** The tools' part of queue `gpu`: a snapshot to a file, the engine process draws, its files to the store. */
export function createToolActivities(
  deps: GpuDeps,
  fingerprintOf: (settings: EngineSettings) => Promise<Fingerprint>,
): Pick<GpuActivities, 'generateImageChunk'> {
  const { store } = deps;

  const taskOf = async ({ study, side, snapshot }: ToolPlan, fingerprint: Fingerprint): Promise<ToolTask> => ({
    generator: await fetchGenerator(deps, study, snapshot.weights),
    className: study.classes[side],
    seed: study.seed,
    batchSize: study.synthesis.batchSize,
    provenance: provenanceOf(study, { weights: snapshot.weights, fingerprint }),
  });

  return {
    generateImageChunk: async ({ plan, seeds }) =>
      await beating(async () => {
        const settings = settingsOf(plan.study);
        const { studyId } = plan.study;
        const fingerprint = await fingerprintOf(settings);
        const request = requestOf(plan, fingerprint);
        const identity = { activity: 'generateImageChunk', parts: [request, seeds], fingerprint };
        const generate = async (): ReturnType<GpuActivities['generateImageChunk']> =>
          await withWorkDir(deps.workDir, async (workDir) => {
            const { psi, noise } = plan.request;
            const input = async (): Promise<
              ToolTask & { seeds: readonly number[]; psi: number; noise: typeof noise }
            > => ({
              ...(await taskOf(plan, fingerprint)),
              ...{ seeds, psi, noise },
            });
            const { files } = await infer(deps, 'generateImages', settings, input, workDir);
            const stored = await storeToolFiles(store, { studyId, tool: plan.tool, request }, files);
            return { request, fingerprint, files: await putBlob(store, jsonLines(stored)) };
          });
        return await memoized(store, { studyId, identity }, generate);
      }),
  };
}
