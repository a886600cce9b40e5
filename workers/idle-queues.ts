import type { Client } from '@temporalio/client';
import proto from '@temporalio/proto';

/**
 * Queues among `names` that no worker serves: none has polled it, and none of its workers has given a heartbeat, in the last
 * minutes. A worker that trains has no free slot and does not poll, but beats.
 */
export async function findIdleQueues(client: Client, names: readonly string[]): Promise<string[]> {
  const idle: string[] = [];
  const served = await servedQueues(client);
  for (const name of names) {
    if (served.has(name)) continue;
    const { pollers } = await client.workflowService.describeTaskQueue({
      namespace: client.options.namespace,
      taskQueue: { name },
      taskQueueType: proto.temporal.api.enums.v1.TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY,
    });
    const newest = Math.max(0, ...pollers.map(({ lastAccessTime }) => Number(lastAccessTime?.seconds ?? 0)));
    if (isPast(newest)) idle.push(name);
  }
  return idle;
}

/** A long poll lasts a minute, a heartbeat comes every minute: what was seen last two minutes ago has gone. */
const isPast = (seconds: number): boolean => Date.now() / 1000 - seconds > 120;

/** Queues of workers with a recent heartbeat; empty on a server that does not list workers. */
async function servedQueues({ workflowService, options }: Client): Promise<ReadonlySet<string>> {
  const { workersInfo } = await workflowService
    .listWorkers({ namespace: options.namespace, pageSize: 1000 })
    .catch(() => ({ workersInfo: [] }));
  const beats = workersInfo.flatMap(({ workerHeartbeat }) => workerHeartbeat ?? []);
  const alive = beats.filter(
    ({ heartbeatTime, status }) =>
      !isPast(Number(heartbeatTime?.seconds ?? 0)) &&
      status !== proto.temporal.api.enums.v1.WorkerStatus.WORKER_STATUS_SHUTDOWN,
  );
  return new Set(alive.map(({ taskQueue }) => taskQueue ?? ''));
}
