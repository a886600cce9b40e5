import type {
  ControlActivities,
  CpuActivities,
  FoundStep,
  GpuActivities,
  ResolvedStudy,
} from '../contract/activities.ts';
import type { Fingerprint, Manifest, RefTo } from '../contract/manifests.ts';
import type { ManifestRef } from '../contract/refs.ts';
import type { StepControl } from './step-control.ts';

interface StepDescription {
  readonly resolved: ResolvedStudy;
  readonly control: ControlActivities;
  readonly step: string;
  readonly queue: string;
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
  const { manifest, config } = await work(fingerprint);
  // Decisions that arrived during the work changed its configuration: register it under what it really is.
  const key = config === undefined ? found.key : (await control.findStep({ ...identity, config, reuse: false })).key;
  await control.finishStep({ studyId: identity.studyId, step, key, manifest });
  await steps.report({ state: 'done', detail: '' });
  return manifest;
}

export const describeGpu =
  (gpu: GpuActivities, { study }: ResolvedStudy) =>
  (): Promise<Fingerprint> =>
    gpu.describeEngine({ precision: study.precision, execution: study.execution });

export const describeCpu = (cpu: CpuActivities) => (): Promise<Fingerprint> => cpu.describeWorker();
