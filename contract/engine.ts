import type { ClassifierConfig, GeneratorConfig, Study } from './study.ts';
import type { Measurement, NoiseMode } from './tools.ts';
import type {
  ClassSide,
  EpochRecord,
  FilterLoss,
  Fingerprint,
  PerClass,
  PretrainedWeights,
  Recovery,
  SeedRange,
  SnapshotMetric,
  TickRecord,
  TrainedSide,
} from './manifests.ts';

/**
 * What a gpu worker asks its engine process to do. All large things are files in a work directory that the worker owns:
 * it puts inputs there before the call and uploads the outputs that the engine process names. Plain data only.
 */

/** A shard on disk: the tar and its JSON-lines index. */
export interface LocalShard {
  readonly tarFile: string;
  readonly indexFile: string;
}

export interface EngineSettings {
  readonly precision: Study['precision'];
  readonly execution: Study['execution'];
}

export interface TrainGeneratorTask {
  readonly config: GeneratorConfig;
  readonly image: Study['image'];
  readonly seed: number;
  /** Names the training's random streams; `both` where it is conditional and takes the classes of images from their shards. */
  readonly side: TrainedSide;
  readonly shards: readonly LocalShard[];
  /** Complete state to go on from, or null to start. */
  readonly checkpointFile: string | null;
  /** Weights that a training without checkpoint starts from, or null for random ones. */
  readonly startFile: string | null;
  /** Train until this many real images were shown to D: a tick boundary, or the total, which is the training's end. */
  readonly untilNimg: number;
  /** How often the training has rolled back: each time it goes on with other draws. Default: 0 */
  readonly rollBacks?: number;
  /** Largest diversity of its snapshots so far (1 - mean MS-SSIM), the untrained one left out. Default: 0 */
  readonly mostDiverse?: number;
}

/** Why a training cannot go on from where it stands. Nothing of it was committed. */
export interface TrainingTrouble {
  readonly nimg: number;
  readonly reason: string;
}

export interface TrainGeneratorOutput {
  readonly nimg: number;
  readonly parameters: { readonly g: number; readonly d: number };
  readonly images: number;
  /** Grid of real images, written by every segment (equal bytes). */
  readonly realsGridFile: string;
  /** Ended by this, before its end; null otherwise. */
  readonly trouble: TrainingTrouble | null;
}

/**
 * One commit of a generator training, reported at tick ends, snapshot ends and when stopped. Its files are the caller's, who
 * deletes them once they are stored.
 */
export interface GeneratorCheckpointEvent {
  readonly type: 'generatorCheckpoint';
  readonly nimg: number;
  /** False for a checkpoint made in mid-tick by pause or shutdown, or at an end off the grid: it only resumes. */
  readonly complete: boolean;
  /** An update was skipped when it was last due: nothing to roll back to. Absent otherwise. */
  readonly skipping?: boolean;
  readonly checkpointFile: string;
  readonly snapshot: {
    readonly weightsFile: string;
    readonly gridFile: string;
    /** Mean MS-SSIM of the grid's images; null when it has only one. */
    readonly msSsim: number | null;
  } | null;
  /** TensorBoard events since the previous checkpoint; null when there are none. */
  readonly eventsFile: string | null;
  /** Ticks that ended since the previous checkpoint. */
  readonly ticks: readonly TickRecord[];
  /**
   * Present at an end where a longer training has no tick or no snapshot: what is there because the training ends. That is the
   * snapshot, the last so many ticks, and these further events; a training that goes on after all forgets them.
   */
  readonly end?: { readonly ticks: number; readonly eventsFile: string };
}

export interface TrainClassifierTask {
  readonly config: ClassifierConfig;
  readonly inputSize: number;
  readonly channels: 1 | 3;
  readonly seed: number;
  /** Random stream prefix, `classifier/real`, `classifier/synthetic`, or of a repeat, as `classifier/real/1`. */
  readonly stream: string;
  readonly train: PerClass<readonly LocalShard[]>;
  readonly validation: PerClass<readonly LocalShard[]>;
  readonly pretrainedFile: string | null;
  readonly checkpointFile: string | null;
  /** All so far; the checkpoint may be from before the last of them. */
  readonly recoveries: readonly Recovery[];
  readonly untilEpoch: number;
}

export interface TrainClassifierOutput {
  readonly epoch: number;
  /** True when the last epoch was reached or early stopping ended the training. */
  readonly finished: boolean;
  readonly parameters: number;
  readonly pretrained: PretrainedWeights | null;
  readonly images: Readonly<Record<'train' | 'validation', PerClass<number>>>;
}

