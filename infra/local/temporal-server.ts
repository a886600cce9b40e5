import { setTimeout as sleep } from 'node:timers/promises';
import { Connection } from '@temporalio/client';
import proto from '@temporalio/proto';
import { searchAttributes } from '../../contract/names.ts';
import type { Ports } from './ports.ts';

/** What the 1.29 server leaves off and the CLI's worker commands need. */
const dynamicConfig = [
  'matching.useNewMatcher=true',
  'frontend.WorkerHeartbeatsEnabled=true',
  'frontend.ListWorkersEnabled=true',
];

/** Days that the history of a finished study stays; the dev server's own default is one. */
const retentionDays = 30;

/** Arguments of `temporal` for a server that keeps its state in one SQLite file, or in memory without one. */
export function temporalArguments({ ports, dbFile }: { ports: Ports; dbFile: string | null }): string[] {
  return [
    ...['server', 'start-dev', '--ip', '127.0.0.1', '--port', String(ports.temporal), '--ui-port', String(ports.ui)],
    ...(dbFile === null ? [] : ['--db-filename', dbFile]),
    ...['--log-level', 'warn'],
    ...Object.entries(searchAttributes).flatMap(([name, type]) => ['--search-attribute', `${name}=${type}`]),
    ...dynamicConfig.flatMap((value) => ['--dynamic-config-value', value]),
  ];
}

/** Waits for the server and sets the retention of its namespace. */
export async function prepareTemporal(address: string): Promise<void> {
  const connection = await connectPatiently(address);
  try {
    await connection.workflowService.updateNamespace({
      namespace: 'default',
      config: {
        workflowExecutionRetentionTtl: proto.google.protobuf.Duration.fromObject({ seconds: retentionDays * 86_400 }),
      },
    });
  } finally {
    await connection.close();
  }
}

async function connectPatiently(address: string): Promise<Connection> {
  const deadline = Date.now() + 60_000;
  for (;;) {
    try {
      const connection = await Connection.connect({ address, connectTimeout: 2_000 });
      await connection.workflowService.describeNamespace({ namespace: 'default' });
      return connection;
    } catch (error) {
      if (Date.now() > deadline)
        throw new Error(`Temporal did not become ready at ${address} within 60 s; its log says why`, { cause: error });
      await sleep(200);
    }
  }
}
