import type { UpdateCounts, UpdateName } from '../../contract/manifests.ts';

/**
 * Updates that were skipped because a loss or gradient was not finite: the original skips and counts them (stylegan2.md 3.3).
 * A single one does no harm; an update that is skipped again and again says that the training has diverged.
 */
export interface Skips {
  /** Since the last tick end. */
  readonly inTick: UpdateCounts;
  /** Without one that was made in between. */
  readonly inRow: UpdateCounts;
}

/** Which updates an iteration wanted, and whether each was skipped. */
export type SkippedUpdates = Readonly<Partial<Record<UpdateName, boolean>>>;

export const noSkips: Skips = { inTick: {}, inRow: {} };

/** False for a training in good order, whose checkpoints then say nothing of it. */
export const hasSkips = ({ inTick, inRow }: Skips): boolean => Object.keys({ ...inTick, ...inRow }).length > 0;

/** Whether an update was skipped when it was last due: the training may be diverging, and its state is none to go back to. */
export const isSkipping = ({ inRow }: Skips): boolean => Object.keys(inRow).length > 0;

/** Skips in a row of one update from which a training has diverged. Weights that are skipped stay, so the next one fails, too. */
export const divergedAfter = 16;

export function countSkips(skips: Skips, iteration: SkippedUpdates): Skips {
  const after = (counts: UpdateCounts, whenMade: (count: number) => number): UpdateCounts => {
    const next = Object.entries(iteration).map(([key, skipped]) => {
      const count = counts[key as UpdateName] ?? 0; // a key of SkippedUpdates
      return [key, skipped ? count + 1 : whenMade(count)] as const;
    });
    // Without zeros: equal counts are equal bytes in a checkpoint.
    const all: Record<string, number> = { ...counts, ...Object.fromEntries(next) };
    return Object.fromEntries(Object.entries(all).filter(([, count]) => count > 0));
  };
  return { inTick: after(skips.inTick, (count) => count), inRow: after(skips.inRow, () => 0) };
}

/** The update that has been skipped too often in a row, or null. */
export function stuckUpdate({ inRow }: Skips): UpdateName | null {
  const stuck = Object.entries(inRow).find(([, count]) => count >= divergedAfter);
  return stuck === undefined ? null : (stuck[0] as UpdateName); // a key of UpdateCounts
}