/** One commit of a classifier training, reported at epoch ends and when stopped. Its files are the caller's, as above. */
export interface ClassifierCheckpointEvent {
  readonly type: 'classifierCheckpoint';
  readonly epoch: number;
  readonly complete: boolean;
  readonly checkpointFile: string;
  /** Weights to publish if training ended now: best validation epoch, or the last. */
  readonly weightsFile: string;
  readonly weightsEpoch: number;
  /** JSON lines of ValidationScore of these weights; null before the first complete epoch. */
  readonly validationFile: string | null;
  readonly eventsFile: string | null;
  readonly history: readonly EpochRecord[];
  readonly finished: boolean;
}

/**
 * A classifier's training diverged and goes back. The caller records that, puts the checkpoint of the last complete epoch in
 * place where there is one, and forgets later ones.
 */
export interface ClassifierRecoveryEvent {
  readonly type: 'classifierRecovery';
  /** All so far. */
  readonly recoveries: readonly Recovery[];
  readonly checkpointFile: string;
}

/**
 * Features of some images, for or from the store. `wanted`: the caller puts the stored file in place where there is one.
 * `written`: it was computed.
 */
export interface FeatureFileEvent {
  readonly type: 'featureFile';
  readonly stage: 'wanted' | 'written';
  /** Hash of all that the features depend on. */
  readonly key: string;
  readonly file: string;
}

export interface ClassifierModel {
  readonly config: ClassifierConfig;
  readonly inputSize: number;
  readonly channels: 1 | 3;
  readonly weightsFile: string;
  /** Divides the log-odds before they become probabilities; features know nothing of it. */
  readonly temperature: number;
}

export interface GeneratorModel {
  readonly config: GeneratorConfig;
  readonly image: Study['image'];
  readonly weightsFile: string;
  /** Class that a conditional generator is to make; absent for the generator of one class. */
  readonly label?: ClassSide;
}

/** Network whose features a metric compares. */
export type ExtractorModel =
  | { readonly kind: 'classifier'; readonly model: ClassifierModel }
  | { readonly kind: 'inception-2015'; readonly weightsFile: string };

export interface MeasureSnapshotTask {
  readonly extractor: ExtractorModel;
  /** Name of the metric and hash of the extractor's weights, as they are to stand beside the value. */
  readonly metric: Pick<SnapshotMetric, 'name' | 'weights'>;
  readonly reals: readonly LocalShard[];
  /** Null measures the floor: two halves of the reals against each other. */
  readonly generator: GeneratorModel | null;
  readonly fakes: number;
  readonly seed: number;
}

/** As {@link MeasureSnapshotTask}, with every metric, at a psi of choice. */
export interface MeasureQualityTask extends MeasureSnapshotTask {
  readonly psi: number;
}

export interface MeasureFilterTask {
  readonly extractor: ClassifierModel;
  readonly extractorName: string;
  readonly reals: readonly LocalShard[];
  /** All candidates. */
  readonly shards: readonly LocalShard[];
  /** Seeds, equally many. */
  readonly before: readonly number[];
  readonly after: readonly number[];
}

export interface SynthesizeShardsTask {
  readonly generator: GeneratorModel;
  readonly side: ClassSide;
  readonly className: string;
  readonly psi: number;
  /** At least one. */
  readonly shards: readonly SeedRange[];
  readonly batchSize: number;
  /** Written into each PNG. */
  readonly provenance: Readonly<Record<string, string>>;
}

/** A shard of fakes in the work directory. */
export interface SyntheticShardFiles extends LocalShard, SeedRange {
  readonly images: number;
}

/** A file in the work directory and the name under which it is to be stored. */
export interface NamedFile {
  readonly name: string;
  readonly file: string;
}

/** What every tool on a snapshot is given. */
export interface ToolTask {
  readonly generator: GeneratorModel;
  readonly className: string;
  /** Root of the constant noise maps: the study's seed. */
  readonly seed: number;
  /** Images per device pass, as the study's synthesis has it: the engine's rounding may depend on it. */
  readonly batchSize: number;
  /** Written into each PNG. */
  readonly provenance: Readonly<Record<string, string>>;
}

export interface ToolOutput {
  readonly files: readonly NamedFile[];
}

export interface GenerateImagesTask extends ToolTask {
  readonly seeds: readonly number[];
  readonly psi: number;
  readonly noise: NoiseMode;
}

export interface MixStylesTask extends ToolTask {
  readonly rowSeeds: readonly number[];
  readonly columnSeeds: readonly number[];
  /** Layers whose style comes from the column. */
  readonly columnStyles: readonly number[];
  readonly psi: number;
  readonly noise: Exclude<NoiseMode, 'seed'>;
}

export interface SweepTruncationTask extends ToolTask {
  readonly seeds: readonly number[];
  readonly psi: readonly number[];
  readonly noise: NoiseMode;
}

export interface InterpolateLatentsTask extends ToolTask {
  /** Keyframes; the film returns to the first. */
  readonly seeds: readonly number[];
  readonly framesBetween: number;
  readonly space: 'z' | 'w';
  readonly psi: number;
  readonly noise: Exclude<NoiseMode, 'seed'>;
  readonly frameMs: number;
}

