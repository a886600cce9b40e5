import { at } from './at.ts';
import { countClasses, type BinaryScores } from './binary-scores.ts';

export interface RocPoint {
  readonly falsePositiveRate: number;
  readonly sensitivity: number;
}

/**
 * Receiver operating characteristic curve: one point per distinct score used as threshold (`score >= threshold` is called
 * positive), from (0, 0) to (1, 1). The trapezoid area under it is {@link rocAuc}. O(n log n).
 *
 * Throws RangeError when one class is missing.
 */
export function rocCurve(input: BinaryScores): RocPoint[] {
  const { cases, controls } = countClasses(input, 'rocCurve');
  if (cases === 0 || controls === 0)
    throw new RangeError(`rocCurve requires at least one case and one control, got ${cases} and ${controls}`);
  const { scores, labels } = input;
  const order = scores.map((_, i) => i).sort((a, b) => at(scores, b) - at(scores, a));
  const points: RocPoint[] = [{ falsePositiveRate: 0, sensitivity: 0 }];
  let truePositives = 0;
  let falsePositives = 0;
  order.forEach((index, k) => {
    if (at(labels, index) === 1) truePositives++;
    else falsePositives++;
    const next = order[k + 1];
    if (next === undefined || at(scores, next) !== at(scores, index))
      points.push({ falsePositiveRate: falsePositives / controls, sensitivity: truePositives / cases });
  });
  return points;
}
