import { join } from 'node:path';
import type { MeasureSnapshotTask } from '../contract/engine.ts';
import { promisedSha256 } from '../contract/keys.ts';
import type { ClassifierManifest, RefTo } from '../contract/manifests.ts';
import { classifierInputSize } from '../contract/plan.ts';
import type { Study } from '../contract/study.ts';
import { maxWeightFileBytes, planNetwork } from '../lib/classifier/shape-layers.ts';
import { inceptionMaxBytes } from '../lib/metrics/inception-2015.ts';
import { getManifest } from '../lib/storage/blobs.ts';
import type { ObjectStore } from '../lib/storage/object-store.ts';
import { fetchClassifier, type LocalDeps } from './local-inputs.ts';
import { fetchPretrained, requirePretrained } from './pretrained.ts';

/** Which network the snapshot metric looks through, and the name that its value may carry. */

const inceptionField = 'snapshotMetric.inceptionWeights';

/** Files for a measurement: the 2015 Inception network where the study supplies its weights, else the real classifier. */
export async function fetchExtractor(
  deps: LocalDeps,
  options: {
    readonly study: Study;
    readonly classifier: RefTo<ClassifierManifest>;
    /** Of this measurement alone. */
    readonly workDir: string;
  },
): Promise<Pick<MeasureSnapshotTask, 'extractor' | 'metric'>> {
  const { study, classifier, workDir } = options;
  const { inceptionWeights: key } = study.snapshotMetric;
  if (key === null) {
    const { weights } = await getManifest<ClassifierManifest>(deps.store, classifier);
    const model = await fetchClassifier(deps, classifier, study.image.channels);
    return { extractor: { kind: 'classifier', model }, metric: { name: 'fd.irv2-real', weights: weights.sha256 } };
  }
  const limits = { maxBytes: inceptionMaxBytes(), field: inceptionField };
  const weightsFile = await fetchPretrained(deps.store, key, { ...limits, dir: join(workDir, 'inception') });
  // The schema asks for a key that promises a hash, and fetchPretrained has checked it.
  return {
    extractor: { kind: 'inception-2015', weightsFile },
    metric: { name: 'fid', weights: promisedSha256(key) ?? '' },
  };
}

/**
 * Looks whether the weights that the study file names are there, before anything is computed.
 * @throws ConfigurationError, WeightsError
 */
export async function requireSuppliedWeights(store: ObjectStore, study: Study): Promise<void> {
  const { classifier, snapshotMetric } = study;
  if (classifier.weights !== null) {
    const maxBytes = maxWeightFileBytes(planNetwork({ ...classifier, classes: 2 }, classifierInputSize(study)));
    await requirePretrained(store, classifier.weights, { maxBytes, field: 'classifier.weights' });
  }
  if (snapshotMetric.inceptionWeights !== null) {
    const limits = { maxBytes: inceptionMaxBytes(), field: inceptionField };
    await requirePretrained(store, snapshotMetric.inceptionWeights, limits);
  }
}
