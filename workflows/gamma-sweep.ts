import {
  ApplicationFailure,
  CancellationScope,
  ChildWorkflowFailure,
  condition,
  ParentClosePolicy,
  setHandler,
  startChild,
} from '@temporalio/workflow';
import type { ControlActivities } from '../contract/activities.ts';
import type { GammaSweep, GammaTrial, GeneratorManifest, RefTo } from '../contract/manifests.ts';
import { gammaVariant, workflowIdOf, workflowTypes } from '../contract/names.ts';
import { bestGamma, trialOf } from '../contract/plan.ts';
import type { TrainGeneratorInput } from '../contract/steps.ts';
import { pauseStepSignal, resumeStepSignal, stepProgressSignal, type StepControl } from './step-control.ts';

/**
 * Chooses the R1 weight of a class (stylegan2.md 5.2): a short training per value, one after the other, each a child with its
 * own history and a finished step of its own. The lowest metric of any snapshot but the untrained one wins, of equals the
 * earlier in the list. A value that diverges has lost.
 *
 * The class then trains from the start. All that a training draws is a function of seed, class and image count, so it repeats
 * the winner's beginning bit for bit: continuing from the winner would save its short length and change nothing else, while
 * so the result is exactly that of a study whose file gives this gamma.
 */
export async function sweepGammas(
  input: TrainGeneratorInput,
  { steps, control }: { readonly steps: StepControl; readonly control: ControlActivities },
): Promise<GammaSweep | null> {
  const { gammaSweep: gammas = null, gammaSweepKimg: kimg = null } = input.resolved.study.generator;
  if (gammas === null || kimg === null || input.gamma !== undefined) return null;
  const trials: GammaTrial[] = [];
  for (const gamma of gammas) {
    await steps.whenRunning();
    await steps.report({ detail: `trying r1Gamma ${gamma}`, gammaSweep: { trials, chosen: null } });
    trials.push(await tryGamma(input, { gamma, steps, control }));
  }
  const chosen = bestGamma(trials);
  if (chosen === null)
    throw ApplicationFailure.nonRetryable(
      `every r1Gamma of generator.gammaSweep failed: ${trials.map(({ gamma, failure }) => `${gamma}: ${failure ?? 'not measured'}`).join('; ')}`,
      'DivergedError',
    );
  await steps.report({ detail: '', gammaSweep: { trials, chosen } });
  return { kimg, trials, chosen };
}

async function tryGamma(
  input: TrainGeneratorInput,
  options: { readonly gamma: number; readonly steps: StepControl; readonly control: ControlActivities },
): Promise<GammaTrial> {
  const { gamma, steps, control } = options;
  try {
    const generator = await runTrial(input, gamma, steps);
    return trialOf(gamma, await control.listSnapshots({ generator }));
  } catch (error) {
    const failure = divergence(error);
    if (failure === null) throw error;
    return { gamma, nimg: null, metric: null, failure };
  }
}

/** One trial as a child, which is paused and resumed with this step and whose progress this step shows. */
async function runTrial(
  input: TrainGeneratorInput,
  gamma: number,
  steps: StepControl,
): Promise<RefTo<GeneratorManifest>> {
  const { studyId, classes } = input.resolved.study;
  setHandler(stepProgressSignal, async ({ state, done, total, detail, idleQueue }) => {
    const shown = state === 'paused' || state === 'waiting' ? state : 'running';
    await steps.report({ state: shown, done, total, idleQueue, detail: `trying r1Gamma ${gamma}: ${detail}` });
  });
  const child = await startChild(workflowTypes.trainGenerator, {
    workflowId: workflowIdOf(studyId, 'generator', `${classes[input.side]}/${gammaVariant(gamma)}`),
    args: [{ ...input, decisions: [], gamma } satisfies TrainGeneratorInput],
    parentClosePolicy: ParentClosePolicy.REQUEST_CANCEL,
  });
  const forwarding = new CancellationScope();
  const forward = async (): Promise<never> => {
    for (;;) {
      await condition(() => steps.pausedFor() !== null);
      await child.signal(pauseStepSignal, steps.pausedFor() ?? '');
      await condition(() => steps.pausedFor() === null);
      await child.signal(resumeStepSignal);
    }
  };
  // It ends cancelled, always; and a child that ends in this moment needs no message.
  forwarding.run(forward).catch(() => undefined);
  try {
    return (await child.result()) as RefTo<GeneratorManifest>; // what trainGenerator returns
  } finally {
    forwarding.cancel();
  }
}

/** The message of a training that diverged; null for any other failure, which is no property of a gamma. */
function divergence(error: unknown): string | null {
  let cause = error instanceof ChildWorkflowFailure ? error.cause : undefined;
  while (cause !== undefined) {
    if (cause instanceof ApplicationFailure && cause.type === 'DivergedError') return cause.message;
    cause = cause.cause instanceof Error ? cause.cause : undefined;
  }
  return null;
}
