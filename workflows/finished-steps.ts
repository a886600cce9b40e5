import { CancellationScope, sleep } from '@temporalio/workflow';
import type {
  ControlActivities,
  CpuActivities,
  FoundStep,
  GpuActivities,
  ResolvedStudy,
} from '../contract/activities.ts';
import type { Fingerprint, Manifest, RefTo } from '../contract/manifests.ts';
import type { ManifestRef } from '../contract/refs.ts';
import { timeoutProfiles } from '../contract/timeouts.ts';
import type { StepControl } from './step-control.ts';

interface StepDescription {
  readonly resolved: ResolvedStudy;
  readonly control: ControlActivities;
  readonly step: string;
  readonly queue: string;
  /** Other queues that its activities go to. */
  readonly otherQueues?: readonly string[];
  /** The part of the configuration, and the decisions, that this step's bytes depend on. */
  readonly config: unknown;
  readonly inputs: readonly ManifestRef[];
  /** Who will run the step: asked once, recorded, part of the key. */
  readonly describe: () => Promise<Fingerprint>;
}

/** Asks the step's queue for its fingerprint; shows in `progress` when nobody polls that queue. */
async function fingerprintOf(steps: StepControl, description: StepDescription): Promise<Fingerprint> {
  const idle = await description.control.findIdleQueues({ queues: [description.queue] });
  if (idle.length > 0) {
    await steps.report({
      state: 'waiting',
      idleQueue: description.queue,
      detail: `waiting for a worker on queue ${description.queue}`,
    });
    const fingerprint = await description.describe();
    await steps.report({ state: 'running', idleQueue: null, detail: '' });
    return fingerprint;
  }
  return await description.describe();
}

/**
 * Shows in `progress` when nobody serves a queue of a running step any more. Its looks become rarer, because each one costs
 * history, and frequent again when something has changed. Ends by cancellation only.
 */
async function watchQueues(steps: StepControl, description: StepDescription): Promise<never> {
  const { firstMs, longestMs } = timeoutProfiles[description.resolved.timeouts].queueLooks;
  const queues = [...new Set([description.queue, ...(description.otherQueues ?? [])])];
  let pauseMs = firstMs;
  for (;;) {
    await sleep(pauseMs);
    const [idle = null] = await description.control.findIdleQueues({ queues });
    const changed = idle !== steps.idleQueue();
    pauseMs = changed ? firstMs : Math.min(2 * pauseMs, longestMs);
    if (changed) await steps.report({ idleQueue: idle });
  }
}

async function watched<T>(steps: StepControl, description: StepDescription, work: () => Promise<T>): Promise<T> {
  const watch = new CancellationScope();
  // It ends cancelled, always; and a look that fails must not fail the step.
  watch.run(() => watchQueues(steps, description)).catch(() => undefined);
  try {
    return await work();
  } finally {
    watch.cancel();
  }
}

/** Runs `work` unless this study, or with `reuse` another one, has finished the same step before; registers the result. */
export async function runStep<M extends Manifest>(
  steps: StepControl,
  description: StepDescription,
  work: (fingerprint: Fingerprint) => Promise<{ readonly manifest: RefTo<M>; readonly config?: unknown }>,
): Promise<RefTo<M>> {
  const { control, resolved, step } = description;
  const fingerprint = await fingerprintOf(steps, description);
  const identity = {
    studyId: resolved.study.studyId,
    step,
    inputs: description.inputs.map((input) => input.sha256),
    fingerprint,
    reuse: resolved.study.reuse,
  };
  const found: FoundStep = await control.findStep({ ...identity, config: description.config });
  if (found.manifest) {
    await steps.report({
      state: found.reused ? 'reused' : 'done',
      detail: found.reused ? 'taken from another study' : 'finished earlier',
    });
    return found.manifest as RefTo<M>; // the key contains the step, and a step has one manifest kind
  }
  const { manifest, config } = await watched(steps, description, () => work(fingerprint));
  // Decisions that arrived during the work changed its configuration: register it under what it really is.
  const key = config === undefined ? found.key : (await control.findStep({ ...identity, config, reuse: false })).key;
  await control.finishStep({ studyId: identity.studyId, step, key, manifest, fingerprint });
  await steps.report({ state: 'done', detail: '', idleQueue: null });
  return manifest;
}

export const describeGpu =
  (gpu: GpuActivities, { study }: ResolvedStudy) =>
  (): Promise<Fingerprint> =>
    gpu.describeEngine({ precision: study.precision, execution: study.execution });

export const describeCpu = (cpu: CpuActivities) => (): Promise<Fingerprint> => cpu.describeWorker();
