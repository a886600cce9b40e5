import type { Estimate } from '../../contract/manifests.ts';
import { at } from './at.ts';
import { countClasses, type BinaryScores } from './binary-scores.ts';
import { wilson } from './wilson.ts';

export interface Confusion {
  readonly tp: number;
  readonly fp: number;
  readonly tn: number;
  readonly fn: number;
}

/** Decisions at a threshold fixed beforehand: a score of at least `threshold` is called positive. */
export function confusionAt(input: BinaryScores & { readonly threshold: number }): Confusion {
  countClasses(input, 'confusionAt');
  const counts = { tp: 0, fp: 0, tn: 0, fn: 0 };
  input.scores.forEach((score, i) => {
    const called = score >= input.threshold;
    if (at(input.labels, i) === 1) counts[called ? 'tp' : 'fn']++;
    else counts[called ? 'fp' : 'tn']++;
  });
  return counts;
}

export interface ConfusionRates {
  readonly accuracy: Estimate;
  readonly sensitivity: Estimate;
  readonly specificity: Estimate;
  readonly f1: Estimate;
}

/**
 * Accuracy, sensitivity, specificity (Wilson intervals) and F1 of the positive class. F1 = 2q / (1 + q) rises with the
 * proportion q = TP / (TP + FP + FN), so its interval is the Wilson interval of q, transformed.
 *
 * Throws RangeError when one class is missing: its rate would be 0 / 0. Source for F1: Lam et al. 2023, "Wilson indirect".
 */
export function confusionRates({ tp, fp, tn, fn }: Confusion, level: number): ConfusionRates {
  const share = (successes: number, trials: number): Estimate => ({
    value: successes / trials,
    ci: wilson({ successes, trials, level }),
  });
  if (tp + fn === 0 || tn + fp === 0)
    throw new RangeError(
      `confusionRates requires both classes, got ${tp + fn} positive and ${tn + fp} negative images`,
    );
  const f1Of = (q: number): number => (2 * q) / (1 + q);
  const q = wilson({ successes: tp, trials: tp + fp + fn, level });
  return {
    accuracy: share(tp + tn, tp + fp + tn + fn),
    sensitivity: share(tp, tp + fn),
    specificity: share(tn, tn + fp),
    f1: {
      value: f1Of(tp / (tp + fp + fn)),
      ci: { lower: f1Of(q.lower), upper: f1Of(q.upper), level, method: 'Wilson of TP/(TP+FP+FN), transformed' },
    },
  };
}
