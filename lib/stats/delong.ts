import { at } from './at.ts';
import { countClasses, type BinaryScores } from './binary-scores.ts';
import { midranks } from './midranks.ts';
import { normalTwoSidedP, zOfLevel } from './normal.ts';
import { rocAuc } from './roc-auc.ts';

export interface DelongVariance {
  readonly auc: number;
  /** Of the AUC. */
  readonly variance: number;
  readonly standardError: number;
}

export interface PairedScores {
  readonly scoresA: readonly number[];
  readonly scoresB: readonly number[];
  readonly labels: readonly number[];
}

export interface DelongResult {
  readonly aucA: number;
  readonly aucB: number;
  /** AUC A - AUC B. */
  readonly difference: number;
  readonly standardError: number;
  readonly covariance: number;
  /** Null when the difference is not zero but its variance is: no normal test exists then. */
  readonly z: number | null;
  /** Two-sided; null with z. */
  readonly p: number | null;
  /** Wald interval of the difference, cut to [-1, 1]; null when the variance is zero. */
  readonly ci: { readonly lower: number; readonly upper: number } | null;
}

/** Placement values: per case the share of controls below it, per control the share of cases above it. */
interface Placements {
  readonly auc: number;
  readonly cases: readonly number[];
  readonly controls: readonly number[];
}

function placements(input: BinaryScores, caller: string): Placements {
  const { cases: m, controls: n } = countClasses(input, caller);
  if (m < 2 || n < 2) throw new RangeError(`${caller} requires at least two cases and two controls, got ${m} and ${n}`);
  const { scores, labels } = input;
  const all = midranks(scores);
  const ofClass = (label: number): { own: number[]; all: number[] } => ({
    own: midranks(scores.filter((_, i) => at(labels, i) === label)),
    all: all.filter((_, i) => at(labels, i) === label),
  });
  const positive = ofClass(1);
  const negative = ofClass(0);
  const cases = positive.all.map((rank, i) => (rank - at(positive.own, i)) / n);
  const controls = negative.all.map((rank, j) => 1 - (rank - at(negative.own, j)) / m);
  return { auc: rocAuc(input), cases, controls };
}

/** Sample covariance with divisor n - 1. */
function covarianceOf(a: readonly number[], b: readonly number[]): number {
  const meanA = a.reduce((sum, x) => sum + x, 0) / a.length;
  const meanB = b.reduce((sum, x) => sum + x, 0) / b.length;
  return a.reduce((sum, x, i) => sum + (x - meanA) * (at(b, i) - meanB), 0) / (a.length - 1);
}

function aucCovariance(a: Placements, b: Placements): number {
  return covarianceOf(a.cases, b.cases) / a.cases.length + covarianceOf(a.controls, b.controls) / a.controls.length;
}

/** Rounding leaves variances of about 1e-33 where the exact value is zero. */
function cutRounding(variance: number): number {
  return variance < 1e-20 ? 0 : variance;
}

/**
 * DeLong variance of one AUC, by midranks. Answers: how far could this AUC be from the model's true one, given this many
 * independent images? Not for repeated images of one patient (use {@link bootstrapAuc}). Perfect separation and equal scores
 * give zero. O(n log n).
 *
 * Throws RangeError with fewer than two cases or controls. Source: DeLong 1988; Sun and Xu 2014, eq. 4-8.
 */
export function delongVariance(input: BinaryScores): DelongVariance {
  const placed = placements(input, 'delongVariance');
  const variance = cutRounding(aucCovariance(placed, placed));
  return { auc: placed.auc, variance, standardError: Math.sqrt(variance) };
}

/**
 * Paired DeLong test: do two models differ in AUC on the same images? Not evidence of equality when it does not reject; see
 * {@link nonInferiority}. Zero difference with zero variance gives z = 0, p = 1. `level` of the interval: Default: 0.95.
 *
 * Throws RangeError with fewer than two cases or controls. Source: DeLong 1988; Sun and Xu 2014.
 */
export function delongTest({
  scoresA,
  scoresB,
  labels,
  level = 0.95,
}: PairedScores & { readonly level?: number }): DelongResult {
  const a = placements({ scores: scoresA, labels }, 'delongTest');
  const b = placements({ scores: scoresB, labels }, 'delongTest');
  const covariance = aucCovariance(a, b);
  const standardError = Math.sqrt(cutRounding(aucCovariance(a, a) + aucCovariance(b, b) - 2 * covariance));
  // AUCs are multiples of 1/(2mn): a smaller difference is rounding.
  const difference = Math.abs(a.auc - b.auc) < 1e-12 ? 0 : a.auc - b.auc;
  const common = { aucA: a.auc, aucB: b.auc, difference, standardError, covariance };
  if (standardError === 0)
    return { ...common, ...(difference === 0 ? { z: 0, p: 1 } : { z: null, p: null }), ci: null };
  const z = difference / standardError;
  const half = zOfLevel(level) * standardError;
  const ci = { lower: Math.max(-1, difference - half), upper: Math.min(1, difference + half) };
  return { ...common, z, p: normalTwoSidedP(z), ci };
}
