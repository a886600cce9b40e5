import { mkdir, mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { hostname } from 'node:os';
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
  const dir = await mkdtemp(join(parent, `activity-${hostname()}-${process.pid}-`));
  try {
    return await work(dir);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

/** Longer than any activity leaves its directory unchanged. */
const abandonedMs = 7 * 24 * 3_600_000;

/**
 * Removes the directories of killed workers below `parent`. To be called by a worker before its first activity: one of this
 * host that bears its own pid is of an earlier life. What another host may use stays for a week.
 */
export async function removeLeftovers(parent: string): Promise<void> {
  for (const name of await readdir(parent).catch(() => [])) {
    if (!name.startsWith('activity-')) continue;
    const dir = join(parent, name);
    const [, host, pid] = /^activity-(.*)-(\d+)-[^-]{6}$/.exec(name) ?? [];
    const gone =
      host === hostname()
        ? Number(pid) === process.pid || !isAlive(Number(pid))
        : await stat(dir).then(
            ({ mtimeMs }) => Date.now() - mtimeMs > abandonedMs,
            () => false,
          );
    // An engine process that has not noticed yet may still write there: the next start removes the rest.
    if (gone) await rm(dir, { recursive: true, force: true }).catch(() => undefined);
  }
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
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

/** What ends an activity whose work failed: the workflow's cancellation where it asked to stop, otherwise the error. */
export const causeOfEnd = (error: unknown): unknown =>
  stoppedByWorkflow() ? Context.current().cancellationSignal.reason : error;

/** Thrown by an activity whose worker shuts down, after it has saved. */
export function shutdownFailure(saved: string): ApplicationFailure {
  return ApplicationFailure.retryable(`the worker is shutting down; ${saved}`, 'WorkerShutdown');
}
