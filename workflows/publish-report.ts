import { upsertSearchAttributes } from '@temporalio/workflow';
import type { ReportManifest } from '../contract/manifests.ts';
import type { ManifestRef } from '../contract/refs.ts';
import type { PublishReportInput } from '../contract/steps.ts';
import type { StudyResult } from '../contract/progress.ts';
import { identityOf } from '../contract/resolve-study.ts';
import { describeCpu, runStep } from './finished-steps.ts';
import { controlActivities, cpuActivities } from './proxies.ts';
import { stageOf } from './search-attributes.ts';
import { controlStep } from './step-control.ts';

/** Renders the report from the manifests, places it under the study and releases the models for re-evaluation. */
export async function publishReport({ resolved, sources }: PublishReportInput): Promise<StudyResult> {
  const { study } = resolved;
  const { studyId } = study;
  const steps = controlStep('report', 'files');
  upsertSearchAttributes(stageOf(study, 'report'));
  const control = controlActivities(resolved.timeouts);
  const cpu = cpuActivities(resolved.timeouts, study.queues.publishReport);
  const { classifiers, generators, synthetic, filtered, evaluation, dataset } = sources;
  const inputs: ManifestRef[] = [
    dataset,
    classifiers.real,
    generators.negative,
    generators.positive,
    synthetic.negative,
    synthetic.positive,
    filtered,
  ];
  if (classifiers.synthetic) inputs.push(classifiers.synthetic);
  if (evaluation) inputs.push(evaluation);
  if (classifiers.repeats) inputs.push(...classifiers.repeats.real, ...classifiers.repeats.synthetic);
  const description = {
    resolved,
    control,
    step: 'report',
    queue: study.queues.publishReport,
    config: identityOf(study),
    inputs,
    describe: describeCpu(cpu),
  };
  const report = await runStep<ReportManifest>(steps, description, async () => ({
    manifest: await cpu.renderReport(sources),
  }));
  const { prefix } = await cpu.placeReport({ studyId, report });
  if (classifiers.synthetic && evaluation)
    await control.releaseModels({
      studyId,
      models: { real: classifiers.real, synthetic: classifiers.synthetic },
      evaluation,
    });
  return { studyId, reportPrefix: prefix, report: `${prefix}report.html`, results: `${prefix}results.json` };
}
