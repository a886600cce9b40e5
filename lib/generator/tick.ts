import type { TickRecord, UpdateCounts } from '../../contract/manifests.ts';
import type { TickSums } from './checkpoint.ts';

/** Means over one tick. Sums travel in the checkpoint, so an interrupted tick gives the record of an uninterrupted one. */

export type TickMetric = Exclude<keyof TickRecord, 'tick' | 'nimg' | 'skipped'>;

const metrics = [
  'lossG',
  'lossD',
  'scoresReal',
  'scoresFake',
  'r1Penalty',
  'pathLength',
  'plPenalty',
  'rt',
  'augmentP',
] as const satisfies readonly TickMetric[];

export const emptyTick: TickSums = { sums: {}, last: {} };

/** Adds one iteration's values; lazily computed ones are absent from most. */
export function addToTick(tick: TickSums, values: Readonly<Partial<Record<TickMetric, number>>>): TickSums {
  const sums: Record<string, readonly [number, number]> = { ...tick.sums };
  for (const [name, value] of Object.entries(values)) {
    const [sum, count] = sums[name] ?? [0, 0];
    sums[name] = [sum + value, count + 1];
  }
  return { ...tick, sums };
}

/** The record of a tick that ends at `nimg` and in which `skipped` updates were skipped, and the empty tick that follows. */
export function endTick(
  tick: TickSums,
  options: { readonly nimg: number; readonly tickNimg: number; readonly skipped: UpdateCounts },
): { readonly record: TickRecord; readonly next: TickSums } {
  const meanOf = (name: TickMetric): number => {
    const [sum, count] = tick.sums[name] ?? [0, 0];
    // No regulariser ran in this tick (or ever, when switched off): the last known mean, or 0.
    return count > 0 ? sum / count : (tick.last[name] ?? 0);
  };
  // All metrics are listed above, checked by the tick test.
  const means = Object.fromEntries(metrics.map((name) => [name, meanOf(name)])) as Record<TickMetric, number>;
  const { nimg, tickNimg, skipped } = options;
  const skips = Object.keys(skipped).length > 0 ? { skipped } : {};
  return { record: { tick: Math.ceil(nimg / tickNimg), nimg, ...means, ...skips }, next: { sums: {}, last: means } };
}
