import { Client, Connection } from '@temporalio/client';
import { bundleWorkflowCode, NativeConnection, Worker } from '@temporalio/worker';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, beforeEach, inject } from 'vitest';
import { queues } from '../../contract/names.ts';
import { createFakeWorld, type FakeWorld } from './fake-activities.ts';

/** The workflows on real Temporal with fake activities: one bundle and connection per file, fresh workers per test. */
export interface WorkflowWorld {
  readonly client: Client;
  /** Of the running test. */
  readonly fakes: FakeWorld;
}

/** To be called inside `describe`. `interrupted` settles when a running activity is asked to stop. */
export function useWorkflowWorld(interrupted: () => Promise<void> = () => Promise.resolve()): WorkflowWorld {
  let connection: Connection | undefined;
  let native: NativeConnection | undefined;
  let client: Client | undefined;
  let fakes: FakeWorld | undefined;
  let workflowBundle = { code: '' };

  beforeAll(async () => {
    const address = inject('temporalAddress');
    connection = await Connection.connect({ address });
    native = await NativeConnection.connect({ address });
    client = new Client({ connection });
    workflowBundle = await bundleWorkflowCode({
      workflowsPath: fileURLToPath(new URL('../../workflows/index.ts', import.meta.url)),
    });
  });
  afterAll(async () => {
    await connection?.close();
    await native?.close();
  });
  beforeEach(async () => {
    const { control, cpu, gpu } = (fakes = createFakeWorld(interrupted));
    const common = present(native, 'connection');
    const workers = await Promise.all([
      Worker.create({ connection: common, taskQueue: queues.control, workflowBundle, activities: { ...control } }),
      Worker.create({ connection: common, taskQueue: queues.cpu, activities: { ...cpu } }),
      Worker.create({ connection: common, taskQueue: queues.gpu, activities: { ...gpu } }),
    ]);
    const runs = workers.map((worker) => worker.run());
    return async () => {
      for (const worker of workers) worker.shutdown();
      await Promise.all(runs);
    };
  });
  return {
    get client() {
      return present(client, 'client');
    },
    get fakes() {
      return present(fakes, 'fake activities');
    },
  };
}

function present<T>(value: T | undefined, what: string): T {
  if (value === undefined) throw new Error(`the workflow world has no ${what} yet: use it inside a test`);
  return value;
}
