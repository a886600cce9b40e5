import type { ProjectionSegment } from '../contract/activities.ts';
import { queues } from '../contract/names.ts';
import type { ToolResult } from '../contract/tools.ts';
import { planTool } from './plan-tool.ts';
import { cpuActivities, gpuActivities } from './proxies.ts';

/** Steps per activity: minutes at 256 px on two cores, and all that a lost worker repeats. */
const segmentSteps = 250;

/** Projection of a real image into w, in segments that each leave their state. */
export async function projectImage(input: unknown): Promise<ToolResult> {
  const plan = await planTool('projectImage', input);
  const { study, request, timeouts } = plan;
  const gpu = gpuActivities(timeouts, study.queues.synthesize);
  const segments: ProjectionSegment[] = [];
  for (let done = 0; done < request.steps; done += segmentSteps) {
    const untilStep = Math.min(done + segmentSteps, request.steps);
    const state = segments.at(-1)?.state ?? null;
    segments.push(await gpu.projectImageSegment({ plan, state, untilStep }));
  }
  return await cpuActivities(timeouts, queues.cpu).publishProjection({ plan, segments });
}
