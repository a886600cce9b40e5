import type { BlobRef, ManifestRef } from './refs.ts';
import type { ClassifierConfig, GeneratorConfig, Study } from './study.ts';
import type { ClassifierTraining, ClassifierVariant, PerVariant } from './names.ts';

/** Manifests: small immutable JSON blobs that say what a finished step produced. Plain data, no time, host or attempt. */

/** The class of an image: `positive` is the disease. As a label: negative 0, positive 1. */
export type ClassSide = 'negative' | 'positive';
export const classSides: readonly ClassSide[] = ['negative', 'positive'];
/** Whose images a generator is trained on: one class's, or both with their labels. */
export type TrainedSide = ClassSide | 'both';
export type PerClass<T> = Readonly<Record<ClassSide, T>>;
export type Split = 'train' | 'validation' | 'test';

/** What ran a step; results agree to the byte within one fingerprint and to a tolerance across fingerprints. */
export interface Fingerprint {
  readonly release: string;
  readonly node: string;
  readonly icu: string;
  readonly sharp: string;
  readonly vips: string;
  /** Null on workers that never load TensorFlow. */
  readonly tensorflow: string | null;
  readonly backend: 'tensorflow' | 'wasm' | null;
  readonly device: string;
  readonly instructionSet: string;
  readonly threads: number;
  readonly execution: Study['execution'] | null;
  readonly precision: 'fp32' | 'bf16' | null;
}

/** PNG images in one WebDataset tar and its index: JSON lines of {@link ShardEntry} in tar order. */
export interface ShardRef {
  readonly tar: BlobRef;
  readonly index: BlobRef;
  readonly images: number;
}

export interface ShardEntry {
  /** Name inside the tar, e.g. `seed00001.png` or the source's safe name. */
  readonly member: string;
  readonly sha256: string;
  readonly bytes: number;
  readonly side: ClassSide;
  /** Path of the source below its import prefix; null for fakes. */
  readonly source: string | null;
  /** Near-duplicate group; null for fakes. */
  readonly groupId: string | null;
  /** Seed of a fake; null for reals. */
  readonly seed: number | null;
}

/** One imported folder tree, as `echoforge import` stored it. */
export interface DatasetImport {
  readonly kind: 'import';
  readonly name: string;
  readonly files: readonly { readonly path: string; readonly blob: BlobRef }[];
}

export interface RejectedImage {
  readonly source: string;
  readonly reason: string;
}

/** Result of one ingest activity: prepared images and the fingerprints that near-duplicate search needs. */
export interface IngestedShard {
  readonly kind: 'ingestedShard';
  readonly shard: ShardRef;
  /** Per accepted image, in shard order: 64-bit perceptual hash as 16 hex digits and a 32x32 grey thumbnail (base64). */
  readonly signatures: readonly {
    readonly source: string;
    readonly side: ClassSide;
    readonly hash: string;
    readonly thumbnail: string;
  }[];
  readonly rejected: readonly RejectedImage[];
}

export interface TrainingImages {
  readonly train: PerClass<readonly ShardRef[]>;
  readonly validation: PerClass<readonly ShardRef[]>;
}

export interface DatasetManifest {
  readonly kind: 'dataset';
  readonly name: string;
  readonly classes: Study['classes'];
  readonly ignored: readonly string[];
  readonly image: Study['image'];
  readonly splitUnit: Study['split']['unit'];
  /** Present when the validation images are also among the training images; `counts` counts them in both. */
  readonly validationFrom?: 'training';
  readonly training: TrainingImages;
  readonly test: PerClass<readonly ShardRef[]>;
  readonly counts: Readonly<Record<Split, PerClass<number>>>;
  readonly groups: number;
  /** Groups of two or more images, largest first, sources sorted. */
  readonly nearDuplicateGroups: readonly { readonly groupId: string; readonly sources: readonly string[] }[];
  readonly setAside: readonly { readonly source: string; readonly groupId: string; readonly reason: string }[];
  readonly rejected: readonly RejectedImage[];
  readonly fingerprint: Fingerprint;
}

export interface EpochRecord {
  readonly epoch: number;
  readonly learningRate: number;
  readonly trainLoss: number;
  readonly validationLoss: number;
  readonly validationAccuracy: number;
  readonly validationAuc: number;
}

/** A training whose loss diverged went back to the end of the last complete epoch, or to its start, with a lower rate. */
export interface Recovery {
  /** That diverged, from 1. */
  readonly epoch: number;
  /** `NaN`, `Infinity` or a number: JSON has no word for the first two. */
  readonly loss: string;
  readonly learningRate: number;
  readonly nextLearningRate: number;
}

