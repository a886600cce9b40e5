import type { BlobRef } from './refs.ts';
import type {
  ClassifierManifest,
  ClassSide,
  DatasetImport,
  DatasetManifest,
  EpochRecord,
  EvaluationManifest,
  FilteredSetManifest,
  FilterEnd,
  FilterLoss,
  Fingerprint,
  GammaSweep,
  GeneratorManifest,
  IngestedShard,
  PerClass,
  RefTo,
  ReportManifest,
  ShardRef,
  Snapshot,
  SnapshotMetric,
  SyntheticSetManifest,
  SeedRange,
  SyntheticShard,
} from './manifests.ts';
import type { ClassifierTraining, ClassifierVariant, PerVariant } from './names.ts';
import type { Study } from './study.ts';
import type { TimeoutProfileName } from './timeouts.ts';
import type { Measurement, ToolName, ToolPlan, ToolResult } from './tools.ts';

/**
 * Activity interfaces: verb + object + unit of work. One input object, one result, plain JSON, `null` for absent. Large
 * things are references. Workflows see these types; activities/ implements them.
 */

/** A person's decision that changes what a study computes; kept with the study and part of its result keys. */
export type Decision =
  | { readonly type: 'approveSnapshot'; readonly side: ClassSide; readonly sha256: string }
  | { readonly type: 'extendTraining'; readonly side: ClassSide; readonly totalKimg: number }
  | { readonly type: 'stopTraining'; readonly side: ClassSide; readonly atNimg: number; readonly reason: string }
  /** The `number`-th (from 1) that lets a troubled training go on from its last good checkpoint. */
  | { readonly type: 'resumeTraining'; readonly side: ClassSide; readonly number: number; readonly reason: string };

export type TrainingDecision = Exclude<Decision, { readonly type: 'approveSnapshot' }>;

/** What resolveStudy hands to the workflow: everything later steps need, small. */
export interface ResolvedStudy {
  readonly study: Study;
  readonly configSha256: string;
  readonly source: RefTo<DatasetImport>;
  readonly decisions: readonly Decision[];
  readonly timeouts: TimeoutProfileName;
}

export interface StudyPlan {
  readonly steps: readonly { readonly step: string; readonly queue: string; readonly detail: string }[];
  readonly images: PerClass<number>;
  readonly estimatedBytes: number;
  readonly warnings: readonly string[];
}

/** Identifies a step of a study: the parts that its result depends on. */
export interface StepIdentity {
  readonly studyId: string;
  /** e.g. `classifier/real`. */
  readonly step: string;
  /** Resolved configuration of this step, accepted decisions included. */
  readonly config: unknown;
  readonly inputs: readonly string[];
  /** What will run it. */
  readonly fingerprint: Fingerprint;
  /** Look in the results of other studies, too. */
  readonly reuse: boolean;
}

export interface FoundStep {
  readonly key: string;
  readonly manifest: { readonly kind: string; readonly sha256: string; readonly bytes: number } | null;
  /** True when another study had computed it. */
  readonly reused: boolean;
}

/** On queue `control`: second-long work on the store and on Temporal. */
export interface ControlActivities {
  resolveStudy(input: { readonly file: unknown; readonly workflowId: string }): Promise<ResolvedStudy>;
  preflightStudy(input: { readonly resolved: ResolvedStudy }): Promise<StudyPlan>;
  /** Queues among `queues` that no worker polls. */
  findIdleQueues(input: { readonly queues: readonly string[] }): Promise<readonly string[]>;
  findStep(input: StepIdentity): Promise<FoundStep>;
  finishStep(input: {
    readonly studyId: string;
    readonly step: string;
    readonly key: string;
    readonly manifest: { readonly kind: string; readonly sha256: string; readonly bytes: number };
    /** The one in the key: other studies find a training only if all of it ran there. Earlier builds did not say. */
    readonly fingerprint?: Fingerprint;
  }): Promise<void>;
  /** Of all executions of a study, those that steer a training. */
  listTrainingDecisions(input: { readonly studyId: string }): Promise<readonly TrainingDecision[]>;
  recordDecision(input: { readonly studyId: string; readonly decision: Decision; readonly by: string }): Promise<void>;
  /** Turns the head of a finished classifier training into its manifest. */
  publishClassifier(input: ClassifierTraining & { readonly studyId: string }): Promise<RefTo<ClassifierManifest>>;
  /** The selection with what it cost. */
  publishFilteredSet(input: {
    readonly filtered: RefTo<FilteredSetManifest>;
    readonly loss: PerClass<FilterLoss | null>;
  }): Promise<RefTo<FilteredSetManifest>>;
  publishGenerator(input: PublishGeneratorInput): Promise<RefTo<GeneratorManifest>>;
  publishSyntheticSet(input: {
    readonly manifest: Omit<SyntheticSetManifest, 'kind'>;
  }): Promise<RefTo<SyntheticSetManifest>>;
  listSyntheticShards(input: { readonly synthetic: RefTo<SyntheticSetManifest> }): Promise<readonly SyntheticShard[]>;
  /** The metric of every snapshot of a published generator, for the choice by the parent. */
  listSnapshots(input: { readonly generator: RefTo<GeneratorManifest> }): Promise<readonly Snapshot[]>;
  describeFilteredSet(input: { readonly filtered: RefTo<FilteredSetManifest> }): Promise<FilteredSummary>;
  countImages(input: { readonly dataset: RefTo<DatasetManifest> }): Promise<PerClass<number>>;
  /** Checks the input of a tool, and finds the snapshot that it names. */
  resolveTool<T extends ToolName>(input: { readonly tool: T; readonly input: unknown }): Promise<ToolPlan<T>>;
  releaseModels(input: {
    readonly studyId: string;
    readonly models: Readonly<Record<ClassifierVariant, RefTo<ClassifierManifest>>>;
    readonly evaluation: RefTo<EvaluationManifest>;
  }): Promise<void>;
}

