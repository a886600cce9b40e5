import type { CpuActivities } from '../contract/activities.ts';
import { describeRuntime } from '../lib/fingerprint.ts';
import { createEvaluationActivities } from './evaluation.ts';
import type { LocalDeps } from './local-inputs.ts';
import { createPreparationActivities } from './preparation.ts';
import { createToolPublishing } from './publish-images.ts';
import { createMeasurementPublishing } from './publish-measurements.ts';
import { createProjectionPublishing } from './publish-projection.ts';
import { createReevaluationActivities } from './reevaluation.ts';
import { createReportActivities } from './report.ts';
import { createSelectionActivities } from './selection.ts';

/** Preparation, selection, statistics and the report, for queue `cpu`. */
export function createCpuActivities(deps: LocalDeps): CpuActivities {
  return {
    describeWorker: () => Promise.resolve(describeRuntime()),
    ...createPreparationActivities(deps),
    ...createSelectionActivities(deps),
    ...createEvaluationActivities(deps),
    ...createReevaluationActivities(deps),
    ...createReportActivities(deps),
    ...createToolPublishing(deps),
    ...createMeasurementPublishing(deps),
    ...createProjectionPublishing(deps),
  };
}
