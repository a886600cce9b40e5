import { at } from './at.ts';

/** Ranks from 1 in the given order of values; tied values share the mean of their ranks. O(n log n). */
export function midranks(values: readonly number[]): number[] {
  const order = values.map((_, i) => i).sort((a, b) => at(values, a) - at(values, b));
  const ranks = new Array<number>(values.length).fill(0);
  for (let start = 0; start < order.length;) {
    let end = start;
    while (end < order.length && at(values, at(order, end)) === at(values, at(order, start))) end++;
    for (let k = start; k < end; k++) ranks[at(order, k)] = (start + 1 + end) / 2;
    start = end;
  }
  return ranks;
}
