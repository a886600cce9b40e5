import type { ToolResult } from '../contract/tools.ts';
import { planTool } from './plan-tool.ts';
import { gpuActivities } from './proxies.ts';

/** A grid of row seeds by column seeds, some layers styled by the column. */
export async function styleMixing(input: unknown): Promise<ToolResult> {
  const plan = await planTool('styleMixing', input);
  return await gpuActivities(plan.timeouts, plan.study.queues.synthesize).mixStyles({ plan });
}
