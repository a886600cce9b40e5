import type { Interval } from '../../contract/manifests.ts';
import { randomInt, type Rng } from '../random.ts';
import { at } from './at.ts';
import { countClasses, type BinaryScores } from './binary-scores.ts';
import { quantile } from './quantile.ts';

export interface GroupedScores extends BinaryScores {
  /** Near-duplicate group or patient of each image: the unit that is drawn. */
  readonly groups: readonly string[];
}

/**
 * Cluster bootstrap of the AUC: draws whole groups with replacement, so that copies of one lesion count as one. Groups are
 * drawn within strata (all negative, all positive, mixed), so every resample holds both classes. Percentile interval.
 * Returns null when a class has fewer than two groups or all resamples agree (perfect separation, equal scores): the
 * interval would be a point and would promise what the images cannot. O(resamples x n) after one sort.
 *
 * Throws RangeError when one class is missing. Source: Efron and Tibshirani 1993, ch. 13; Field and Welsh 2007 for clusters.
 */
export function bootstrapAuc(
  input: GroupedScores & { readonly resamples: number; readonly level: number; readonly rng: Rng },
): Interval | null {
  const { cases, controls } = countClasses(input, 'bootstrapAuc');
  if (cases === 0 || controls === 0)
    throw new RangeError(`bootstrapAuc requires at least one case and one control, got ${cases} and ${controls}`);
  if (input.groups.length !== input.labels.length)
    throw new RangeError(
      `bootstrapAuc requires one group per image, got ${input.groups.length} of ${input.labels.length}`,
    );
  const strata = stratify(input);
  const groupsWith = (label: number): number =>
    strata.flat().filter((members) => members.some((i) => at(input.labels, i) === label)).length;
  if (groupsWith(0) < 2 || groupsWith(1) < 2) return null;

  const order = input.scores.map((_, i) => i).sort((a, b) => at(input.scores, a) - at(input.scores, b));
  const weights = new Float64Array(input.scores.length);
  const aucs: number[] = [];
  for (let resample = 0; resample < input.resamples; resample++) {
    weights.fill(0);
    for (const groups of strata)
      for (let draw = 0; draw < groups.length; draw++)
        for (const i of at(groups, randomInt(input.rng, groups.length))) weights[i] = at(weights, i) + 1;
    aucs.push(weightedAuc(input, { order, weights }));
  }
  const tail = (1 - input.level) / 2;
  const lower = quantile(aucs, tail);
  const upper = quantile(aucs, 1 - tail);
  if (aucs.every((auc) => auc === aucs[0])) return null;
  return { lower, upper, level: input.level, method: `percentile bootstrap of groups, ${input.resamples} resamples` };
}

/** Groups as lists of image indices, by the classes that they hold; strata and groups in order of first appearance. */
function stratify({ groups, labels }: GroupedScores): number[][][] {
  const byGroup = new Map<string, number[]>();
  groups.forEach((group, i) => byGroup.set(group, [...(byGroup.get(group) ?? []), i]));
  const byClass = new Map<string, number[][]>();
  for (const members of byGroup.values()) {
    const stratum = [...new Set(members.map((i) => at(labels, i)))].sort().join('+');
    byClass.set(stratum, [...(byClass.get(stratum) ?? []), members]);
  }
  return [...byClass.values()];
}

/** AUC of a multiset of images given by whole-number weights; one pass over the ascending `order`. */
function weightedAuc(
  { scores, labels }: BinaryScores,
  { order, weights }: { readonly order: readonly number[]; readonly weights: Float64Array },
): number {
  let controlsBelow = 0;
  let cases = 0;
  let pairs = 0;
  for (let start = 0; start < order.length;) {
    let tiedCases = 0;
    let tiedControls = 0;
    let end = start;
    for (; end < order.length && at(scores, at(order, end)) === at(scores, at(order, start)); end++) {
      const i = at(order, end);
      if (at(labels, i) === 1) tiedCases += at(weights, i);
      else tiedControls += at(weights, i);
    }
    pairs += tiedCases * (controlsBelow + tiedControls / 2);
    controlsBelow += tiedControls;
    cases += tiedCases;
    start = end;
  }
  return pairs / (cases * controlsBelow);
}
