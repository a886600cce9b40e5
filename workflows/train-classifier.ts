import { upsertSearchAttributes } from '@temporalio/workflow';
import type { ClassifierManifest, RefTo } from '../contract/manifests.ts';
import { trainingName } from '../contract/names.ts';
import { classifierInputSize } from '../contract/plan.ts';
import type { TrainClassifierInput } from '../contract/steps.ts';
import { describeGpu, runStep } from './finished-steps.ts';
import { controlActivities, gpuActivities, trainingActivities } from './proxies.ts';
import { controlStep } from './step-control.ts';
import { stageOf } from './search-attributes.ts';

/** InceptionResNetV2 on real or on accepted synthetic images, in segments of whole epochs. */
export async function trainClassifier(input: TrainClassifierInput): Promise<RefTo<ClassifierManifest>> {
  const { resolved, images, ...training } = input;
  const { study } = resolved;
  const step = `classifier/${trainingName(training)}`;
  const steps = controlStep(step, 'epochs');
  upsertSearchAttributes(stageOf(study, step));
  const control = controlActivities(resolved.timeouts);
  const gpu = gpuActivities(resolved.timeouts, study.queues.trainClassifier);
  const segments = trainingActivities(resolved.timeouts, study.queues.trainClassifier);
  const description = {
    resolved,
    control,
    step,
    queue: study.queues.trainClassifier,
    config: {
      classifier: study.classifier,
      inputSize: classifierInputSize(study),
      seed: study.seed,
      ...training,
      precision: study.precision,
      execution: study.execution,
    },
    inputs: [images],
    describe: describeGpu(gpu, resolved),
  };
  return await runStep<ClassifierManifest>(steps, description, async () => {
    const { epochs, segmentEpochs } = study.classifier;
    await steps.report({ total: epochs });
    let epoch = 0;
    let finished = false;
    while (!finished) {
      await steps.whenRunning();
      const untilEpoch = Math.min(epochs, (Math.floor(epoch / segmentEpochs) + 1) * segmentEpochs);
      const segment = await steps.interruptible(() =>
        segments.trainClassifierSegment({ study, ...training, images, untilEpoch }),
      );
      if (segment === null) continue;
      ({ epoch, finished } = segment);
      const auc = segment.last === null ? '' : `validation AUC ${segment.last.validationAuc.toFixed(3)}`;
      const { recoveries = 0 } = segment;
      const back = recoveries === 0 ? '' : `; the loss diverged, back at a lower learning rate (${recoveries} of 2)`;
      await steps.report({ done: epoch, detail: auc + back });
    }
    return { manifest: await control.publishClassifier({ studyId: study.studyId, ...training }) };
  });
}