/** Where the first weights of a training came from. */
export interface PretrainedWeights {
  readonly format: 'keras-h5' | 'tfjs-layers' | 'safetensors';
  /** Of the file; of the list of hashes of `model.json` and its shards where there are any. */
  readonly sha256: string;
  /** What the file is when its MD5 is one that Keras publishes; null for any other file. */
  readonly official: string | null;
}

/** What the published weights of a classifier say about one validation image, before any scaling. */
export interface ValidationScore {
  readonly side: ClassSide;
  /** Of the positive class: logit positive - logit negative. */
  readonly logOdds: number;
}

export interface CalibrationError {
  readonly brier: number;
  /** Nats per image, against the true labels. */
  readonly logLoss: number;
}

/** How log-odds become probabilities; fitted on validation images only. */
export interface Calibration {
  /** The log-odds are divided by it; 1 leaves them as they are. */
  readonly temperature: number;
  /** Why it is 1 although one was to be fitted; null otherwise. */
  readonly note: string | null;
  /** On validation, without and with the temperature. */
  readonly before: CalibrationError;
  readonly after: CalibrationError;
}

export interface ClassifierManifest extends ClassifierTraining {
  readonly kind: 'classifier';
  readonly config: ClassifierConfig;
  readonly inputSize: number;
  readonly parameters: number;
  /** Null when training began with random weights. */
  readonly pretrained: PretrainedWeights | null;
  readonly images: Readonly<Record<'train' | 'validation', PerClass<number>>>;
  readonly weights: BlobRef;
  /** JSON lines of {@link ValidationScore} of these weights, negatives first. */
  readonly validation: BlobRef;
  readonly calibration: Calibration;
  readonly history: readonly EpochRecord[];
  /** Absent when the training never diverged. */
  readonly recoveries?: readonly Recovery[];
  /** Epoch (from 1) whose weights these are. */
  readonly epoch: number;
  readonly fingerprint: Fingerprint;
  /** One line per segment that resumed on another fingerprint; empty when all ran on one. */
  readonly fingerprintChanges: readonly string[];
}

/** A Frechet distance, never bare: what features, how many images, and what two halves of the reals give. */
export interface SnapshotMetric {
  /** `fid` only in the canonical network; otherwise `fd.irv2-real`. */
  readonly name: string;
  /** sha256 of the extractor's weights: figures of different weights cannot be compared. */
  readonly weights: string;
  readonly value: number;
  readonly reals: number;
  readonly fakes: number;
}

export interface Snapshot {
  readonly nimg: number;
  /** EMA generator weights. */
  readonly weights: BlobRef;
  /** fakesNNNNNN.png */
  readonly grid: BlobRef;
  readonly metric: SnapshotMetric | null;
}

/** Weights that a generator's training started from. */
export interface StartWeights {
  readonly sha256: string;
  /** `fresh` where the file holds a generator alone: D then starts from random weights. */
  readonly discriminator: 'taken' | 'fresh';
}

/** One value of a sweep of the R1 weight. */
export interface GammaTrial {
  readonly gamma: number;
  /** Where its snapshots came nearest to the reals, and how near; both null when none was measured. */
  readonly nimg: number | null;
  readonly metric: SnapshotMetric | null;
  /** Why it ended without; null otherwise. */
  readonly failure: string | null;
}

/** How the R1 weight of a training was chosen. */
export interface GammaSweep {
  /** Length of each trial, thousands of images. */
  readonly kimg: number;
  /** In the order of the study file. */
  readonly trials: readonly GammaTrial[];
  readonly chosen: number;
}

export interface GeneratorManifest {
  readonly kind: 'generator';
  readonly side: ClassSide;
  readonly className: string;
  readonly config: GeneratorConfig;
  readonly parameters: { readonly g: number; readonly d: number };
  readonly images: number;
  /** Absent when training began with random weights. */
  readonly start?: StartWeights;
  /** Absent when the study file gave the R1 weight. */
  readonly gammaSweep?: GammaSweep;
  readonly nimg: number;
  readonly snapshots: readonly Snapshot[];
  /** Distance between split halves of the training reals. */
  readonly floor: SnapshotMetric;
  readonly reals: BlobRef;
  /** TensorBoard event shards in order. */
  readonly events: readonly BlobRef[];
  readonly losses: readonly TickRecord[];
  /** Absent when the training never rolled back. */
  readonly rollBacks?: readonly RollBack[];
  readonly stopped: string | null;
  readonly fingerprint: Fingerprint;
  /** One line per segment that resumed on another fingerprint; empty when all ran on one. */
  readonly fingerprintChanges: readonly string[];
}

