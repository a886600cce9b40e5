import { at } from './at.ts';
import { countClasses, type BinaryScores } from './binary-scores.ts';

/**
 * Logarithmic loss (negative mean log-likelihood, nats) of log-odds of the positive class: mean of log(1 + exp(-s x)) with
 * s = 1 for a case and -1 for a control. From log-odds and not from probabilities, so that a sure error costs what it should
 * and never infinity. 0 is perfect, log 2 is always saying one half.
 *
 * Throws RangeError without images. Source: Good 1952.
 */
export function logLoss(input: BinaryScores): number {
  countClasses(input, 'logLoss');
  if (input.scores.length === 0) throw new RangeError('logLoss requires at least one image');
  const sum = input.scores.reduce((total, logOdds, i) => {
    const wrong = at(input.labels, i) === 1 ? -logOdds : logOdds;
    return total + Math.max(0, wrong) + Math.log1p(Math.exp(-Math.abs(wrong)));
  }, 0);
  return sum / input.scores.length;
}
