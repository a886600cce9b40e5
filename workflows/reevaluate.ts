import { ApplicationFailure, upsertSearchAttributes, workflowInfo } from '@temporalio/workflow';
import type { ReevaluateInput, ReevaluationRow } from '../contract/activities.ts';
import { queues } from '../contract/names.ts';
import type { TimeoutProfileName } from '../contract/timeouts.ts';
import { cpuActivities, gpuActivities } from './proxies.ts';
import { regressionOf } from './search-attributes.ts';

/** Scores a released pair of models on what a bucket prefix holds, appends a row and flags an AUC outside its interval. */
export async function reevaluate(
  request: ReevaluateInput & { readonly timeouts?: TimeoutProfileName },
): Promise<ReevaluationRow> {
  if (typeof request.models !== 'string' || typeof request.prefix !== 'string')
    throw ApplicationFailure.nonRetryable(
      `reevaluate expects {"models": "<studyId>", "prefix": "<bucket prefix>"}, got ${JSON.stringify(request)}`,
      'StudyFileError',
    );
  const profile = request.timeouts ?? 'production';
  const cpu = cpuActivities(profile, queues.cpu);
  const { models, prefix } = request;
  const set = await cpu.prepareReevaluation({ models, prefix });
  const gpu = gpuActivities(profile, set.queue);
  const predict = (variant: 'real' | 'synthetic'): ReturnType<typeof gpu.predictTestSet> =>
    gpu.predictTestSet({
      studyId: models,
      precision: set.precision,
      execution: set.execution,
      channels: set.channels,
      classifier: set.models[variant],
      test: set.test,
      dataset: null,
    });
  const predictions = { real: await predict('real'), synthetic: await predict('synthetic') };
  const row = await cpu.appendReevaluation({
    request: { models, prefix },
    set,
    predictions,
    workflowId: workflowInfo().workflowId,
  });
  upsertSearchAttributes([regressionOf(row.regression)]);
  return row;
}
