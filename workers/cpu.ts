import { join } from 'node:path';
import { removeLeftovers } from '../activities/activity-support.ts';
import { createCpuActivities } from '../activities/cpu.ts';
import { recording } from '../activities/run-record.ts';
import { translating } from '../activities/translate-errors.ts';
import { queues } from '../contract/names.ts';
import { describeRuntime } from '../lib/fingerprint.ts';
import { createBlobCache } from '../lib/storage/local-blobs.ts';
import { createLogger, installRuntime, openStore, readEnvironment } from './config.ts';
import { runWorkers } from './run-worker.ts';

/** Preparation, statistics and the report. Never loads TensorFlow. */
const log = createLogger('cpu');
installRuntime(log);
const environment = readEnvironment();
const store = openStore(environment);
const workDir = join(environment.ECHOFORGE_WORK_DIR, 'cpu');
await removeLeftovers(workDir);
const cache = createBlobCache({
  dir: join(environment.ECHOFORGE_WORK_DIR, 'blobs'),
  maxBytes: environment.ECHOFORGE_CACHE_BYTES,
});

await runWorkers(log, [
  {
    taskQueue: queues.cpu,
    activities: translating(
      recording(createCpuActivities({ store, cache, workDir }), { store, fingerprint: describeRuntime }),
    ),
    maxConcurrentActivityTaskExecutions: 4,
    shutdownGraceTime: '10s',
  },
]);