/** The four updates of an iteration under the names of the original: losses and regularisers of G and D. */
export type UpdateName = 'TrainG' | 'RegG' | 'TrainD' | 'RegD';
export type UpdateCounts = Readonly<Partial<Record<UpdateName, number>>>;

/** A training that went on from an earlier checkpoint, with other random draws. */
export interface RollBack {
  readonly fromNimg: number;
  readonly toNimg: number;
  readonly reason: string;
}

/** Means over one tick. */
export interface TickRecord {
  readonly tick: number;
  readonly nimg: number;
  readonly lossG: number;
  readonly lossD: number;
  readonly scoresReal: number;
  readonly scoresFake: number;
  readonly r1Penalty: number;
  readonly pathLength: number;
  readonly plPenalty: number;
  /** r_t: mean sign of D(real), near 1 where D knows its reals by heart; null in records from before it was measured. */
  readonly rt: number | null;
  /** Strength of the augmentation, 0 without. */
  readonly augmentP: number;
  /** Updates skipped because a loss or gradient was not finite; absent when none was. */
  readonly skipped?: UpdateCounts;
}

export interface SyntheticSetManifest {
  readonly kind: 'syntheticSet';
  readonly side: ClassSide;
  readonly className: string;
  readonly snapshot: Snapshot;
  /** `lowest` metric, or who-less `approved` by an update. */
  readonly chosenBy: 'lowest' | 'approved';
  readonly psi: number;
  readonly shards: readonly SyntheticShard[];
  readonly fingerprint: Fingerprint;
}

/** Seeds of one shard, both ends included. */
export interface SeedRange {
  readonly firstSeed: number;
  readonly lastSeed: number;
}

export interface SyntheticShard extends SeedRange {
  readonly shard: ShardRef;
}

/** Why a fake was dropped: by which part of the rule, or only because the balanced draw did not take it. */
export type VerdictReason =
  | 'other class'
  | 'below threshold'
  | 'below quantile'
  | 'unsure'
  | 'not drawn'
  /** The other class, or this one, had nothing to keep. */
  | 'nothing kept';

/** Verdicts of one class: JSON lines of {@link Verdict}. */
export interface Verdict {
  readonly seed: number;
  /** Probability of the positive class. */
  readonly probability: number;
  readonly kept: boolean;
  /** Null for kept ones. */
  readonly why: VerdictReason | null;
}

export type FilterEnd = 'enough accepted' | 'maxCandidates tried' | 'no top-up';

/** A set of fakes beside the training reals of its class, in the features of an extractor. */
export interface SetQuality {
  /** Frechet distance; biased upwards with few images, equally before and after. */
  readonly frechet: number;
  /** Kernel distance (squared maximum mean discrepancy), unbiased. */
  readonly kernel: number;
  /** Share of the reals among the fakes' neighbourhoods. */
  readonly recall: number;
  /** Share of the reals with a fake in their neighbourhood. */
  readonly coverage: number;
}

/** What the filter cost: equal numbers of fakes before it and of those it kept. */
export interface FilterLoss {
  readonly extractor: string;
  readonly reals: number;
  /** In each of the two sets. */
  readonly fakes: number;
  readonly before: SetQuality;
  readonly after: SetQuality;
}

export interface FilteredClass {
  readonly candidates: number;
  readonly accepted: number;
  readonly kept: number;
  readonly verdicts: BlobRef;
  /** Ten bins of the probability of the intended class over all candidates. */
  readonly histogram: readonly number[];
  /** The same over those that were kept. */
  readonly keptHistogram: readonly number[];
  /** What ended the search for more: enough were accepted, all of `maxCandidates` were tried, or top-up is off. */
  readonly ended: FilterEnd;
  /** Null when too few images were kept, or there are too few reals, to measure it. */
  readonly loss: FilterLoss | null;
}

export interface FilteredSetManifest {
  readonly kind: 'filteredSet';
  readonly filter: Study['filter'];
  readonly classes: PerClass<FilteredClass>;
  readonly training: TrainingImages;
  /** Says why nothing could be kept; null otherwise. */
  readonly degenerate: string | null;
  readonly fingerprint: Fingerprint;
}

/** Stored predictions of one model: JSON lines of {@link Prediction}. */
export interface Prediction {
  readonly member: string;
  readonly side: ClassSide;
  readonly groupId: string | null;
  /** Probability of the positive class. */
  readonly probability: number;
}