export interface FilteredSummary {
  readonly degenerate: string | null;
  readonly accepted: PerClass<number>;
  readonly candidates: PerClass<number>;
}

export interface PublishGeneratorInput {
  readonly studyId: string;
  readonly side: ClassSide;
  readonly className: string;
  /** Of several trainings of the class, which; absent for the class's own. */
  readonly variant?: string;
  readonly gammaSweep?: GammaSweep;
  readonly config: Study['generator'];
  readonly metrics: readonly { readonly nimg: number; readonly metric: SnapshotMetric }[];
  readonly floor: SnapshotMetric;
  readonly stopped: string | null;
}

/** On queue `cpu`: preparation, selection, statistics, report. Never loads TensorFlow. */
export interface CpuActivities {
  describeWorker(): Promise<Fingerprint>;
  /** Splits the import into ingest shards; the result is a list of ranges of source files. */
  planIngest(input: {
    readonly study: Study;
    readonly source: RefTo<DatasetImport>;
  }): Promise<{ readonly shards: number; readonly files: number }>;
  ingestShard(input: {
    readonly study: Study;
    readonly source: RefTo<DatasetImport>;
    readonly shard: number;
  }): Promise<RefTo<IngestedShard>>;
  groupNearDuplicates(input: {
    readonly study: Study;
    readonly shards: readonly RefTo<IngestedShard>[];
  }): Promise<BlobRef>;
  splitDataset(input: {
    readonly study: Study;
    readonly shards: readonly RefTo<IngestedShard>[];
    readonly groups: BlobRef;
  }): Promise<RefTo<DatasetManifest>>;
  selectSynthetic(input: {
    readonly study: Study;
    readonly scored: PerClass<readonly ScoredShard[]>;
    readonly ended: PerClass<FilterEnd>;
  }): Promise<RefTo<FilteredSetManifest>>;
  compareClassifiers(input: {
    readonly study: Study;
    readonly dataset: RefTo<DatasetManifest>;
    readonly models: PerVariant<RefTo<ClassifierManifest>>;
    readonly filtered: RefTo<FilteredSetManifest>;
    readonly predictions: PerVariant<BlobRef>;
    /** Of repeats 1, 2, ...; absent when the study has one. */
    readonly repeats?: PerVariant<readonly ScoredRepeat[]>;
  }): Promise<RefTo<EvaluationManifest>>;
  renderReport(input: ReportSources): Promise<RefTo<ReportManifest>>;
  /** Copies the report and the run's times to `studies/<id>/report/`. */
  placeReport(input: {
    readonly studyId: string;
    readonly report: RefTo<ReportManifest>;
  }): Promise<{ readonly prefix: string }>;
  /** Prepares what lies under a prefix like the released models' data set, as one test shard per class. */
  prepareReevaluation(input: ReevaluateInput): Promise<ReevaluationSet>;
  /** The grid and the manifest of a finished list of images. */
  publishImages(input: {
    readonly plan: ToolPlan<'generateImages'>;
    readonly chunks: readonly GeneratedChunk[];
  }): Promise<ToolResult>;
  /** Loss curve and manifest of a finished projection. */
  publishProjection(input: {
    readonly plan: ToolPlan<'projectImage'>;
    readonly segments: readonly ProjectionSegment[];
  }): Promise<ToolResult>;
  /** Table, curve and manifest of measured snapshots. */
  publishMeasurements(input: {
    readonly plan: ToolPlan<'measureSnapshots'>;
    readonly floor: StoredMeasurement;
    readonly measured: readonly StoredMeasurement[];
  }): Promise<ToolResult>;
  appendReevaluation(input: {
    readonly request: ReevaluateInput;
    readonly set: ReevaluationSet;
    readonly predictions: Readonly<Record<ClassifierVariant, BlobRef>>;
    readonly workflowId: string;
  }): Promise<ReevaluationRow>;
}

