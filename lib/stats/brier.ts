import { at } from './at.ts';
import { countClasses, type BinaryScores } from './binary-scores.ts';

/**
 * Brier score: mean squared distance of the probability of the positive class to the label. 0 is perfect, 0.25 is always
 * saying one half. Throws RangeError without images or on scores outside [0, 1]. Source: Brier 1950.
 */
export function brier(input: BinaryScores): number {
  countClasses(input, 'brier');
  if (input.scores.length === 0) throw new RangeError('brier requires at least one image');
  const bad = input.scores.find((score) => score < 0 || score > 1);
  if (bad !== undefined) throw new RangeError(`brier requires probabilities in [0, 1], got ${bad}`);
  const sum = input.scores.reduce((total, score, i) => total + (score - at(input.labels, i)) ** 2, 0);
  return sum / input.scores.length;
}