export interface Interval {
  readonly lower: number;
  readonly upper: number;
  readonly level: number;
  readonly method: string;
}

export interface Estimate {
  readonly value: number;
  readonly ci: Interval | null;
}

/** From which probability a model calls an image positive, and what chose it. */
export interface OperatingPoint {
  readonly rule: Study['evaluation']['operatingPoint'];
  readonly threshold: number;
  /** What it gives on the validation images of the model. */
  readonly validation: { readonly images: number; readonly sensitivity: number; readonly specificity: number };
}

export interface ModelEvaluation {
  readonly variant: ClassifierVariant;
  readonly predictions: BlobRef;
  readonly confusion: { readonly tp: number; readonly fp: number; readonly tn: number; readonly fn: number };
  readonly operatingPoint: OperatingPoint;
  readonly accuracy: Estimate;
  readonly sensitivity: Estimate;
  readonly specificity: Estimate;
  readonly f1: Estimate;
  readonly auc: Estimate;
  /** Cluster bootstrap by group. */
  readonly aucGrouped: Estimate;
  readonly brier: number;
  readonly roc: readonly { readonly falsePositiveRate: number; readonly sensitivity: number }[];
}

export interface ModelComparison {
  readonly mcnemar: {
    readonly realOnlyCorrect: number;
    readonly syntheticOnlyCorrect: number;
    readonly exact: number;
    readonly midP: number;
  };
  /** AUC real - AUC synthetic. */
  readonly delong: {
    readonly difference: Estimate;
    readonly standardError: number;
    readonly z: number;
    readonly p: number;
  } | null;
  readonly nonInferiority: {
    readonly margin: number;
    readonly z: number;
    readonly p: number;
    readonly nonInferior: boolean;
    readonly smallestMargin: number;
  } | null;
  /** Why a test above is null or degenerate. */
  readonly notes: readonly string[];
}

/** Several trainings that differ in their random streams alone. */
export interface Spread {
  readonly mean: number;
  /** Sample standard deviation, divisor n - 1. */
  readonly sd: number;
  readonly min: number;
  readonly max: number;
}

/** One of several trainings of a variant on the test set, at the operating point of its own validation images. */
export interface RepeatEvaluation {
  readonly predictions: BlobRef;
  readonly threshold: number;
  readonly auc: number;
  readonly accuracy: number;
  readonly sensitivity: number;
  readonly specificity: number;
}

export interface RepeatedModel {
  /** Repeat 0 first. */
  readonly repeats: readonly RepeatEvaluation[];
  readonly auc: Spread;
  readonly accuracy: Spread;
}

/**
 * What further trainings of both classifiers say, beside the tests of repeat 0, which were fixed beforehand. The generators
 * and the synthetic set are the same for all: this is the spread between trainings of the classifiers, not between studies.
 */
export interface RepeatedEvaluation {
  readonly models: PerVariant<RepeatedModel>;
  readonly comparison: {
    /** AUC real - AUC synthetic of repeat r of both, DeLong interval; a null verdict was not tested. */
    readonly pairs: readonly { readonly difference: Estimate; readonly nonInferior: boolean | null }[];
    readonly difference: Spread;
    /** Of the mean difference, over other test images and other trainings. */
    readonly ci: Interval | null;
  };
}

export interface LeakageAudit {
  readonly passed: boolean;
  readonly checks: readonly { readonly name: string; readonly passed: boolean; readonly detail: string }[];
}

export interface EvaluationManifest {
  readonly kind: 'evaluation';
  readonly test: PerClass<number>;
  readonly groups: number;
  readonly models: Readonly<Record<ClassifierVariant, ModelEvaluation>>;
  readonly comparison: ModelComparison;
  /** Absent when each classifier was trained once. */
  readonly repeats?: RepeatedEvaluation;
  readonly audit: LeakageAudit;
  readonly fingerprint: Fingerprint;
}

export interface ReportManifest {
  readonly kind: 'report';
  readonly html: BlobRef;
  readonly results: BlobRef;
  readonly figures: readonly { readonly name: string; readonly blob: BlobRef }[];
  readonly fingerprint: Fingerprint;
}

export type Manifest =
  | DatasetImport
  | IngestedShard
  | DatasetManifest
  | ClassifierManifest
  | GeneratorManifest
  | SyntheticSetManifest
  | FilteredSetManifest
  | EvaluationManifest
  | ReportManifest;

export type RefTo<M extends Manifest> = ManifestRef<M['kind']>;