/** Some steps of a projection. */
export interface ProjectionSegment {
  /** See {@link GeneratedChunk}. */
  readonly request: string;
  readonly fingerprint: Fingerprint;
  /** Everything that the next steps need. */
  readonly state: BlobRef;
  /** Of the last step. */
  readonly distance: number;
  /** JSON lines of `ToolFile`; null before the last segment. */
  readonly files: BlobRef | null;
}

/** A measurement and what made it. */
export interface StoredMeasurement {
  readonly fingerprint: Fingerprint;
  readonly measurement: Measurement;
}

/** Images of a part of a seed list, stored below the prefix of the request. */
export interface GeneratedChunk {
  /** Hash of the request in the keys; the same for all chunks that one kind of engine made. */
  readonly request: string;
  readonly fingerprint: Fingerprint;
  /** JSON lines of `ToolFile`. */
  readonly files: BlobRef;
}

/** A further repeat of a classifier, and what it says of the test set. */
export interface ScoredRepeat {
  readonly classifier: RefTo<ClassifierManifest>;
  readonly predictions: BlobRef;
}

export interface ReportSources {
  readonly study: Study;
  readonly dataset: RefTo<DatasetManifest>;
  readonly classifiers: {
    readonly real: RefTo<ClassifierManifest>;
    readonly synthetic: RefTo<ClassifierManifest> | null;
    /** Repeats 1, 2, ...; absent when the study has one, empty where no synthetic one was trained. */
    readonly repeats?: PerVariant<readonly RefTo<ClassifierManifest>[]>;
  };
  readonly generators: PerClass<RefTo<GeneratorManifest>>;
  readonly synthetic: PerClass<RefTo<SyntheticSetManifest>>;
  readonly filtered: RefTo<FilteredSetManifest>;
  readonly evaluation: RefTo<EvaluationManifest> | null;
}

export interface ReevaluateInput {
  /** studyId whose models were released. */
  readonly models: string;
  /** Bucket prefix with one folder per class, or the name of an import as `imports/<name>/`. */
  readonly prefix: string;
}

export interface ReevaluationSet {
  readonly test: PerClass<readonly ShardRef[]>;
  readonly images: PerClass<number>;
  readonly models: Readonly<Record<ClassifierVariant, RefTo<ClassifierManifest>>>;
  readonly channels: 1 | 3;
  /** As the study that released the models evaluated them. */
  readonly precision: Study['precision'];
  readonly execution: Study['execution'];
  readonly queue: string;
  readonly rejected: number;
}

export interface ReevaluationRow {
  readonly workflowId: string;
  readonly prefix: string;
  readonly images: PerClass<number>;
  readonly auc: Readonly<Record<ClassifierVariant, number | null>>;
  readonly interval: Readonly<Record<ClassifierVariant, readonly [number, number] | null>>;
  readonly regression: boolean;
  readonly notes: readonly string[];
}

export interface ScoredShard {
  readonly firstSeed: number;
  readonly lastSeed: number;
  readonly shard: ShardRef;
  readonly scores: BlobRef;
  /** By the rule; for a quantile, of this shard's candidates alone. */
  readonly accepted: number;
}

export interface TrainGeneratorSegmentInput {
  readonly study: Study;
  readonly side: ClassSide;
  /** Of several trainings of the class, which; absent for the class's own. */
  readonly variant?: string;
  readonly dataset: RefTo<DatasetManifest>;
  readonly untilNimg: number;
  /** Image count of the best snapshot so far: retention keeps its checkpoint. */
  readonly bestNimg: number | null;
  /** How often a person let the training go on after trouble. Default: 0 */
  readonly resumes?: number;
}

export interface GeneratorSegmentResult {
  readonly nimg: number;
  /** All snapshots so far, without metrics. */
  readonly snapshots: readonly { readonly nimg: number; readonly weights: BlobRef }[];
  /** True when the segment was asked to stop before its end. */
  readonly interrupted: boolean;
  /** What a person should know of the training; absent when there is nothing. */
  readonly notes?: readonly string[];
  /** What a person must decide on before the training can go on; absent when there is nothing. */
  readonly trouble?: string;
}

