import type { TrainingTrouble } from '../../contract/engine.ts';
import type { BlobRef } from '../../contract/refs.ts';
import type { GeneratorState } from '../../contract/training-state.ts';
import { growsAlike } from './diversity.ts';

/**
 * What happens to a training that has diverged or collapsed: it goes back to the last good checkpoint and on from there with
 * other random draws, twice; then a person decides. Every checkpoint that counts is a good one (train.ts).
 */

/** Roll-backs that a training makes by itself, and again after each decision to go on. */
const freeRollBacks = 2;

/** A troubled training may roll back when it has done so less than twice since a person last decided. */
export const mayRollBack = ({ rollBacks = [] }: GeneratorState, resumes: number): boolean =>
  rollBacks.length < freeRollBacks * (1 + resumes);

/**
 * The state at the checkpoint to go on from, and the files that no longer belong to it: the last one that counts; where the
 * training has gone back to that before, the one before it. Null before the first checkpoint.
 */
export function rolledBack(
  state: GeneratorState,
  { nimg, reason }: TrainingTrouble,
): { readonly state: GeneratorState; readonly dropped: readonly BlobRef[] } | null {
  const { trouble, rollBacks = [], ...rest } = state;
  const whole = state.kept.filter(({ snapshot }) => snapshot !== null);
  const visited = new Set(rollBacks.map(({ toNimg }) => toNimg));
  const target = whole.findLast(({ at }) => !visited.has(at)) ?? whole[0];
  if (target === undefined) return null;
  const until = target.at;
  const kept = state.kept.filter(({ at, snapshot }) => at < until || (at === until && snapshot !== null));
  const names = new Set(kept.map(({ file }) => file.sha256));
  return {
    state: {
      ...rest,
      nimg: until,
      checkpoint: target.file,
      kept,
      complete: true,
      ticks: state.ticks.filter((tick) => tick.nimg <= until),
      snapshots: state.snapshots.filter((snapshot) => snapshot.nimg <= until),
      events: state.events.slice(0, target.events),
      rollBacks: [...rollBacks, { fromNimg: nimg, toNimg: until, reason }],
    },
    dropped: state.kept.map(({ file }) => file).filter(({ sha256 }) => !names.has(sha256)),
  };
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
