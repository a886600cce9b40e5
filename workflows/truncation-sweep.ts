import type { ToolResult } from '../contract/tools.ts';
import { planTool } from './plan-tool.ts';
import { gpuActivities } from './proxies.ts';

/** A grid of seeds by truncation psi. */
export async function truncationSweep(input: unknown): Promise<ToolResult> {
  const plan = await planTool('truncationSweep', input);
  return await gpuActivities(plan.timeouts, plan.study.queues.synthesize).sweepTruncation({ plan });
}
