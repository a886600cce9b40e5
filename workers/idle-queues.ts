import type { Client } from '@temporalio/client';
import proto from '@temporalio/proto';

/** Queues among `names` that no worker has polled in the last minutes. */
export async function findIdleQueues(client: Client, names: readonly string[]): Promise<string[]> {
  const idle: string[] = [];
  for (const name of names) {
    const { pollers } = await client.workflowService.describeTaskQueue({
      namespace: client.options.namespace,
      taskQueue: { name },
      taskQueueType: proto.temporal.api.enums.v1.TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY,
    });
    const newest = Math.max(0, ...pollers.map(({ lastAccessTime }) => Number(lastAccessTime?.seconds ?? 0)));
    // A long poll lasts a minute: one that was seen two minutes ago has gone.
    if (Date.now() / 1000 - newest > 120) idle.push(name);
  }
  return idle;
}
