import { createHash } from 'node:crypto';
import { Context } from '@temporalio/activity';
import { canonicalJson } from '../contract/canonical-json.ts';
import type { EngineEvent, EngineRunner, EngineSettings, EngineTaskName, EngineTasks } from '../contract/engine.ts';
import type { Fingerprint } from '../contract/manifests.ts';
import type { BlobRef } from '../contract/refs.ts';
import type { Study } from '../contract/study.ts';
import { activityLabels, causeOfEnd } from './activity-support.ts';
import type { LocalDeps } from './local-inputs.ts';

/** Short tasks on the engine process, shared by the steps of a study and the tools. */

export interface GpuDeps extends LocalDeps {
  readonly engine: EngineRunner;
}

/**
 * One short task on the engine process for inference, beating with its progress; `take` takes files over that it hands out.
 * @throws CancelledFailure when the workflow asked the activity to stop; otherwise the error of the task
 */
export async function infer<T extends EngineTaskName>(
  deps: GpuDeps,
  task: T,
  settings: EngineSettings,
  input: () => EngineTasks[T]['input'] | Promise<EngineTasks[T]['input']>,
  workDir: string = deps.workDir,
  take: (event: EngineEvent) => Promise<void> = () => Promise.resolve(),
): Promise<EngineTasks[T]['output']> {
  const onEvent = async (event: EngineEvent): Promise<void> => {
    if (event.type === 'progress') Context.current().heartbeat(event);
    await take(event);
  };
  try {
    return await deps.engine.run(task, await input(), {
      ...{ settings, workDir, group: 'inference' },
      signal: Context.current().cancellationSignal,
      labels: activityLabels(),
      onEvent,
    });
  } catch (error) {
    // The engine process stops with an error of its own, which would end the workflow as failed.
    throw causeOfEnd(error);
  }
}

export const settingsOf = ({ precision, execution }: Study): EngineSettings => ({ precision, execution });

/** What a PNG says of where it comes from, beside class, seed and psi. */
export function provenanceOf(
  study: Study,
  { weights, fingerprint }: { readonly weights: BlobRef; readonly fingerprint: Fingerprint },
): Readonly<Record<'generator' | 'snapshot' | 'software', string>> {
  return {
    generator: createHash('sha256')
      .update(canonicalJson([study.generator, study.image]))
      .digest('hex'),
    snapshot: weights.sha256,
    software: `echoforge ${fingerprint.release}`,
  };
}

/** The part of the generator's configuration that shapes its synthesis network. */
export function networkOf({ generator }: Study): Readonly<Record<string, string | number>> {
  const { config, fmapBase, fmapMax, latentSize, mappingLayers } = generator;
  return { config, fmapBase, fmapMax, latentSize, mappingLayers };
}
