import { join } from 'node:path';
import { removeLeftovers } from '../activities/activity-support.ts';
import { createGpuActivities } from '../activities/gpu.ts';
import { recording } from '../activities/run-record.ts';
import { translating } from '../activities/translate-errors.ts';
import { createBlobCache } from '../lib/storage/local-blobs.ts';
import { createLogger, installRuntime, openStore, readEnvironment } from './config.ts';
import { createEngineHost } from './engine-host.ts';
import { runWorkers } from './run-worker.ts';

/** Relays TensorFlow work to engine processes, beats, uploads. Polls the queues of ECHOFORGE_QUEUES (default gpu). */
const log = createLogger('gpu');
installRuntime(log);
const environment = readEnvironment();
const store = openStore(environment);
const workDir = join(environment.ECHOFORGE_WORK_DIR, 'gpu');
await removeLeftovers(workDir);
const cache = createBlobCache({
  dir: join(environment.ECHOFORGE_WORK_DIR, 'blobs'),
  maxBytes: environment.ECHOFORGE_CACHE_BYTES,
});
const engine = createEngineHost({
  entry: new URL('./engine-process.ts', import.meta.url),
  log,
  timeouts: environment.ECHOFORGE_TIMEOUTS,
  maxProcesses: environment.ECHOFORGE_ENGINE_PROCESSES,
});
const { lastFingerprint, ...activities } = createGpuActivities({ store, cache, engine, workDir });

try {
  await runWorkers(
    log,
    environment.ECHOFORGE_QUEUES.map((taskQueue) => ({
      taskQueue,
      activities: translating(recording(activities, { store, fingerprint: lastFingerprint })),
      // One training per device; a second activity would only wait for the engine.
      maxConcurrentActivityTaskExecutions: 1,
      // Shutdown first asks the training to end at its next iteration, then waits this long for the checkpoint.
      shutdownGraceTime: '2s',
      shutdownForceTime: '5m',
    })),
  );
} finally {
  engine.close();
}
