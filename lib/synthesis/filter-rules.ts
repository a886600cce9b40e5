import type { ClassSide, VerdictReason } from '../../contract/manifests.ts';
import { decidingRule, quantileCount } from '../../contract/plan.ts';
import type { Study } from '../../contract/study.ts';

/**
 * The rules by which the classifier trained on reals lets a fake pass. Each looks at the probability p of the class that the
 * fake was generated for:
 *
 * - `argmax`: that class is the likelier one (the rule of the reference study; a tie goes to the negative class);
 * - `threshold`: p is at least `filter.threshold`;
 * - `entropy`: that class is the likelier one and the answer is sure, -p log2 p - (1 - p) log2 (1 - p) <= `filter.entropyBits`;
 * - `quantile`: p is among the largest `filter.quantile` of all candidates of the class, whatever its value: ties go to the
 *   smaller seed, and ceil(quantile * candidates) pass;
 * - `ensemble`: the mean of p over all repeats of the classifier passes `filter.ensembleRule`, one of the above.
 */
export type FilterRule = Pick<Study['filter'], 'rule' | 'ensembleRule' | 'threshold' | 'quantile' | 'entropyBits'>;

/** What passes, in words. */
export function describeRule(filter: FilterRule): string {
  const { threshold, quantile, entropyBits } = filter;
  switch (decidingRule(filter)) {
    case 'argmax':
      return 'the intended class is the likelier one (argmax)';
    case 'threshold':
      return `the intended class has a probability of at least ${threshold} (threshold)`;
    case 'quantile':
      return `the intended class is among the most probable ${(100 * quantile).toFixed(1)}% of all candidates (quantile)`;
    case 'entropy':
      return `the intended class is the likelier one with at most ${entropyBits} bits of entropy (entropy)`;
  }
}

/** A fake and what the classifier trained on reals says about it. */
export interface Candidate {
  readonly seed: number;
  /** Of the positive class. */
  readonly probability: number;
}

export const intendedProbability = ({ probability }: Candidate, side: ClassSide): number =>
  side === 'positive' ? probability : 1 - probability;

/** Entropy of a yes-or-no answer of probability p, bits: 0 when sure, 1 at one half. */
export function binaryEntropyBits(p: number): number {
  const term = (q: number): number => (q === 0 ? 0 : -q * Math.log2(q));
  return term(p) + term(1 - p);
}

/** Argmax of two classes: does the classifier say what the generator was trained for? A tie goes to the first, negative. */
const isLikelier = ({ probability }: Candidate, side: ClassSide): boolean =>
  probability > 0.5 === (side === 'positive');

/** Why each candidate of a class is dropped by the rule, by seed; null for those that pass. */
export function applyRule(
  candidates: readonly Candidate[],
  side: ClassSide,
  filter: FilterRule,
): ReadonlyMap<number, VerdictReason | null> {
  return new Map(judge(candidates, side, filter));
}

function judge(
  candidates: readonly Candidate[],
  side: ClassSide,
  filter: FilterRule,
): [number, VerdictReason | null][] {
  const { threshold, quantile, entropyBits } = filter;
  const each = (reason: (candidate: Candidate) => VerdictReason | null): [number, VerdictReason | null][] =>
    candidates.map((candidate) => [candidate.seed, reason(candidate)]);
  switch (decidingRule(filter)) {
    case 'argmax':
      return each((candidate) => (isLikelier(candidate, side) ? null : 'other class'));
    case 'threshold':
      return each((candidate) => (intendedProbability(candidate, side) >= threshold ? null : 'below threshold'));
    case 'entropy':
      return each((candidate) => {
        if (!isLikelier(candidate, side)) return 'other class';
        return binaryEntropyBits(candidate.probability) <= entropyBits ? null : 'unsure';
      });
    case 'quantile': {
      const best = [...candidates].sort(
        (a, b) => intendedProbability(b, side) - intendedProbability(a, side) || a.seed - b.seed,
      );
      const passed = new Set(best.slice(0, quantileCount(quantile, candidates.length)).map(({ seed }) => seed));
      return each(({ seed }) => (passed.has(seed) ? null : 'below quantile'));
    }
  }
}

/** How many candidates the rule lets pass, as far as can be said from these alone. */
export const countAccepted = (candidates: readonly Candidate[], side: ClassSide, filter: FilterRule): number =>
  [...applyRule(candidates, side, filter).values()].filter((reason) => reason === null).length;
