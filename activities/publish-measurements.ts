import type { CpuActivities, StoredMeasurement } from '../contract/activities.ts';
import type { SnapshotMetric } from '../contract/manifests.ts';
import type { Measurement, ToolFile, ToolPlan } from '../contract/tools.ts';
import { snapshotMetricSpec } from '../lib/report/figure-generator.ts';
import { renderFigure } from '../lib/report/figures.ts';
import { measurementTable, type MeasuredSnapshot } from '../lib/report/measurement-table.ts';
import { beating } from './activity-support.ts';
import type { LocalDeps } from './local-inputs.ts';
import { commonOf, finishTool, requestOf, storeToolBytes } from './tool-output.ts';

const notes = [
  'lower frechet and kernel are better; both are measured against the training images of the class, never test images',
  'recall and coverage fall with fewer fakes: compare equal numbers only',
];

/** Table, curve and manifest of what `measureSnapshots` measured. Never loads TensorFlow. */
export function createMeasurementPublishing({ store }: LocalDeps): Pick<CpuActivities, 'publishMeasurements'> {
  return {
    publishMeasurements: async ({ plan, floor, measured }) =>
      await beating(async () => {
        const parts = [floor, ...measured].map(({ fingerprint: by }) => ({
          request: requestOf(plan, by),
          fingerprint: by,
        }));
        const { request, fingerprint } = commonOf(parts, plan.study.queues.measureSnapshot);
        const target = { studyId: plan.study.studyId, tool: plan.tool, request };
        const files: ToolFile[] = [];
        for (const [name, text] of Object.entries(await filesOf(plan, { floor, measured })))
          files.push(await storeToolBytes(store, target, { name, bytes: Buffer.from(text) }));
        return await finishTool(store, plan, { request, notes, files, fingerprint });
      }),
  };
}

async function filesOf(
  plan: ToolPlan<'measureSnapshots'>,
  { floor, measured }: { readonly floor: StoredMeasurement; readonly measured: readonly StoredMeasurement[] },
): Promise<Readonly<Record<string, string>>> {
  const { side, study, request, snapshot } = plan;
  const snapshots: MeasuredSnapshot[] = request.snapshots.map(({ nimg, weights }, i) => ({
    nimg,
    sha256: weights.sha256,
    measurement: measured[i]?.measurement ?? floor.measurement, // one per snapshot, in their order
  }));
  const table = measurementTable({ psi: request.psi, floor: floor.measurement, snapshots });
  const curve = snapshots.map(({ nimg, measurement }) => ({ nimg, metric: metricOf(measurement) }));
  const floorMetric = metricOf(floor.measurement);
  if (floorMetric === null) return table;
  const drawn = { side, className: study.classes[side], floor: floorMetric, snapshots: curve };
  const chosen = curve.find(({ nimg }) => nimg === snapshot.nimg) ?? { nimg: snapshot.nimg, metric: null };
  return { ...table, 'metrics.svg': (await renderFigure(snapshotMetricSpec(drawn, chosen))).svg };
}

/** As a training records it; null where too few images were there to measure. */
function metricOf({ metric: name, extractor: weights, quality, reals, fakes }: Measurement): SnapshotMetric | null {
  return quality === null ? null : { name, weights, value: quality.frechet, reals, fakes };
}
