import type { ClassifierManifest } from '../../contract/manifests.ts';

const error = { brier: 0.25, logLoss: Math.log(2) };

/** What a manifest says of a classifier whose log-odds are used as they are; its validation scores are in no store. */
export const uncalibrated: Pick<ClassifierManifest, 'validation' | 'calibration'> = {
  validation: { sha256: '0'.repeat(64), bytes: 1 },
  calibration: { temperature: 1, note: null, before: error, after: error },
};
