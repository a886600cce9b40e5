import {
  allHandlersFinished,
  ApplicationFailure,
  condition,
  defineUpdate,
  setHandler,
  upsertSearchAttributes,
  workflowInfo,
} from '@temporalio/workflow';
import type { Decision } from '../contract/activities.ts';
import type { GeneratorManifest, RefTo, SnapshotMetric } from '../contract/manifests.ts';
import { gammaVariant, generatorStep, updates } from '../contract/names.ts';
import { planSegments, totalNimgOf, withGamma } from '../contract/plan.ts';
import type {
  ExtendTrainingRequest,
  ProgressSnapshot,
  ResumeTrainingRequest,
  StopTrainingRequest,
} from '../contract/progress.ts';
import type { TrainGeneratorInput } from '../contract/steps.ts';
import type { GeneratorConfig } from '../contract/study.ts';
import { describeGpu, runStep } from './finished-steps.ts';
import { sweepGammas } from './gamma-sweep.ts';
import { controlActivities, gpuActivities, trainingActivities } from './proxies.ts';
import { awaitingOf, classOf, stageOf, trainingOf } from './search-attributes.ts';
import { controlStep, type StepControl } from './step-control.ts';

const extendTraining = defineUpdate<{ totalKimg: number }, [ExtendTrainingRequest]>(updates.extendTraining);
const stopTraining = defineUpdate<{ stopsAtNimg: number }, [StopTrainingRequest]>(updates.stopTraining);
const resumeTraining = defineUpdate<{ resumesAtNimg: number }, [ResumeTrainingRequest]>(updates.resumeTraining);

/**
 * One StyleGAN2 for one class, in segments of whole ticks; after each segment its snapshots are measured. Updates raise the
 * total, stop at the end of the running segment, or decide on a training that diverged or collapsed again and again; all are
 * decisions kept with the study. In a conditional study the step of the negative class trains the one network, and that of
 * the positive class finds it trained and measures its snapshots beside the positive images. Where the former was taken from
 * another study, whose training lies there, the latter trains.
 */
