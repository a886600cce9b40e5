import type { TrainingTrouble } from '../../contract/engine.ts';
import type { BlobRef } from '../../contract/refs.ts';
import type { GeneratorState } from '../../contract/training-state.ts';
import { growsAlike } from './diversity.ts';

/**
 * What happens to a training that has diverged or collapsed: it goes back to the last good checkpoint and on from there with
 * other random draws, twice; then a person decides. Good is one at which no update was being skipped: a run of skips may be the
 * beginning of a divergence. What collapsed is never committed (train.ts).
 */

/** Roll-backs that a training makes by itself, and again after each decision to go on. */
const freeRollBacks = 2;

/** A troubled training may roll back when it has done so less than twice since a person last decided. */
export const mayRollBack = ({ rollBacks = [] }: GeneratorState, resumes: number): boolean =>
  rollBacks.length < freeRollBacks * (1 + resumes);

type RollBacks = NonNullable<GeneratorState['rollBacks']>;

/**
 * The roll-backs since a person last decided: one decides whenever a training has used two. Counted by the training's own past,
 * so that a run which knows of the decision from the start does the same.
 */
const sinceDecision = (rollBacks: RollBacks): RollBacks =>
  rollBacks.slice(rollBacks.length - (rollBacks.length % freeRollBacks));

type Kept = GeneratorState['kept'][number];

/** Checkpoints that a training may go back to, oldest first: made with a snapshot while no update was being skipped. */
const goodOnes = ({ kept }: GeneratorState): Kept[] =>
  kept.filter(({ snapshot, skipping = false }) => snapshot !== null && !skipping);

/** A state, and the files that no longer belong to it. */
interface Earlier {
  readonly state: GeneratorState;
  readonly dropped: readonly BlobRef[];
}

/** The state as it was at a kept checkpoint, but for what is remembered of its troubles. */
function stateAt(state: GeneratorState, { at, file, events }: Kept): Earlier {
  const kept = state.kept.filter((other) => other.at < at || (other.at === at && other.snapshot !== null));
  const names = new Set(kept.map((other) => other.file.sha256));
  return {
    state: {
      ...state,
      nimg: at,
      checkpoint: file,
      kept,
      complete: true,
      ticks: state.ticks.filter((tick) => tick.nimg <= at),
      snapshots: state.snapshots.filter((snapshot) => snapshot.nimg <= at),
      events: state.events.slice(0, events),
    },
    dropped: state.kept.map((other) => other.file).filter(({ sha256 }) => !names.has(sha256)),
  };
}

/**
 * The state at the checkpoint to go on from: the last good one; where the training has gone back to that since a person
 * last decided, the one before it. What a person chose to go on from is never given up: where that would happen the training
 * tries the last good one once more. Null before the first checkpoint.
 */
export function rolledBack(state: GeneratorState, { nimg, reason }: TrainingTrouble): Earlier | null {
  const { trouble, rollBacks = [], ...rest } = state;
  const recent = sinceDecision(rollBacks).map(({ toNimg }) => toNimg);
  const chosen = rollBacks.length < freeRollBacks ? 0 : (recent[0] ?? 0);
  const targets = goodOnes(state).filter(({ at }) => at >= chosen);
  const target = targets.findLast(({ at }) => !recent.includes(at)) ?? targets.at(-1);
  if (target === undefined) return null;
  const { state: earlier, dropped } = stateAt(rest, target);
  return { state: { ...earlier, rollBacks: [...rollBacks, { fromNimg: nimg, toNimg: target.at, reason }] }, dropped };
}

/**
 * The state in which a troubled training waits for a person: at its last good checkpoint, where it will go on or end. What
 * was saved on the way after that depends on pauses. Null when it stands there.
 */
export function awaitingDecision(state: GeneratorState): Earlier | null {
  const last = goodOnes(state).at(-1);
  return last === undefined || last.file.sha256 === state.checkpoint?.sha256 ? null : stateAt(state, last);
}

/** Diversity of each trained snapshot that has more than one image. */
function diversities({ snapshots }: GeneratorState): number[] {
  return snapshots.flatMap(({ nimg, msSsim }) => (nimg === 0 || msSsim === undefined ? [] : [1 - msSsim]));
}

export const mostDiverse = (state: GeneratorState): number => Math.max(0, ...diversities(state));

/** Ticks in a row that D must know nearly all its reals by heart before anybody is told, and the r_t from which it does. */
const overfit = { ticks: 3, rt: 0.9 } as const;

/** What a person should know of a training that goes on: skipped updates, roll-backs, over-fitting, images that grow alike. */
export function describeTraining(state: GeneratorState): string[] {
  const notes: string[] = [];
  const counts = state.ticks.flatMap(({ skipped = {} }) => Object.values(skipped));
  const skipped = counts.reduce((sum, count) => sum + count, 0);
  if (skipped > 0) notes.push(`${skipped} updates skipped because a loss or gradient was not finite`);
  for (const { fromNimg, toNimg, reason } of state.rollBacks ?? [])
    notes.push(`went back from ${fromNimg / 1000} to ${toNimg / 1000} kimg, on with other draws: ${reason}`);
  const last = state.ticks.slice(-overfit.ticks).map(({ rt }) => rt ?? 0);
  if (last.length === overfit.ticks && Math.min(...last) >= overfit.rt)
    notes.push(`D over-fits: r_t ${(last.at(-1) ?? 0).toFixed(2)}; generator.augment "ada" is made for that`);
  const diverse = diversities(state);
  const fakes = diverse.at(-1);
  const best = Math.max(0, ...diverse);
  if (fakes !== undefined && growsAlike({ fakes, best }))
    notes.push(`images grow alike: MS-SSIM ${(1 - fakes).toFixed(3)}, once ${(1 - best).toFixed(3)}`);
  return notes;
}
