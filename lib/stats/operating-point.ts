import type { OperatingPoint } from '../../contract/manifests.ts';
import type { Study } from '../../contract/study.ts';
import { at } from './at.ts';
import type { BinaryScores } from './binary-scores.ts';
import { confusionAt, confusionRates } from './confusion.ts';
import { rocCurve } from './roc-curve.ts';

export type OperatingPointRule = Pick<Study['evaluation'], 'operatingPoint' | 'targetSensitivity'>;

/**
 * The probability from which an image is called positive, chosen on validation images and never on those of the test:
 * - `half`: 0.5, whatever they say;
 * - `youden`: the largest Youden index, sensitivity + specificity - 1; of equal ones that of the higher sensitivity, because a
 *   missed disease costs more;
 * - `sensitivity`: the highest threshold whose sensitivity is at least the target, hence the best specificity.
 * A chosen threshold lies half way between two neighbouring scores, or on the upper one when no number lies between them; below
 * the lowest score it is 0.
 *
 * Throws RangeError when a class is missing. Source: Youden 1950; midpoints as in pROC.
 */
export function chooseOperatingPoint(validation: BinaryScores, rule: OperatingPointRule): OperatingPoint {
  const threshold = rule.operatingPoint === 'half' ? 0.5 : chosenThreshold(validation, rule);
  const { sensitivity, specificity } = confusionRates(confusionAt({ ...validation, threshold }), 0.95);
  return {
    rule: rule.operatingPoint,
    threshold,
    validation: { images: validation.scores.length, sensitivity: sensitivity.value, specificity: specificity.value },
  };
}

function chosenThreshold(validation: BinaryScores, { operatingPoint, targetSensitivity }: OperatingPointRule): number {
  const scores = [...new Set(validation.scores)].sort((a, b) => b - a);
  // The first point calls nothing positive; from then on point k calls everything from scores[k] on positive.
  const points = rocCurve(validation).slice(1);
  let chosen = points.findIndex(({ sensitivity }) => sensitivity >= targetSensitivity);
  if (operatingPoint === 'youden') {
    const youden = points.map(({ sensitivity, falsePositiveRate }) => sensitivity - falsePositiveRate);
    // Counts divided by two numbers: equal indices may differ in their last bits.
    const best = Math.max(...youden) - 1e-12;
    chosen = youden.findLastIndex((index) => index >= best);
  }
  const score = at(scores, chosen);
  const next = scores[chosen + 1];
  if (next === undefined) return 0;
  const middle = (score + next) / 2;
  return middle > next ? middle : score;
}
