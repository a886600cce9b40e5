import type { GpuActivities } from '../contract/activities.ts';
import type { EngineSettings } from '../contract/engine.ts';
import type { DatasetManifest, Fingerprint } from '../contract/manifests.ts';
import type { Measurement } from '../contract/tools.ts';
import { getManifest } from '../lib/storage/blobs.ts';
import { beating, withWorkDir } from './activity-support.ts';
import { fetchExtractor } from './extractor.ts';
import { infer, networkOf, settingsOf, type GpuDeps } from './inference.ts';
import { fetchGenerator, fetchShards } from './local-inputs.ts';
import { memoized } from './memo.ts';

/** One snapshot against the training reals of its class; a measured one is found again. */
export function createMeasuring(
  deps: GpuDeps,
  fingerprintOf: (settings: EngineSettings) => Promise<Fingerprint>,
): Pick<GpuActivities, 'measureSnapshotQuality'> {
  const { store } = deps;
  return {
    measureSnapshotQuality: async ({ study, side, dataset, classifier, weights, fakes, psi }) =>
      await beating(async () => {
        const { studyId, seed, image, snapshotMetric } = study;
        const settings = settingsOf(study);
        const fingerprint = await fingerprintOf(settings);
        const reals = [side, dataset, classifier, snapshotMetric.inceptionWeights, seed];
        const identity = {
          activity: 'measureSnapshotQuality',
          parts: [...reals, weights, fakes, psi, networkOf(study), image],
          fingerprint,
        };
        const measure = (): Promise<Measurement> =>
          withWorkDir(deps.workDir, (workDir) =>
            infer(
              deps,
              'measureQuality',
              settings,
              async () => {
                const { training } = await getManifest<DatasetManifest>(store, dataset);
                return {
                  ...(await fetchExtractor(deps, { study, classifier, workDir })),
                  reals: await fetchShards(deps, training.train[side]),
                  generator: weights === null ? null : await fetchGenerator(deps, study, { weights, side }),
                  ...{ fakes, seed, psi },
                };
              },
              workDir,
            ),
          );
        return { fingerprint, measurement: await memoized(store, { studyId, identity }, measure) };
      }),
  };
}
