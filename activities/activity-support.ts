import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Context } from '@temporalio/activity';
import { ApplicationFailure } from '@temporalio/common';

/** Study, workflow, activity and attempt: on every log line of the worker and of its engine process. */
export function activityLabels(): Readonly<Record<string, string | number>> {
  const { activityType, attempt, workflowExecution } = Context.current().info;
  const workflow = workflowExecution?.workflowId ?? '';
  return { study: /^study\/([^/]+)/.exec(workflow)?.[1] ?? '', workflow, activity: activityType, attempt };
}

/** Beats from a timer while `work` runs, with the newest details; they are information, never the resume point. */
export async function beating<T>(work: (details: (value: unknown) => void) => Promise<T>): Promise<T> {
  const context = Context.current();
  let newest: unknown = null;
  const timeout = context.info.heartbeatTimeoutMs ?? 0;
  const timer = timeout > 0 ? setInterval(() => context.heartbeat(newest), Math.max(200, timeout / 4)) : undefined;
  context.heartbeat(newest);
  try {
    return await work((value) => {
      newest = value;
    });
  } finally {
    clearInterval(timer);
  }
}

/** Runs `work` with an empty directory that is gone afterwards. */
export async function withWorkDir<T>(parent: string, work: (dir: string) => Promise<T>): Promise<T> {
  await mkdir(parent, { recursive: true });
  const dir = await mkdtemp(join(parent, 'activity-'));
  try {
    return await work(dir);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

/**
 * True when the workflow asked this activity to stop (pause, cancel, stop): it should save and answer. A shutdown or a
 * lost attempt is no answer: the next attempt goes on.
 */
export function stoppedByWorkflow(): boolean {
  const { cancellationSignal } = Context.current();
  if (!cancellationSignal.aborted) return false;
  const reason: unknown = cancellationSignal.reason;
  return reason instanceof Error && reason.message === 'CANCELLED';
}

/** Thrown by an activity whose worker shuts down, after it has saved. */
export function shutdownFailure(saved: string): ApplicationFailure {
  return ApplicationFailure.retryable(`the worker is shutting down; ${saved}`, 'WorkerShutdown');
}
