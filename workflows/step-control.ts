import {
  CancellationScope,
  CancelledFailure,
  condition,
  defineQuery,
  defineSignal,
  getExternalWorkflowHandle,
  isCancellation,
  setCurrentDetails,
  setHandler,
  workflowInfo,
} from '@temporalio/workflow';
import { queries, signals } from '../contract/names.ts';
import type { ProgressSnapshot, StepProgress, StepReport, StepState } from '../contract/progress.ts';

export const pauseStepSignal = defineSignal<[string]>(signals.pauseStep);
export const resumeStepSignal = defineSignal(signals.resumeStep);
export const stepProgressSignal = defineSignal<[StepReport]>(signals.stepProgress);
const progressQuery = defineQuery<StepProgress>(queries.progress);

/** What every child shares: pause and resume by signal, the `progress` query, and progress signals to the parent. */
export interface StepControl {
  /** Resolves when the step is not paused; for work that runs side by side, too. */
  readonly whenRunning: () => Promise<void>;
  /**
   * Runs long work that pause may interrupt: its scope is cancelled, the activity saves and answers. Null means that the
   * work was interrupted before it could answer.
   * @throws CancelledFailure when the whole workflow was cancelled.
   */
  readonly interruptible: <T>(work: () => Promise<T>) => Promise<T | null>;
  /** Updates the query and tells the parent. */
  readonly report: (change: Partial<Omit<StepProgress, 'step'>>) => Promise<void>;
  /** Why the step is paused, or null; a step with children of its own tells them. */
  readonly pausedFor: () => string | null;
  /** What `progress` says about a queue without a worker. */
  readonly idleQueue: () => string | null;
  /** Ends the work that is running now as pause would, without pausing. */
  readonly interrupt: () => void;
}

/** Installs the handlers; call it before the first await of a child workflow. */
export function controlStep(step: string, unit: string): StepControl {
  let progress: StepProgress = {
    step,
    state: 'running',
    done: 0,
    total: 0,
    unit,
    detail: '',
    idleQueue: null,
    snapshots: [],
  };
  let told: readonly ProgressSnapshot[] | null = null;
  let pausedFor: string | null = null;
  const running = new Set<CancellationScope>();
  let waiting: Promise<void> | null = null;

  const interrupt = (): void => {
    for (const scope of running) scope.cancel();
  };
  const show = (): void => setCurrentDetails(renderStep(progress, pausedFor));
  setHandler(progressQuery, () => progress);
  setHandler(pauseStepSignal, (reason) => {
    pausedFor = reason;
    interrupt();
    show();
  });
  setHandler(resumeStepSignal, () => {
    pausedFor = null;
    show();
  });

  const report: StepControl['report'] = async (change) => {
    // Who makes progress is served.
    const served = change.done !== undefined && change.done > progress.done ? { idleQueue: null } : {};
    progress = { ...progress, ...served, ...change };
    show();
    const parent = workflowInfo().parent;
    if (!parent) return;
    const message = reportOf(progress, told);
    told = progress.snapshots;
    await getExternalWorkflowHandle(parent.workflowId).signal(stepProgressSignal, message);
  };

  const waitForResume = async (): Promise<void> => {
    const before: StepState = progress.state;
    await report({ state: 'paused', detail: pausedFor ?? '' });
    await condition(() => pausedFor === null);
    waiting = null;
    await report({ state: before, detail: '' });
  };
  // Work that runs side by side waits, and says so, once.
  const whenRunning = async (): Promise<void> => {
    while (pausedFor !== null) await (waiting ??= waitForResume());
  };

  const interruptible = async <T>(work: () => Promise<T>): Promise<T | null> => {
    const scope = new CancellationScope();
    running.add(scope);
    try {
      const result = await scope.run(work);
      throwIfCancelled();
      return result;
    } catch (error) {
      throwIfCancelled();
      if (isCancellation(error) && scope.consideredCancelled) return null;
      throw error;
    } finally {
      running.delete(scope);
    }
  };

  return {
    whenRunning,
    interruptible,
    report,
    pausedFor: () => pausedFor,
    idleQueue: () => progress.idleQueue,
    interrupt,
  };
}

/** `told`: the snapshots as they were signalled last, null before the first signal. */
function reportOf({ snapshots, ...rest }: StepProgress, told: readonly ProgressSnapshot[] | null): StepReport {
  if (told === null) return { ...rest, snapshots };
  const differs = ({ nimg, sha256, metric }: ProgressSnapshot, i: number): boolean =>
    told[i]?.nimg !== nimg || told[i].sha256 !== sha256 || told[i].metric?.value !== metric?.value;
  const first = snapshots.findIndex(differs);
  const keptSnapshots = first < 0 ? snapshots.length : first;
  if (keptSnapshots === snapshots.length && keptSnapshots === told.length) return rest;
  return { ...rest, snapshots: snapshots.slice(keptSnapshots), keptSnapshots };
}

/** An activity may answer a cancellation with a normal result; the workflow must end all the same. */
function throwIfCancelled(): void {
  if (CancellationScope.current().consideredCancelled) throw new CancelledFailure('the study was cancelled');
}

function renderStep(progress: StepProgress, pausedFor: string | null): string {
  const lines = [`**${progress.step}**: ${progress.state}, ${progress.done} of ${progress.total} ${progress.unit}`];
  if (progress.detail) lines.push(progress.detail);
  if (progress.awaiting) lines.push(`Waiting for a person: ${progress.awaiting}`);
  if (progress.idleQueue) lines.push(`No worker polls queue \`${progress.idleQueue}\`.`);
  if (pausedFor !== null) lines.push(`Paused: ${pausedFor}`);
  return lines.join('\n\n');
}
