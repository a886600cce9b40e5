import type {
  ClassifierManifest,
  DatasetManifest,
  EvaluationManifest,
  FilteredSetManifest,
  GeneratorManifest,
  PerClass,
  SyntheticSetManifest,
} from '../../contract/manifests.ts';
import type { PerVariant } from '../../contract/names.ts';
import type { Study } from '../../contract/study.ts';
import type { CalibrationGaps } from '../classifier/calibration.ts';

/** Everything a report says, as plain data and PNG bytes: this room never opens the store. */
export interface ReportInputs {
  readonly study: Study;
  readonly dataset: DatasetManifest;
  readonly classifiers: {
    readonly real: ClassifierManifest;
    readonly synthetic: ClassifierManifest | null;
    /** Repeats 1, 2, ...; absent when the study has one, empty where no synthetic one was trained. */
    readonly repeats?: PerVariant<readonly ClassifierManifest[]>;
  };
  /** On validation; null for a classifier that was not trained. */
  readonly calibrationGaps: { readonly real: CalibrationGaps; readonly synthetic: CalibrationGaps | null };
  readonly generators: PerClass<GeneratorManifest>;
  readonly synthetic: PerClass<SyntheticSetManifest>;
  readonly filtered: FilteredSetManifest;
  /** Null when the filter kept nothing that a second classifier could learn from. */
  readonly evaluation: EvaluationManifest | null;
  /** Manifest hashes by step, e.g. `classifier/real`. */
  readonly sha256s: Readonly<Record<string, string>>;
  readonly grids: ReportGrids;
}

/** PNG image grids. */
export interface ReportGrids {
  readonly reals: PerClass<Uint8Array>;
  /** In training order; the page shows at most eight of them, the chosen one always. */
  readonly fakes: PerClass<readonly SnapshotGrid[]>;
  /** Synthetic images that the filter kept; null when it kept none. */
  readonly kept: PerClass<Uint8Array> | null;
  /** Synthetic images that the filter dropped; null for a class without any. */
  readonly rejected?: PerClass<Uint8Array | null>;
}

export interface SnapshotGrid {
  /** Real images shown to D when the snapshot was taken. */
  readonly nimg: number;
  readonly png: Uint8Array;
  readonly chosen: boolean;
}
