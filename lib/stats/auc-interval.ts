import type { Estimate, Interval } from '../../contract/manifests.ts';
import { countClasses, type BinaryScores } from './binary-scores.ts';
import { delongVariance } from './delong.ts';
import { zOfLevel } from './normal.ts';
import { rocAuc } from './roc-auc.ts';

/**
 * AUC with its interval; null when one class is missing (the AUC does not exist). Interval by the first rule that applies:
 * - perfect separation (AUC 0 or 1, where the DeLong variance is zero): an exact bound, see {@link perfectAucInterval};
 * - fewer than two images in a class, or zero variance (all scores equal): null;
 * - otherwise DeLong on the logit scale, which stays inside (0, 1) and covers better near 1 than the Wald interval.
 */
export function aucEstimate(input: BinaryScores & { readonly level: number }): Estimate | null {
  const { cases, controls } = countClasses(input, 'aucEstimate');
  if (cases === 0 || controls === 0) return null;
  const auc = rocAuc(input);
  if (auc === 0 || auc === 1)
    return { value: auc, ci: perfectAucInterval({ auc, cases, controls, level: input.level }) };
  if (cases < 2 || controls < 2) return { value: auc, ci: null };
  const { standardError } = delongVariance(input);
  return { value: auc, ci: standardError === 0 ? null : logitInterval({ auc, standardError, level: input.level }) };
}

/** Interval of log(AUC / (1 - AUC)) by the delta method, transformed back. Source: Pepe 2003, section 5.2. */
export function logitInterval(args: {
  readonly auc: number;
  readonly standardError: number;
  readonly level: number;
}): Interval {
  const { auc, standardError, level } = args;
  const centre = Math.log(auc / (1 - auc));
  const half = (zOfLevel(level) * standardError) / (auc * (1 - auc));
  const back = (x: number): number => 1 / (1 + Math.exp(-x));
  return { lower: back(centre - half), upper: back(centre + half), level, method: 'DeLong, logit' };
}

/**
 * Interval when cases and controls do not overlap. min(cases, controls) disjoint case-control pairs are independent trials
 * that each succeed with probability AUC; all of them did, so the Clopper-Pearson limit (alpha / 2)^(1 / pairs) is a valid,
 * conservative bound, where a bootstrap or a variance would promise a certain AUC of 1.
 */
export function perfectAucInterval(args: {
  readonly auc: 0 | 1;
  readonly cases: number;
  readonly controls: number;
  readonly level: number;
}): Interval {
  const pairs = Math.min(args.cases, args.controls);
  const limit = ((1 - args.level) / 2) ** (1 / pairs);
  const method = `exact bound from ${pairs} disjoint pairs (perfect separation)`;
  return args.auc === 1
    ? { lower: limit, upper: 1, level: args.level, method }
    : { lower: 0, upper: 1 - limit, level: args.level, method };
}
