import { allHandlersFinished, condition, defineUpdate, setHandler, upsertSearchAttributes } from '@temporalio/workflow';
import type { Decision } from '../contract/activities.ts';
import type { GeneratorManifest, RefTo, SnapshotMetric } from '../contract/manifests.ts';
import { updates } from '../contract/names.ts';
import { planSegments, totalNimgOf } from '../contract/plan.ts';
import type { ExtendTrainingRequest, ProgressSnapshot, StopTrainingRequest } from '../contract/progress.ts';
import type { TrainGeneratorInput } from '../contract/steps.ts';
import type { GeneratorConfig } from '../contract/study.ts';
import { describeGpu, runStep } from './finished-steps.ts';
import { controlActivities, gpuActivities } from './proxies.ts';
import { classOf, stageOf, trainingOf } from './search-attributes.ts';
import { controlStep } from './step-control.ts';

const extendTraining = defineUpdate<{ totalKimg: number }, [ExtendTrainingRequest]>(updates.extendTraining);
const stopTraining = defineUpdate<{ stopsAtNimg: number }, [StopTrainingRequest]>(updates.stopTraining);

/**
 * One StyleGAN2 for one class, in segments of whole ticks; after each segment its snapshots are measured. Updates raise the
 * total or stop at the end of the running segment; both are decisions kept with the study.
 */
export async function trainGenerator(input: TrainGeneratorInput): Promise<RefTo<GeneratorManifest>> {
  const { resolved, side, dataset, classifier } = input;
  const { study } = resolved;
  const className = study.classes[side];
  const step = `generator/${className}`;
  const steps = controlStep(step, 'kimg');
  const control = controlActivities(resolved.timeouts);
  const gpu = gpuActivities(resolved.timeouts, queueOf(input));
  const measuring = gpuActivities(resolved.timeouts, study.queues.measureSnapshot);

  const decisions: Decision[] = [...input.decisions];
  let segmentEnd = 0;
  let finished = false;
  const config = (): GeneratorConfig => configAfter(study.generator, decisions);
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
        if (!Number.isFinite(totalKimg) || totalKimg <= config().totalKimg)
          throw new Error(`totalKimg must exceed the present total of ${config().totalKimg}, got ${totalKimg}`);
      },
    },
  );
  setHandler(
    stopTraining,
    async ({ reason }) => {
      const decision: Decision = { type: 'stopTraining', side, atNimg: segmentEnd, reason };
      decisions.push(decision);
      await control.recordDecision({ studyId: study.studyId, decision, by: '' });
      return { stopsAtNimg: decision.atNimg };
    },
    {
      description: 'End this training at the end of the running segment',
      validator: ({ reason }) => {
        if (finished || segmentEnd === 0) throw new Error('the training is not running');
        if (stopped()) throw new Error('the training is already stopping');
        if (typeof reason !== 'string' || reason === '') throw new Error('a reason is required');
      },
    },
  );
  upsertSearchAttributes([...stageOf(study, step), classOf(className)]);

  const stepConfig = (): unknown => ({
    generator: config(),
    stopAtNimg: stopped()?.atNimg ?? null,
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
    const metrics = new Map<number, SnapshotMetric>();
    const floor = await measuring.measureSnapshot({ study, side, dataset, classifier, weights: null });
    let nimg = 0;
    const target = (): number => Math.min(totalNimgOf(config()), stopped()?.atNimg ?? Infinity);
    while (nimg < target()) {
      await steps.whenRunning();
      segmentEnd = Math.min(planSegments(config(), study.image.resolution, nimg)[0] ?? target(), target());
      await steps.report({ done: nimg / 1000, total: target() / 1000 });
      const untilNimg = segmentEnd;
      const segment = await steps.interruptible(() =>
        gpu.trainGeneratorSegment({
          study: { ...study, generator: config() },
          side,
          dataset,
          untilNimg,
          bestNimg: lowest(metrics),
        }),
      );
      if (segment === null) continue;
      nimg = segment.nimg;
      for (const snapshot of segment.snapshots) {
        if (metrics.has(snapshot.nimg)) continue;
        metrics.set(
          snapshot.nimg,
          await measuring.measureSnapshot({ study, side, dataset, classifier, weights: snapshot.weights }),
        );
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
        detail: `${floor.name}: best ${best.toPrecision(4)}, floor ${floor.value.toPrecision(4)}`,
      });
    }
    finished = true;
    await condition(allHandlersFinished);
    const published = await control.publishGenerator({
      studyId: study.studyId,
      side,
      className,
      config: config(),
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
