import type { Logger } from 'pino';
import type { NativeConnection } from '@temporalio/worker';
import { Worker, type WorkerOptions } from '@temporalio/worker';
import { connectWorker } from './config.ts';

/** Runs one worker per queue on one connection until a signal ends it; a second signal of impatience is not needed. */
export async function runWorkers(
  log: Logger,
  workers: readonly (Pick<WorkerOptions, 'taskQueue'> & Partial<WorkerOptions>)[],
): Promise<void> {
  const { connection, namespace } = await connectPatiently(log);
  const running = await Promise.all(workers.map((options) => Worker.create({ connection, namespace, ...options })));
  log.info({ queues: workers.map(({ taskQueue }) => taskQueue), namespace }, 'worker ready');
  try {
    await Promise.all(running.map((worker) => worker.run()));
  } finally {
    await connection.close();
  }
}

/** A worker that starts before its server waits for it instead of dying. */
async function connectPatiently(log: Logger): Promise<{ connection: NativeConnection; namespace: string }> {
  const deadline = Date.now() + 120_000;
  for (;;) {
    try {
      return await connectWorker();
    } catch (error) {
      if (Date.now() > deadline) throw error;
      log.warn({ err: error }, 'Temporal does not answer yet');
      await new Promise((resolve) => setTimeout(resolve, 1000));
    }
  }
}
