import type { GpuActivities } from '../contract/activities.ts';
import type {
  EngineSettings,
  EngineTasks,
  InterpolateLatentsTask,
  MixStylesTask,
  SweepTruncationTask,
  ToolTask,
} from '../contract/engine.ts';
import type { Fingerprint } from '../contract/manifests.ts';
import type { ToolPlan, ToolResult } from '../contract/tools.ts';
import { putBlob, putBlobFile } from '../lib/storage/blobs.ts';
import { beating, withWorkDir } from './activity-support.ts';
import { infer, provenanceOf, settingsOf, type GpuDeps } from './inference.ts';
import { fetchGenerator, jsonLines } from './local-inputs.ts';
import { memoized } from './memo.ts';
import { finishTool, requestOf, storeToolFiles } from './tool-output.ts';

/** Engine tasks that are a tool by themselves. */
interface DrawingTasks {
  readonly mixStyles: MixStylesTask;
  readonly sweepTruncation: SweepTruncationTask;
  readonly interpolateLatents: InterpolateLatentsTask;
}

/** The tools' part of queue `gpu`: a snapshot to a file, the engine process draws, its files to the store. */
export function createToolActivities(
  deps: GpuDeps,
  fingerprintOf: (settings: EngineSettings) => Promise<Fingerprint>,
): Pick<
  GpuActivities,
  'generateImageChunk' | 'mixStyles' | 'sweepTruncation' | 'interpolateLatents' | 'projectImageSegment'
> {
  const { store } = deps;

  const taskOf = async ({ study, side, snapshot }: ToolPlan, fingerprint: Fingerprint): Promise<ToolTask> => ({
    generator: await fetchGenerator(deps, study, { weights: snapshot.weights, side }),
    className: study.classes[side],
    seed: study.seed,
    batchSize: study.synthesis.batchSize,
    provenance: provenanceOf(study, { weights: snapshot.weights, fingerprint }),
  });

  /** One engine task is the whole tool: its files, then the manifest. */
  const draw = async <T extends keyof DrawingTasks>(
    name: T,
    plan: ToolPlan,
    {
      input,
      notes = [],
    }: { readonly input: Omit<DrawingTasks[T], keyof ToolTask>; readonly notes?: readonly string[] },
  ): Promise<ToolResult> =>
    await beating(async () =>
      withWorkDir(deps.workDir, async (workDir) => {
        const settings = settingsOf(plan.study);
        const fingerprint = await fingerprintOf(settings);
        const request = requestOf(plan, fingerprint);
        // The rest of a task is what every tool is given.
        const task = { ...(await taskOf(plan, fingerprint)), ...input } as unknown as EngineTasks[T]['input'];
        const { files } = await infer(deps, name, settings, () => task, workDir);
        const target = { studyId: plan.study.studyId, tool: plan.tool, request };
        const stored = await storeToolFiles(store, target, files);
        return await finishTool(store, plan, { request, notes, files: stored, fingerprint });
      }),
    );

  return {
    mixStyles: ({ plan }) => draw('mixStyles', plan, { input: plan.request }),
    sweepTruncation: ({ plan }) => draw('sweepTruncation', plan, { input: plan.request }),
    interpolateLatents: ({ plan }) =>
      draw('interpolateLatents', plan, {
        input: plan.request,
        notes: ["the original's tools make no film: the way between latents is ours (linear in w, great circles in z)"],
      }),
    generateImageChunk: async ({ plan, seeds }) =>
      await beating(async () => {
        const settings = settingsOf(plan.study);
        const { studyId } = plan.study;
        const fingerprint = await fingerprintOf(settings);
        const request = requestOf(plan, fingerprint);
        const identity = { activity: 'generateImageChunk', parts: [request, seeds], fingerprint };
        const generate = async (): ReturnType<GpuActivities['generateImageChunk']> =>
          await withWorkDir(deps.workDir, async (workDir) => {
            const task = { ...(await taskOf(plan, fingerprint)), ...plan.request, seeds };
            const { files } = await infer(deps, 'generateImages', settings, () => task, workDir);
            const stored = await storeToolFiles(store, { studyId, tool: plan.tool, request }, files);
            return { request, fingerprint, files: await putBlob(store, jsonLines(stored)) };
          });
        return await memoized(store, { studyId, identity }, generate);
      }),
    projectImageSegment: async ({ plan, state, untilStep }) =>
      await beating(async () => {
        const settings = settingsOf(plan.study);
        const { studyId } = plan.study;
        const { target, steps } = plan.request;
        const fingerprint = await fingerprintOf(settings);
        const request = requestOf(plan, fingerprint);
        const identity = { activity: 'projectImageSegment', parts: [request, state, untilStep], fingerprint };
        const project = async (): ReturnType<GpuActivities['projectImageSegment']> =>
          await withWorkDir(deps.workDir, async (workDir) => {
            const task = {
              ...(await taskOf(plan, fingerprint)),
              targetFile: await deps.cache.fetch(store, target.png),
              stateFile: state === null ? null : await deps.cache.fetch(store, state),
              ...{ steps, untilStep },
            };
            const { stateFile, distance, files } = await infer(deps, 'projectImage', settings, () => task, workDir);
            const stored = await storeToolFiles(store, { studyId, tool: plan.tool, request }, files);
            return {
              ...{ request, fingerprint, distance, state: await putBlobFile(store, stateFile) },
              files: untilStep < steps ? null : await putBlob(store, jsonLines(stored)),
            };
          });
        return await memoized(store, { studyId, identity }, project);
      }),
  };
}