export async function trainGenerator(input: TrainGeneratorInput): Promise<RefTo<GeneratorManifest>> {
  const { resolved, side, dataset, classifier, gamma } = input;
  const { study } = resolved;
  const className = study.classes[side];
  const variant = gamma === undefined ? {} : { variant: gammaVariant(gamma) };
  const step = generatorStep(className, variant.variant);
  const steps = controlStep(step, 'kimg');
  const control = controlActivities(resolved.timeouts);
  const gpu = gpuActivities(resolved.timeouts, queueOf(input));
  const segments = trainingActivities(resolved.timeouts, queueOf(input));
  const measuring = gpuActivities(resolved.timeouts, study.queues.measureSnapshot);

  const decisions: Decision[] = [...input.decisions];
  let nimg = 0;
  /** Of the running or last segment: its end, and the total that it knows; null before the first. */
  let handed: { readonly untilNimg: number; readonly totalNimg: number } | null = null;
  let finished = false;
  let awaiting: string | null = null;
  const asked = gamma === undefined ? study.generator : withGamma(study.generator, gamma, 'sweep');
  const config = (): GeneratorConfig => configAfter(asked, decisions);
  const totalNimg = (): number => totalNimgOf(config());
  const nextEnd = (from: number): number => planSegments(config(), study.image.resolution, from)[0] ?? totalNimg();
  // A segment that runs to a total which has been raised since makes an end that the longer training has not.
  const runningEnd = ({ untilNimg, ...known }: NonNullable<typeof handed>): number =>
    untilNimg === known.totalNimg && untilNimg < totalNimg() ? nextEnd(untilNimg) : untilNimg;
  const stopped = (): Extract<Decision, { type: 'stopTraining' }> | undefined =>
    decisions.find((decision) => decision.type === 'stopTraining');

  setHandler(
    extendTraining,
    async ({ totalKimg }) => {
      const decision: Decision = { type: 'extendTraining', side, totalKimg };
      decisions.push(decision);
      await control.recordDecision({ studyId: study.studyId, decision, by: '' });
      return { totalKimg };
    },
    {
      description: 'Raise the total of this training, in kimg',
      validator: ({ totalKimg }) => {
        if (finished) throw new Error('the training has ended');
        if (gamma !== undefined) throw new Error('a trial of a sweep has the length of the sweep');
        refuseSecondOfBoth(input);
        if (stopped()) throw new Error('the training is stopping');
        if (!Number.isFinite(totalKimg) || totalKimg <= config().totalKimg)
          throw new Error(`totalKimg must exceed the present total of ${config().totalKimg}, got ${totalKimg}`);
      },
    },
  );
  setHandler(
    stopTraining,
    async ({ reason }) => {
      const atNimg = awaiting === null && handed !== null ? runningEnd(handed) : nimg;
      const decision: Decision = { type: 'stopTraining', side, atNimg, reason };
      decisions.push(decision);
      await control.recordDecision({ studyId: study.studyId, decision, by: '' });
      return { stopsAtNimg: decision.atNimg };
    },
    {
      description: 'End this training at the end of the running segment',
      validator: ({ reason }) => {
        if (finished || handed === null) throw new Error('the training is not running');
        if (gamma !== undefined) throw new Error('a trial of a sweep runs to its end; stop the training of the class');
        refuseSecondOfBoth(input);
        if (stopped()) throw new Error('the training is already stopping');
        if (awaiting !== null && nimg === 0)
          throw new Error('nothing was trained that could be kept: resumeTraining, or cancel the study');
        if (typeof reason !== 'string' || reason === '') throw new Error('a reason is required');
      },
    },
  );
  setHandler(
    resumeTraining,
    async ({ reason }) => {
      awaiting = null;
      const decision: Decision = { type: 'resumeTraining', side, number: resumesOf(decisions) + 1, reason };
      decisions.push(decision);
      await control.recordDecision({ studyId: study.studyId, decision, by: '' });
      return { resumesAtNimg: nimg };
    },
    {
      description: 'Let a training that diverged or collapsed go on from its last good checkpoint',
      validator: ({ reason }) => {
        refuseSecondOfBoth(input);
        if (awaiting === null || stopped()) throw new Error('the training awaits no decision');
        if (typeof reason !== 'string' || reason === '') throw new Error('a reason is required');
      },
    },
  );
  upsertSearchAttributes([...stageOf(study, step), classOf(className)]);
  // Both classes' steps share one training, and what was decided about it.
  if (study.generator.conditional === true)
    decisions.push(...(await control.listTrainingDecisions({ studyId: study.studyId })));

  const stepConfig = (): unknown => ({
    generator: config(),
    stopAtNimg: stopped()?.atNimg ?? null,
    ...(resumesOf(decisions) > 0 && { resumes: resumesOf(decisions) }),
    image: study.image,
    seed: study.seed,
    side,
    metric: study.snapshotMetric,
    precision: study.precision,
    execution: study.execution,
  });
  const description = {
    resolved,
    control,
    step,
    queue: queueOf(input),
    otherQueues: [study.queues.measureSnapshot],
    config: stepConfig(),
    inputs: [dataset, classifier],
    describe: describeGpu(gpu, resolved),
  };
  const manifest = await runStep<GeneratorManifest>(steps, description, async () => {
    const gammaSweep = await sweepGammas(input, { steps, control });
    const trained = (): GeneratorConfig => (gammaSweep === null ? config() : withGamma(config(), gammaSweep.chosen));
    const metrics = new Map<number, SnapshotMetric>();
    const measured = new Map<number, string>();
    const floor = await measuring.measureSnapshot({ study, side, dataset, classifier, weights: null });
    const target = (): number => Math.min(totalNimg(), stopped()?.atNimg ?? Infinity);
    while (nimg < target()) {
      await steps.whenRunning();
      const untilNimg = Math.min(nextEnd(nimg), target());
      handed = { untilNimg, totalNimg: totalNimg() };
      await steps.report({ done: nimg / 1000, total: target() / 1000 });
      const segment = await steps.interruptible(() =>
        segments.trainGeneratorSegment({
          study: { ...study, generator: trained() },
          side,
          ...variant,
          dataset,
          untilNimg,
          bestNimg: lowest(metrics),
          ...(resumesOf(decisions) > 0 && { resumes: resumesOf(decisions) }),
        }),
      );
      if (segment === null) continue;
      nimg = segment.nimg;
      // A training that went back has lost its later snapshots, or made others of the same image count; an extended one the
      // snapshot of its end.
      for (const [at, sha256] of measured)
        if (!segment.snapshots.some((one) => one.nimg === at && one.weights.sha256 === sha256)) metrics.delete(at);
      for (const { nimg: at, weights } of segment.snapshots) {
        if (metrics.has(at)) continue;
        metrics.set(at, await measuring.measureSnapshot({ study, side, dataset, classifier, weights }));
        measured.set(at, weights.sha256);
      }
      const snapshots: ProgressSnapshot[] = segment.snapshots.map((snapshot) => ({
        nimg: snapshot.nimg,
        sha256: snapshot.weights.sha256,
        metric: metrics.get(snapshot.nimg) ?? null,
      }));
      const best = Math.min(...[...metrics.values()].map((metric) => metric.value));
      upsertSearchAttributes(trainingOf(nimg, Number.isFinite(best) ? best : null));
      await steps.report({
        done: nimg / 1000,
        snapshots,
        detail: [
          `${floor.name}: best ${best.toPrecision(4)}, floor ${floor.value.toPrecision(4)}`,
          ...(segment.notes ?? []),
        ].join('; '),
      });
      if (segment.trouble !== undefined) {
        // A value that a training cannot bear has lost the sweep; nobody need decide that.
        if (gamma !== undefined) throw ApplicationFailure.nonRetryable(segment.trouble, 'DivergedError');
        awaiting = segment.trouble;
        const where = study.generator.conditional === true ? ' (both classes are trained there)' : '';
        const wanted = `resumeTraining or stopTraining of ${workflowInfo().workflowId}${where}: ${segment.trouble}`;
        await awaitDecision(steps, wanted, () => awaiting === null || stopped() !== undefined);
        awaiting = null;
      }
    }
    finished = true;
    await condition(allHandlersFinished);
    const published = await control.publishGenerator({
      studyId: study.studyId,
      side,
      className,
      ...variant,
      ...(gammaSweep && { gammaSweep }),
      config: trained(),
      metrics: [...metrics].map(([at, metric]) => ({ nimg: at, metric })),
      floor,
      stopped: stopped()?.reason ?? null,
    });
    return { manifest: published, config: stepConfig() };
  });
  finished = true;
  await condition(allHandlersFinished);
  return manifest;
}

