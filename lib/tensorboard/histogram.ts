import type { EventHistogram } from './event-file.ts';

/** As many as TensorBoard draws. */
const buckets = 30;

/** Histogram of finite values in buckets of equal width from the smallest to the largest; one bucket where all are equal. */
export function histogramOf(values: Float32Array): EventHistogram {
  if (values.length === 0) throw new RangeError('histogramOf expects at least one value, got none');
  let [min, max, sum, sumOfSquares] = [Infinity, -Infinity, 0, 0];
  for (const value of values) {
    min = Math.min(min, value);
    max = Math.max(max, value);
    sum += value;
    sumOfSquares += value * value;
  }
  const width = (max - min) / buckets;
  const counts = new Array<number>(width === 0 ? 1 : buckets).fill(0);
  for (const value of values) {
    const bucket = width === 0 ? 0 : Math.min(Math.floor((value - min) / width), buckets - 1);
    counts[bucket] = (counts[bucket] ?? 0) + 1;
  }
  const limits = counts.map((_, i) => (i === counts.length - 1 ? max : min + (i + 1) * width));
  return { min, max, count: values.length, sum, sumOfSquares, limits, counts };
}
