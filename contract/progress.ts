import type { StudyPlan } from './activities.ts';
import type { GammaTrial, SnapshotMetric } from './manifests.ts';

/** What the `progress` query answers and what children signal to their parent. */

export type StepState = 'waiting' | 'running' | 'paused' | 'done' | 'reused';

export interface StepProgress {
  /** e.g. `generator/benign`. */
  readonly step: string;
  readonly state: StepState;
  readonly done: number;
  readonly total: number;
  /** `kimg`, `epochs`, `images`, `shards`. */
  readonly unit: string;
  readonly detail: string;
  /** Queue that the step waits for because no worker polls it; null otherwise. */
  readonly idleQueue: string | null;
  /** Snapshots of a generator so far. */
  readonly snapshots: readonly ProgressSnapshot[];
  /** What the step waits for a person to decide; absent or null when it does not. */
  readonly awaiting?: string | null;
  /** Of a generator that chooses its R1 weight: the trials that have ended, and the choice once it is made. */
  readonly gammaSweep?: { readonly trials: readonly GammaTrial[]; readonly chosen: number | null };
}

/**
 * What a step signals to its study: its progress, but of the snapshots those that are new or changed. Each signal stays in two
 * histories, and all snapshots in each would pass Temporal's limit for a history in a long training.
 */
export interface StepReport extends Omit<StepProgress, 'snapshots'> {
  /** Those after the first `keptSnapshots`; absent when all are as before. */
  readonly snapshots?: readonly ProgressSnapshot[];
  /** How many stand as they were signalled before. Default: 0 */
  readonly keptSnapshots?: number;
}

export interface ProgressSnapshot {
  readonly nimg: number;
  readonly sha256: string;
  readonly metric: SnapshotMetric | null;
}

export interface StudyProgress {
  readonly studyId: string;
  readonly stage: string;
  readonly paused: string | null;
  /** What the study waits for a person to decide; null when it does not. */
  readonly awaiting: string | null;
  readonly steps: readonly StepProgress[];
  readonly plan: StudyPlan | null;
}

/** Result of a finished study. */
export interface StudyResult {
  readonly studyId: string;
  /** Where the report lies in the bucket. */
  readonly reportPrefix: string;
  readonly report: string;
  readonly results: string;
}

export interface PauseRequest {
  readonly reason: string;
}

export interface ApproveSnapshotRequest {
  /** Class folder, as in the study file. */
  readonly class: string;
  readonly sha256: string;
  readonly by: string;
}

export interface ExtendTrainingRequest {
  readonly totalKimg: number;
}

export interface StopTrainingRequest {
  readonly reason: string;
}

export interface ResumeTrainingRequest {
  readonly reason: string;
}
