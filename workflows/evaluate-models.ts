import { upsertSearchAttributes } from '@temporalio/workflow';
import type { ScoredRepeat } from '../contract/activities.ts';
import type { ClassifierManifest, EvaluationManifest, RefTo } from '../contract/manifests.ts';
import type { EvaluateModelsInput } from '../contract/steps.ts';
import { describeGpu, runStep } from './finished-steps.ts';
import { controlActivities, cpuActivities, gpuActivities } from './proxies.ts';
import { stageOf } from './search-attributes.ts';
import { controlStep } from './step-control.ts';

/**
 * Both classifiers, and all their repeats, on the untouched real test set, and the comparison. The test pixels are scored here
 * and in reevaluate only.
 */
export async function evaluateModels(input: EvaluateModelsInput): Promise<RefTo<EvaluationManifest>> {
  const { resolved, dataset, models, repeats, filtered } = input;
  const { study } = resolved;
  const steps = controlStep('evaluation', 'models');
  upsertSearchAttributes(stageOf(study, 'evaluation'));
  const control = controlActivities(resolved.timeouts);
  const gpu = gpuActivities(resolved.timeouts, study.queues.evaluateModels);
  const cpu = cpuActivities(resolved.timeouts, study.queues.publishReport);
  const description = {
    resolved,
    control,
    step: 'evaluation',
    queue: study.queues.evaluateModels,
    otherQueues: [study.queues.publishReport],
    config: {
      evaluation: study.evaluation,
      // The leakage audit judges by it.
      nearDuplicateNcc: study.prepare.nearDuplicateNcc,
      seed: study.seed,
      precision: study.precision,
      execution: study.execution,
    },
    inputs: [dataset, models.real, models.synthetic, filtered, ...(repeats?.real ?? []), ...(repeats?.synthetic ?? [])],
    describe: describeGpu(gpu, resolved),
  };
  return await runStep<EvaluationManifest>(steps, description, async () => {
    let done = 0;
    const predict = async (classifier: RefTo<ClassifierManifest>): ReturnType<typeof gpu.predictTestSet> => {
      const predictions = await gpu.predictTestSet({
        studyId: study.studyId,
        precision: study.precision,
        execution: study.execution,
        channels: study.image.channels,
        classifier,
        test: null,
        dataset,
      });
      await steps.report({ done: ++done });
      return predictions;
    };
    const predictEach = async (classifiers: readonly RefTo<ClassifierManifest>[]): Promise<ScoredRepeat[]> => {
      const scored: ScoredRepeat[] = [];
      for (const classifier of classifiers) scored.push({ classifier, predictions: await predict(classifier) });
      return scored;
    };
    await steps.report({ total: 2 + (repeats ? repeats.real.length + repeats.synthetic.length : 0) });
    const predictions = { real: await predict(models.real), synthetic: await predict(models.synthetic) };
    const others = repeats && {
      real: await predictEach(repeats.real),
      synthetic: await predictEach(repeats.synthetic),
    };
    return {
      manifest: await cpu.compareClassifiers({
        ...{ study, dataset, models, filtered, predictions },
        ...(others && { repeats: others }),
      }),
    };
  });
}
