import { classSides, type ClassSide, type PerClass, type Verdict } from '../../contract/manifests.ts';
import { leastKept } from '../../contract/plan.ts';
import type { Study } from '../../contract/study.ts';
import { createRng, shuffled } from '../random.ts';
import { applyRule, describeRule, intendedProbability, type Candidate, type FilterRule } from './filter-rules.ts';

export interface SelectFilteredInput {
  readonly filter: FilterRule;
  readonly candidates: PerClass<readonly Candidate[]>;
  /** Images to keep per class; null keeps as many as the class with fewer accepted ones has. */
  readonly keepPerClass: number | null;
  /** Root seed of the study. */
  readonly seed: number;
  /** Share of the kept images that goes to validation, 0 to below 1. */
  readonly validationShare: number;
  /** `training`: images of validation stay in training. Default: held-out. */
  readonly validationFrom?: Study['split']['validationFrom'];
  /** Names for messages. Default: negative, positive. */
  readonly classes?: PerClass<string>;
}

export interface SelectedClass {
  /** In the order of the candidates. */
  readonly verdicts: readonly Verdict[];
  readonly candidates: number;
  readonly accepted: number;
  readonly kept: number;
  /** Ten equal bins of the probability of the intended class over all candidates. */
  readonly histogram: readonly number[];
  /** The same over the kept ones. */
  readonly keptHistogram: readonly number[];
  /** Seeds, ascending. */
  readonly train: readonly number[];
  readonly validation: readonly number[];
}

export interface SelectedFakes {
  readonly classes: PerClass<SelectedClass>;
  /** Why nothing could be kept, in plain words; null otherwise. */
  readonly degenerate: string | null;
}

/**
 * The filter: keeps fakes that pass the rule (filter-rules.ts), draws the same number per class at random by seed, and
 * divides the kept ones into training and validation (or validates with some of those it trains on). With nothing to keep in a class nothing is kept at all, and
 * `degenerate` says why. The result does not depend on the order of the candidates.
 *
 * Throws RangeError on a probability outside [0, 1], a repeated seed or a share outside [0, 1).
 */
export function selectFiltered(input: SelectFilteredInput): SelectedFakes {
  const { candidates, filter, keepPerClass, seed, validationShare, validationFrom } = input;
  const heldOut = validationFrom !== 'training';
  requireCandidates(input);
  const reasons = {
    negative: applyRule(candidates.negative, 'negative', filter),
    positive: applyRule(candidates.positive, 'positive', filter),
  };
  const acceptedOf = (side: ClassSide): number[] =>
    candidates[side]
      .map((candidate) => candidate.seed)
      .filter((candidate) => reasons[side].get(candidate) === null)
      .sort((a, b) => a - b);
  const accepted = { negative: acceptedOf('negative'), positive: acceptedOf('positive') };
  const fewest = Math.min(accepted.negative.length, accepted.positive.length);
  const degenerate = explainDegenerate(input, accepted);
  const count = degenerate === null ? Math.min(fewest, keepPerClass ?? fewest) : 0;
  const validationCount =
    validationShare === 0 || count === 0
      ? 0
      : Math.min(heldOut ? count - 2 : count, Math.max(1, Math.round(validationShare * count)));
  const select = (side: ClassSide): SelectedClass => {
    const drawn = shuffled(accepted[side], createRng(seed, `filter/${side}`)).slice(0, count);
    const kept = new Set(drawn);
    const ascending = (seeds: number[]): number[] => seeds.sort((a, b) => a - b);
    return {
      verdicts: candidates[side].map((candidate) => {
        const isKept = kept.has(candidate.seed);
        const left = degenerate === null ? 'not drawn' : 'nothing kept';
        const why = isKept ? null : (reasons[side].get(candidate.seed) ?? left);
        return { seed: candidate.seed, probability: candidate.probability, kept: isKept, why };
      }),
      candidates: candidates[side].length,
      accepted: accepted[side].length,
      kept: count,
      histogram: histogramOf(candidates[side], side),
      keptHistogram: histogramOf(
        candidates[side].filter((candidate) => kept.has(candidate.seed)),
        side,
      ),
      train: ascending(drawn.slice(heldOut ? validationCount : 0)),
      validation: ascending(drawn.slice(0, validationCount)),
    };
  };
  return { classes: { negative: select('negative'), positive: select('positive') }, degenerate };
}

function requireCandidates({ candidates, validationShare }: SelectFilteredInput): void {
  if (!(validationShare >= 0 && validationShare < 1))
    throw new RangeError(`selectFiltered expects a validation share from 0 to below 1, got ${validationShare}`);
  for (const side of classSides) {
    const seeds = new Set<number>();
    for (const { seed, probability } of candidates[side]) {
      if (!(probability >= 0 && probability <= 1))
        throw new RangeError(
          `selectFiltered expects probabilities in [0, 1], got ${probability} for ${side} seed ${seed}`,
        );
      if (seeds.has(seed))
        throw new RangeError(`selectFiltered expects every seed once, got ${side} seed ${seed} twice`);
      seeds.add(seed);
    }
  }
}

function explainDegenerate(
  { candidates, filter, keepPerClass, classes, validationShare, validationFrom = 'held-out' }: SelectFilteredInput,
  accepted: PerClass<readonly number[]>,
): string | null {
  const least = leastKept({ validation: validationShare, validationFrom });
  const reasons = classSides
    .filter((side) => accepted[side].length < least)
    .map((side) => {
      const name = classes?.[side] ?? side;
      const [passed, all] = [accepted[side].length, candidates[side].length];
      return `${passed === 0 ? 'none' : `only ${passed}`} of ${all} generated "${name}" images passed`;
    });
  if (reasons.length > 0)
    return `Nothing could be kept: ${reasons.join(', and ')}. The rule: ${describeRule(filter)}, by ${filter.rule === 'ensemble' ? 'the classifiers' : 'the classifier'} trained on real images.`;
  if (keepPerClass !== null && keepPerClass < least)
    return `Nothing could be kept: filter.keepPerClass is ${keepPerClass}, and training with validation needs ${least} images per class.`;
  return null;
}

function histogramOf(candidates: readonly Candidate[], side: ClassSide): number[] {
  const bins = new Array<number>(10).fill(0);
  for (const candidate of candidates) {
    const bin = Math.min(9, Math.floor(intendedProbability(candidate, side) * 10));
    bins[bin] = (bins[bin] ?? 0) + 1;
  }
  return bins;
}

/**
 * Equal numbers of fakes before the filter (any candidates) and of kept ones, drawn by seed, at most `most` of each: distances
 * and coverage depend on the number of images, so only equal numbers can be compared. Seeds, ascending.
 */
export function drawForComparison(
  verdicts: readonly Pick<Verdict, 'seed' | 'kept'>[],
  { most, seed, side }: { readonly most: number; readonly seed: number; readonly side: ClassSide },
): { readonly before: number[]; readonly after: number[] } {
  const kept = verdicts.filter((verdict) => verdict.kept);
  const count = Math.min(most, kept.length);
  const draw = (from: readonly Pick<Verdict, 'seed'>[], stream: string): number[] =>
    shuffled(
      from.map((verdict) => verdict.seed).sort((a, b) => a - b),
      createRng(seed, `filter/${side}/${stream}`),
    )
      .slice(0, count)
      .sort((a, b) => a - b);
  return { before: draw(verdicts, 'before'), after: draw(kept, 'after') };
}