/** Shows what a person must decide, here, in the study and in the search attributes, until it is decided. */
async function awaitDecision(steps: StepControl, awaiting: string, decided: () => boolean): Promise<void> {
  upsertSearchAttributes([awaitingOf(true)]);
  await steps.report({ state: 'paused', awaiting });
  await condition(decided);
  upsertSearchAttributes([awaitingOf(false)]);
  await steps.report({ state: 'running', awaiting: null });
}

/** How often a person let the training go on after trouble; a decision may be listed twice. */
const resumesOf = (decisions: readonly Decision[]): number =>
  Math.max(0, ...decisions.map((decision) => (decision.type === 'resumeTraining' ? decision.number : 0)));

/** The training of both classes is steered where it runs: in the step of the negative class, unless that one was reused. */
function refuseSecondOfBoth({ resolved, side, trainsBoth = false }: TrainGeneratorInput): void {
  const { generator, classes } = resolved.study;
  if (generator.conditional === true && side === 'positive' && !trainsBoth)
    throw new Error(`both classes are trained by ${generatorStep(classes.negative)}, which has ended`);
}

/** Image count of the lowest metric so far. */
function lowest(metrics: ReadonlyMap<number, SnapshotMetric>): number | null {
  const ranked = [...metrics].sort(([, a], [, b]) => a.value - b.value);
  return ranked[0]?.[0] ?? null;
}

function queueOf({ resolved, side }: TrainGeneratorInput): string {
  const queue = resolved.study.queues.trainGenerator;
  return typeof queue === 'string' ? queue : queue[side];
}

/** The configuration with the largest accepted extension. */
function configAfter(config: GeneratorConfig, decisions: readonly Decision[]): GeneratorConfig {
  const totals = decisions.map((decision) => (decision.type === 'extendTraining' ? decision.totalKimg : 0));
  return { ...config, totalKimg: Math.max(config.totalKimg, ...totals) };
}
