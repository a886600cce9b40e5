import { canonicalJson } from '../../contract/canonical-json.ts';
import type {
  ClassifierManifest,
  DatasetManifest,
  EvaluationManifest,
  FilteredSetManifest,
  Fingerprint,
  GeneratorManifest,
  Manifest,
  PerClass,
  Spread,
  SyntheticSetManifest,
} from '../../contract/manifests.ts';
import type { PerVariant } from '../../contract/names.ts';
import { identityOf } from '../../contract/resolve-study.ts';
import { listLimits } from './limits.ts';
import { findRecipeFaults, type RecipeFault } from './recipe-faults.ts';
import type { ReportInputs } from './report-inputs.ts';
import { validationSpreads } from './repeats.ts';
import { summarize, type Summary } from './summary.ts';
import { listFingerprintChanges, listFingerprints } from './warnings.ts';

type Facts<M extends Manifest> = Omit<M, 'kind' | 'fingerprint'>;

/**
 * Content of `results.json`: everything a researcher needs to check or re-analyse the study, and nothing that differs
 * between two runs of it (no time, host, attempt, id, person or address).
 */
export interface Results {
  readonly format: 'echoforge-results/1';
  readonly use: string;
  readonly study: ReturnType<typeof identityOf>;
  readonly summary: Summary;
  readonly dataset: Facts<DatasetManifest>;
  readonly classifiers: {
    readonly real: Facts<ClassifierManifest>;
    readonly synthetic: Facts<ClassifierManifest> | null;
    /** Repeats 1, 2, ... and, with repeat 0, the spread of the validation AUC; absent when each was trained once. */
    readonly repeats?: PerVariant<readonly Facts<ClassifierManifest>[]>;
    readonly validationAuc?: PerVariant<Spread | null>;
  };
  /** Expected calibration errors on validation. */
  readonly calibrationGaps: ReportInputs['calibrationGaps'];
  readonly generators: PerClass<Facts<GeneratorManifest>>;
  readonly synthetic: PerClass<Facts<SyntheticSetManifest>>;
  readonly filter: Facts<FilteredSetManifest>;
  readonly evaluation: Facts<EvaluationManifest> | null;
  readonly recipeFaults: readonly RecipeFault[];
  readonly limits: readonly string[];
  readonly provenance: {
    /** Manifest hashes by step. */
    readonly manifests: Readonly<Record<string, string>>;
    readonly fingerprints: Readonly<Record<string, Fingerprint>>;
    readonly fingerprintChanges: readonly string[];
  };
}

/** A manifest without its kind and fingerprint, which stand elsewhere in the results. */
function facts<M extends Manifest & { readonly fingerprint: Fingerprint }>(manifest: M): Facts<M> {
  const { kind, fingerprint, ...rest } = manifest;
  return rest;
}

/** The results as plain data. */
export function buildResults(inputs: ReportInputs): Results {
  const { study, dataset, classifiers, generators, synthetic, filtered, evaluation } = inputs;
  const { repeats } = classifiers;
  return {
    format: 'echoforge-results/1',
    use: 'Research only. Not for clinical use.',
    study: identityOf(study),
    summary: summarize(inputs),
    dataset: facts(dataset),
    classifiers: {
      real: facts(classifiers.real),
      synthetic: classifiers.synthetic === null ? null : facts(classifiers.synthetic),
      ...(repeats && {
        repeats: { real: repeats.real.map(facts), synthetic: repeats.synthetic.map(facts) },
        validationAuc: validationSpreads(classifiers),
      }),
    },
    calibrationGaps: inputs.calibrationGaps,
    generators: { negative: facts(generators.negative), positive: facts(generators.positive) },
    synthetic: { negative: facts(synthetic.negative), positive: facts(synthetic.positive) },
    filter: facts(filtered),
    evaluation: evaluation === null ? null : facts(evaluation),
    recipeFaults: findRecipeFaults(inputs),
    limits: listLimits(inputs),
    provenance: {
      manifests: inputs.sha256s,
      fingerprints: Object.fromEntries(listFingerprints(inputs).map(({ step, fingerprint }) => [step, fingerprint])),
      fingerprintChanges: listFingerprintChanges(inputs),
    },
  };
}

/** `results.json`: canonical JSON with a final newline. */
export function encodeResults(results: Results): string {
  return `${canonicalJson(results)}\n`;
}
