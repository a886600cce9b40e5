import { hostname } from 'node:os';
import { Client, Connection } from '@temporalio/client';
import { loadClientConnectConfig } from '@temporalio/envconfig';

/**
 * Health check of a worker container: Temporal has had a heartbeat from a worker of this host in the last minutes. Polls
 * would not do: a gpu worker that trains has no free slot and does not poll.
 */
const longestSilenceMs = 180_000;

const config = loadClientConnectConfig();
const connection = await Connection.connect(config.connectionOptions);
try {
  const client = new Client({ connection, namespace: config.namespace ?? 'default' });
  const { workersInfo } = await client.workflowService.listWorkers({
    namespace: client.options.namespace,
    pageSize: 1000,
  });
  const beats = workersInfo
    .filter(({ workerHeartbeat }) => workerHeartbeat?.hostInfo?.hostName === hostname())
    .map(({ workerHeartbeat }) => Number(workerHeartbeat?.heartbeatTime?.seconds ?? 0) * 1000);
  const newest = Math.max(0, ...beats);
  if (Date.now() - newest > longestSilenceMs) {
    console.error(`no heartbeat of a worker on ${hostname()} in the last ${longestSilenceMs / 1000} s`);
    process.exitCode = 1;
  }
} finally {
  await connection.close();
}
