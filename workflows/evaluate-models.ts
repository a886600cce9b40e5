import { upsertSearchAttributes } from '@temporalio/workflow';
import type { EvaluationManifest, RefTo } from '../contract/manifests.ts';
import type { EvaluateModelsInput } from '../contract/steps.ts';
import { describeGpu, runStep } from './finished-steps.ts';
import { controlActivities, cpuActivities, gpuActivities } from './proxies.ts';
import { stageOf } from './search-attributes.ts';
import { controlStep } from './step-control.ts';

/** Both classifiers on the untouched real test set, and the comparison. The test pixels are scored here and in reevaluate only. */
export async function evaluateModels(input: EvaluateModelsInput): Promise<RefTo<EvaluationManifest>> {
  const { resolved, dataset, models, filtered } = input;
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
    config: { evaluation: study.evaluation, seed: study.seed, precision: study.precision, execution: study.execution },
    inputs: [dataset, models.real, models.synthetic, filtered],
    describe: describeGpu(gpu, resolved),
  };
  return await runStep<EvaluationManifest>(steps, description, async () => {
    const predict = (variant: 'real' | 'synthetic'): ReturnType<typeof gpu.predictTestSet> =>
      gpu.predictTestSet({
        studyId: study.studyId,
        precision: study.precision,
        execution: study.execution,
        channels: study.image.channels,
        classifier: models[variant],
        test: null,
        dataset,
      });
    await steps.report({ total: 2 });
    const real = await predict('real');
    await steps.report({ done: 1 });
    const synthetic = await predict('synthetic');
    await steps.report({ done: 2 });
    return {
      manifest: await cpu.compareClassifiers({ study, dataset, models, filtered, predictions: { real, synthetic } }),
    };
  });
}