export interface TrainClassifierSegmentInput extends ClassifierTraining {
  readonly study: Study;
  /** A dataset or a filtered set: both carry TrainingImages. */
  readonly images: RefTo<DatasetManifest> | RefTo<FilteredSetManifest>;
  readonly untilEpoch: number;
}

export interface ClassifierSegmentResult {
  readonly epoch: number;
  readonly finished: boolean;
  readonly interrupted: boolean;
  readonly last: EpochRecord | null;
  /** How often the training has gone back so far; absent for never. */
  readonly recoveries?: number;
}

/** On queue `gpu`: TensorFlow work, done by the engine process that the worker owns. */
export interface GpuActivities {
  describeEngine(input: {
    readonly precision: Study['precision'];
    readonly execution: Study['execution'];
  }): Promise<Fingerprint>;
  trainGeneratorSegment(input: TrainGeneratorSegmentInput): Promise<GeneratorSegmentResult>;
  trainClassifierSegment(input: TrainClassifierSegmentInput): Promise<ClassifierSegmentResult>;
  /** Distance of a snapshot's fakes to the training reals; `weights` null measures the floor. */
  measureSnapshot(input: {
    readonly study: Study;
    readonly side: ClassSide;
    readonly dataset: RefTo<DatasetManifest>;
    readonly classifier: RefTo<ClassifierManifest>;
    readonly weights: BlobRef | null;
  }): Promise<SnapshotMetric>;
  /** What the filter cost in variety and distance to the training reals; null when there is too little to measure. */
  measureFilter(input: {
    readonly study: Study;
    readonly side: ClassSide;
    readonly dataset: RefTo<DatasetManifest>;
    readonly classifier: RefTo<ClassifierManifest>;
    readonly shards: readonly ShardRef[];
    readonly filtered: RefTo<FilteredSetManifest>;
  }): Promise<FilterLoss | null>;
  /** Shards of one class in the order asked for. Each is kept as soon as it is stored: another attempt makes the others. */
  synthesizeShards(input: {
    readonly study: Study;
    readonly side: ClassSide;
    readonly weights: BlobRef;
    readonly shards: readonly SeedRange[];
  }): Promise<readonly SyntheticShard[]>;
  /** The images of some seeds of a plan, in their order. */
  generateImageChunk(input: {
    readonly plan: ToolPlan<'generateImages'>;
    readonly seeds: readonly number[];
  }): Promise<GeneratedChunk>;
  mixStyles(input: { readonly plan: ToolPlan<'styleMixing'> }): Promise<ToolResult>;
  sweepTruncation(input: { readonly plan: ToolPlan<'truncationSweep'> }): Promise<ToolResult>;
  interpolateLatents(input: { readonly plan: ToolPlan<'interpolateLatents'> }): Promise<ToolResult>;
  /** Steps of a projection from a state, or from the start, until `untilStep` are done. */
  projectImageSegment(input: {
    readonly plan: ToolPlan<'projectImage'>;
    readonly state: BlobRef | null;
    readonly untilStep: number;
  }): Promise<ProjectionSegment>;
  /** Every metric of one snapshot; `weights` null measures the floor. */
  measureSnapshotQuality(input: {
    readonly study: Study;
    readonly side: ClassSide;
    readonly dataset: RefTo<DatasetManifest>;
    readonly classifier: RefTo<ClassifierManifest>;
    readonly weights: BlobRef | null;
    readonly fakes: number;
    readonly psi: number;
  }): Promise<StoredMeasurement>;
  scoreShard(input: {
    readonly study: Study;
    readonly side: ClassSide;
    readonly classifier: RefTo<ClassifierManifest>;
    /** Further classifiers: the scores are then the mean of all. */
    readonly ensemble?: readonly RefTo<ClassifierManifest>[];
    readonly shard: SyntheticShard;
  }): Promise<ScoredShard>;
  /** The only reading of test pixels by a model. */
  predictTestSet(input: {
    readonly studyId: string;
    readonly precision: Study['precision'];
    readonly execution: Study['execution'];
    readonly channels: 1 | 3;
    readonly classifier: RefTo<ClassifierManifest>;
    readonly test: PerClass<readonly ShardRef[]> | null;
    /** Takes the test shards of this dataset when `test` is null. */
    readonly dataset: RefTo<DatasetManifest> | null;
  }): Promise<BlobRef>;
}