export interface ProjectImageTask extends ToolTask {
  /** PNG of the generator's resolution and channels. */
  readonly targetFile: string;
  /** What the steps so far left, or null to start. */
  readonly stateFile: string | null;
  readonly steps: number;
  /** Run until this many steps are done. */
  readonly untilStep: number;
}

export interface ProjectImageOutput {
  readonly stateFile: string;
  /** Of the last step. */
  readonly distance: number;
  /** Images and w; empty before the last step. */
  readonly files: readonly NamedFile[];
}

export interface ScoreShardsTask {
  readonly model: ClassifierModel;
  readonly shards: readonly LocalShard[];
}

/** Scores in shard order, members in tar order: probability of the positive class. */
export interface ScoreShardsOutput {
  readonly scores: readonly { readonly member: string; readonly probability: number }[];
}

export interface EngineTasks {
  readonly describeEngine: { readonly input: Record<string, never>; readonly output: Fingerprint };
  readonly trainGenerator: { readonly input: TrainGeneratorTask; readonly output: TrainGeneratorOutput };
  readonly trainClassifier: { readonly input: TrainClassifierTask; readonly output: TrainClassifierOutput };
  readonly measureSnapshot: { readonly input: MeasureSnapshotTask; readonly output: SnapshotMetric };
  readonly measureQuality: { readonly input: MeasureQualityTask; readonly output: Measurement };
  readonly measureFilter: { readonly input: MeasureFilterTask; readonly output: FilterLoss | null };
  readonly synthesizeShards: { readonly input: SynthesizeShardsTask; readonly output: readonly SyntheticShardFiles[] };
  readonly generateImages: { readonly input: GenerateImagesTask; readonly output: ToolOutput };
  readonly mixStyles: { readonly input: MixStylesTask; readonly output: ToolOutput };
  readonly sweepTruncation: { readonly input: SweepTruncationTask; readonly output: ToolOutput };
  readonly interpolateLatents: { readonly input: InterpolateLatentsTask; readonly output: ToolOutput };
  readonly projectImage: { readonly input: ProjectImageTask; readonly output: ProjectImageOutput };
  readonly scoreShards: { readonly input: ScoreShardsTask; readonly output: ScoreShardsOutput };
}
export type EngineTaskName = keyof EngineTasks;

export type EnginePhase = 'load' | 'trace' | 'train' | 'checkpoint' | 'measure' | 'synthesize' | 'score';

/** A sign of life with meaning: what is done of what, in the unit of the task (nimg, images, epochs). */
export interface EngineProgress {
  readonly type: 'progress';
  readonly phase: EnginePhase;
  readonly done: number;
  readonly total: number;
}

/** Something for the log of the worker that a person should read. */
export interface EngineNotice {
  readonly type: 'notice';
  readonly level: 'info' | 'warn';
  readonly text: string;
}

/** A shard is whole; its files stay as they are while the task makes the next one. */
export interface SyntheticShardEvent {
  readonly type: 'syntheticShard';
  readonly shard: SyntheticShardFiles;
}

export type EngineEvent =
  | EngineProgress
  | EngineNotice
  | GeneratorCheckpointEvent
  | ClassifierCheckpointEvent
  | ClassifierRecoveryEvent
  | FeatureFileEvent
  | SyntheticShardEvent;

/** What a training or long task is given besides its input. */
export interface EngineContext {
  readonly settings: EngineSettings;
  /** Directory for output files; the caller owns and empties it. */
  readonly workDir: string;
  /** Aborted when the task should end at the next iteration, leaving a checkpoint. */
  readonly signal: AbortSignal;
  /** Longest that a training goes on without a checkpoint. Default: half an hour */
  readonly saveEveryMs?: number;
  /** May be awaited: an event with files resolves when the caller took them over. */
  readonly emit: (event: EngineEvent) => Promise<void>;
}

/** How an activity reaches the engine process of its worker. */
export interface EngineRunner {
  /**
   * Runs one task in a warm engine process of the same `group`, or a fresh one. Aborting `signal` asks the task to end at the
   * next iteration, leaving a checkpoint; the promise settles when it has.
   * Rejects with the task's error (its `name` kept), or when the process died or gave no sign of life for too long.
   */
  readonly run: <T extends EngineTaskName>(
    task: T,
    input: EngineTasks[T]['input'],
    options: {
      readonly settings: EngineSettings;
      readonly workDir: string;
      readonly group: string;
      readonly signal: AbortSignal;
      /** study, workflow, activity and attempt, on every log line of the engine process. */
      readonly labels: Readonly<Record<string, string | number>>;
      readonly onEvent: (event: EngineEvent) => Promise<void>;
    },
  ) => Promise<EngineTasks[T]['output']>;
}
