import type { Client } from '@temporalio/client';

/** Temporal's number of the activity task queue type. */
const activityQueue = 2;

/** Queues among `names` that no worker has polled in the last minutes. */
export async function findIdleQueues(client: Client, names: readonly string[]): Promise<string[]> {
  const idle: string[] = [];
  for (const name of names) {
    const { pollers } = await client.workflowService.describeTaskQueue({
      namespace: client.options.namespace,
      taskQueue: { name },
      taskQueueType: activityQueue,
    });
    const newest = Math.max(0, ...(pollers ?? []).map(({ lastAccessTime }) => Number(lastAccessTime?.seconds ?? 0)));
    // A long poll lasts a minute: one that was seen two minutes ago has gone.
    if (Date.now() / 1000 - newest > 120) idle.push(name);
  }
  return idle;
}
