import { normalCdf, normalQuantile } from './normal.ts';

export interface NonInferiorityResult {
  readonly margin: number;
  readonly z: number;
  /** One-sided. */
  readonly p: number;
  readonly nonInferior: boolean;
  /** Margin that a test set with this standard error shows with 80% power when the two models are truly equal. */
  readonly smallestMargin: number;
}

/** Chance that {@link smallestMargin} speaks of; the customary planning value. */
export const plannedPower = 0.8;

/**
 * Smallest margin that could have been shown: (z of 1 - alpha + z of the power) standard errors, for models of equal AUC.
 * A property of the test set and the models' spread, not of the observed difference. Source: evaluation.md 3.1, power.
 */
export function smallestMargin({
  standardError,
  alpha,
}: {
  readonly standardError: number;
  readonly alpha: number;
}): number {
  return (normalQuantile(1 - alpha) + normalQuantile(plannedPower)) * standardError;
}

/**
 * Non-inferiority of the model trained on synthetic images: rejects "its AUC is lower by `margin` or more" at one-sided
 * level alpha. `difference` is AUC real - AUC synthetic with its DeLong standard error. The margin must have been fixed
 * before the test set was opened.
 *
 * Throws RangeError when the standard error is not positive: there is no test then.
 */
export function nonInferiority(args: {
  readonly difference: number;
  readonly standardError: number;
  readonly margin: number;
  readonly alpha: number;
}): NonInferiorityResult {
  const { difference, standardError, margin, alpha } = args;
  if (!(standardError > 0))
    throw new RangeError(`nonInferiority requires a standard error above 0, got ${standardError}`);
  if (!(margin > 0)) throw new RangeError(`nonInferiority requires a margin above 0, got ${margin}`);
  const z = (margin - difference) / standardError;
  const p = normalCdf(-z);
  return { margin, z, p, nonInferior: p < alpha, smallestMargin: smallestMargin({ standardError, alpha }) };
}
