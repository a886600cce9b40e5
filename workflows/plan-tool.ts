import { upsertSearchAttributes } from '@temporalio/workflow';
import type { ToolName, ToolPlan } from '../contract/tools.ts';
import { controlActivities } from './proxies.ts';
import { classOf, stageOf } from './search-attributes.ts';

/** The checked request of a tool with its snapshot; refused by field before any work. Shows in search attributes. */
export async function planTool<T extends ToolName>(tool: T, input: unknown): Promise<ToolPlan<T>> {
  // The worker's own timeouts come with the plan; until then the patient ones hold.
  const plan = await controlActivities('production').resolveTool({ tool, input });
  upsertSearchAttributes([...stageOf(plan.study, tool), classOf(plan.study.classes[plan.side])]);
  return plan;
}
