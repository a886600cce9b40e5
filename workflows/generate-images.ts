import { patched } from '@temporalio/workflow';
import { queues } from '../contract/names.ts';
import type { ToolResult } from '../contract/tools.ts';
import { mapBounded } from './map-bounded.ts';
import { planTool } from './plan-tool.ts';
import { cpuActivities, gpuActivities } from './proxies.ts';

/** The input of each chunk names all seeds: the chunks of a long list would together pass Temporal's limit for a history. */
const mostChunks = 64;

/** Images of listed seeds from a stored snapshot, chunk by chunk: one is repeated at most when a worker is lost. */
export async function generateImages(input: unknown): Promise<ToolResult> {
  const plan = await planTool('generateImages', input);
  const { study, request, timeouts } = plan;
  const gpu = gpuActivities(timeouts, study.queues.synthesize);
  const { shardImages } = study.synthesis;
  const tooMany = request.seeds.length > mostChunks * shardImages && patched('mostChunks');
  const size = tooMany ? Math.ceil(request.seeds.length / mostChunks) : shardImages;
  const chunks = await mapBounded(chunksOf(request.seeds, size), 4, (seeds) => gpu.generateImageChunk({ plan, seeds }));
  return await cpuActivities(timeouts, queues.cpu).publishImages({ plan, chunks });
}

function chunksOf(seeds: readonly number[], size: number): (readonly number[])[] {
  return Array.from({ length: Math.ceil(seeds.length / size) }, (_, i) => seeds.slice(i * size, (i + 1) * size));
}
