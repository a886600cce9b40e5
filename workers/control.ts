import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { createControlActivities } from '../activities/control.ts';
import { translating } from '../activities/translate-errors.ts';
import { queues } from '../contract/names.ts';
import { freeBytesOf } from '../lib/storage/free-bytes.ts';
import { connectClient, createLogger, installRuntime, openStore, readEnvironment } from './config.ts';
import { findIdleQueues } from './idle-queues.ts';
import { runWorkers } from './run-worker.ts';

/** Workflows and second-long activities on the store. Never loads TensorFlow. */
const log = createLogger('control');
installRuntime(log);
const environment = readEnvironment();
const store = openStore(environment);
const client = await connectClient();

/** The local stack keeps the store's data on this disk; elsewhere nobody can know. */
const freeBytes = async (): Promise<number | null> => {
  const home = process.env['ECHOFORGE_HOME'];
  return home === undefined ? null : await freeBytesOf(home);
};

await runWorkers(log, [
  {
    taskQueue: queues.control,
    workflowsPath: fileURLToPath(new URL('../workflows/index.ts', import.meta.url)),
    activities: translating(
      createControlActivities({
        store,
        timeouts: environment.ECHOFORGE_TIMEOUTS,
        findIdleQueues: (names) => findIdleQueues(client, names),
        freeBytes,
        hasGpu: existsSync('/proc/driver/nvidia/version'),
      }),
    ),
    shutdownGraceTime: '10s',
  },
]);
