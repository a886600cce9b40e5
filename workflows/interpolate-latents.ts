import type { ToolResult } from '../contract/tools.ts';
import { planTool } from './plan-tool.ts';
import { gpuActivities } from './proxies.ts';

/** A film from seed to seed and back to the first. */
export async function interpolateLatents(input: unknown): Promise<ToolResult> {
  const plan = await planTool('interpolateLatents', input);
  return await gpuActivities(plan.timeouts, plan.study.queues.synthesize).interpolateLatents({ plan });
}
