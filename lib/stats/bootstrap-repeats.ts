import type { Interval } from '../../contract/manifests.ts';
import type { PerVariant } from '../../contract/names.ts';
import { randomInt, type Rng } from '../random.ts';
import { at } from './at.ts';
import { ascendingOrder, drawGroups, percentileInterval, stratify, weightedAuc } from './bootstrap.ts';

export interface RepeatedScores {
  /** Of each repeat, on the same images in the same order. */
  readonly scores: PerVariant<readonly (readonly number[])[]>;
  /** 1 positive, 0 negative. */
  readonly labels: readonly number[];
  /** Near-duplicate group or patient of each image. */
  readonly groups: readonly string[];
}

/**
 * Interval of the mean difference AUC real - AUC synthetic over several trainings of each: every resample draws whole groups
 * of test images, as `bootstrapAuc` does, and trainings of each kind by themselves. Of n trainings it draws n - 1, with
 * replacement: the variance of their mean is then s^2 / n, where n draws would give (n - 1) / n of it. Images and trainings are
 * crossed, and drawing both makes the interval somewhat too wide rather than too narrow; with few trainings it stays rough.
 * Null when a class has fewer than two groups or all resamples agree.
 *
 * Throws RangeError for fewer than two trainings of a kind. Sources: McCarthy and Snowden 1985 (n - 1 draws); Owen 2007 (crossed).
 */
export function bootstrapRepeats(
  input: RepeatedScores & { readonly resamples: number; readonly level: number; readonly rng: Rng },
): Interval | null {
  const { labels, rng, level } = input;
  const fewest = Math.min(input.scores.real.length, input.scores.synthetic.length);
  if (fewest < 2) throw new RangeError(`bootstrapRepeats requires at least two trainings of each kind, got ${fewest}`);
  const strata = stratify(input);
  if (strata === null) return null;
  const ranked = (repeats: readonly (readonly number[])[]): Ranked[] =>
    repeats.map((scores) => ({ scores, order: ascendingOrder(scores) }));
  const [real, synthetic] = [ranked(input.scores.real), ranked(input.scores.synthetic)];
  const weights = new Float64Array(labels.length);
  const meanAuc = (trainings: readonly Ranked[]): number => {
    let sum = 0;
    for (let draw = 1; draw < trainings.length; draw++) {
      const { scores, order } = at(trainings, randomInt(rng, trainings.length));
      sum += weightedAuc({ scores, labels }, { order, weights });
    }
    return sum / (trainings.length - 1);
  };
  const differences = Array.from({ length: input.resamples }, () => {
    drawGroups(strata, rng, weights);
    return meanAuc(real) - meanAuc(synthetic);
  });
  return percentileInterval(differences, { level, drawn: 'groups and trainings' });
}

interface Ranked {
  readonly scores: readonly number[];
  readonly order: readonly number[];
}
