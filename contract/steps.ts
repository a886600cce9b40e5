import type { Decision, ResolvedStudy } from './activities.ts';
import type {
  ClassifierManifest,
  ClassSide,
  DatasetManifest,
  FilteredSetManifest,
  GeneratorManifest,
  PerClass,
  RefTo,
  Snapshot,
  SyntheticSetManifest,
  SyntheticShard,
} from './manifests.ts';
import type { ClassifierTraining, PerVariant } from './names.ts';
import type { EvaluationManifest } from './manifests.ts';
import type { ReportSources } from './activities.ts';

/** Inputs of the child workflows: the resolved study and references to what earlier steps produced. */

export interface PrepareDatasetInput {
  readonly resolved: ResolvedStudy;
}

export interface TrainClassifierInput extends ClassifierTraining {
  readonly resolved: ResolvedStudy;
  readonly images: RefTo<DatasetManifest> | RefTo<FilteredSetManifest>;
}

export interface TrainGeneratorInput {
  readonly resolved: ResolvedStudy;
  readonly side: ClassSide;
  readonly dataset: RefTo<DatasetManifest>;
  readonly classifier: RefTo<ClassifierManifest>;
  /** Decisions of earlier executions that concern this class. */
  readonly decisions: readonly Decision[];
  /**
   * In a conditional study: that the generator of the other class was taken from another study, so that this step trains both.
   * Absent otherwise.
   */
  readonly trainsBoth?: boolean;
  /** A trial of a sweep with this R1 weight; absent for the training itself. */
  readonly gamma?: number;
}

export interface SynthesizeInput {
  readonly resolved: ResolvedStudy;
  readonly side: ClassSide;
  readonly snapshot: Snapshot;
  readonly chosenBy: SyntheticSetManifest['chosenBy'];
}

export interface FilterSyntheticInput {
  readonly resolved: ResolvedStudy;
  readonly dataset: RefTo<DatasetManifest>;
  readonly classifier: RefTo<ClassifierManifest>;
  /** Further repeats of it, whose answers count as much; absent unless the rule is `ensemble`. */
  readonly ensemble?: readonly RefTo<ClassifierManifest>[];
  readonly synthetic: PerClass<SyntheticSource>;
}

export interface SyntheticSource {
  readonly manifest: RefTo<SyntheticSetManifest>;
  readonly snapshot: Snapshot;
  readonly shards: readonly SyntheticShard[];
}

export interface EvaluateModelsInput {
  readonly resolved: ResolvedStudy;
  readonly dataset: RefTo<DatasetManifest>;
  readonly models: PerVariant<RefTo<ClassifierManifest>>;
  /** Repeats 1, 2, ... of both, equally many; absent when the study has one. */
  readonly repeats?: PerVariant<readonly RefTo<ClassifierManifest>[]>;
  readonly filtered: RefTo<FilteredSetManifest>;
}

export interface PublishReportInput {
  readonly resolved: ResolvedStudy;
  readonly sources: ReportSources;
}

export interface SynthesizeResult {
  readonly manifest: RefTo<SyntheticSetManifest>;
  readonly shards: readonly SyntheticShard[];
}

export type { EvaluationManifest, GeneratorManifest };
