import { queues } from '../contract/names.ts';
import type { ToolResult } from '../contract/tools.ts';
import { mapBounded } from './map-bounded.ts';
import { planTool } from './plan-tool.ts';
import { cpuActivities, gpuActivities } from './proxies.ts';

/** Metrics of stored snapshots, one activity each: what was measured once is found again. */
export async function measureSnapshots(input: unknown): Promise<ToolResult> {
  const plan = await planTool('measureSnapshots', input);
  const { study, side, timeouts } = plan;
  const { snapshots, ...request } = plan.request;
  const gpu = gpuActivities(timeouts, study.queues.measureSnapshot);
  const floor = await gpu.measureSnapshotQuality({ study, side, ...request, weights: null });
  const measured = await mapBounded(snapshots, 2, ({ weights }) =>
    gpu.measureSnapshotQuality({ study, side, ...request, weights }),
  );
  return await cpuActivities(timeouts, queues.cpu).publishMeasurements({ plan, floor, measured });
}
