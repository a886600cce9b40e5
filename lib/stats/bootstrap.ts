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
  if (strata === null) return null;
  const order = ascendingOrder(input.scores);
  const weights = new Float64Array(input.scores.length);
  const aucs: number[] = [];
  for (let resample = 0; resample < input.resamples; resample++) {
    drawGroups(strata, input.rng, weights);
    aucs.push(weightedAuc(input, { order, weights }));
  }
  return percentileInterval(aucs, { level: input.level, drawn: 'groups' });
}

/** The middle `level` of the resampled values; null when all agree. */
export function percentileInterval(
  values: readonly number[],
  { level, drawn }: { readonly level: number; readonly drawn: string },
): Interval | null {
  if (values.every((value) => value === values[0])) return null;
  const tail = (1 - level) / 2;
  const [lower, upper] = [quantile(values, tail), quantile(values, 1 - tail)];
  return { lower, upper, level, method: `percentile bootstrap of ${drawn}, ${values.length} resamples` };
}

export const ascendingOrder = (scores: readonly number[]): number[] =>
  scores.map((_, i) => i).sort((a, b) => at(scores, a) - at(scores, b));

/** Draws whole groups with replacement within each stratum: how often each image was drawn goes into `weights`. */
export function drawGroups(strata: readonly (readonly (readonly number[])[])[], rng: Rng, weights: Float64Array): void {
  weights.fill(0);
  for (const groups of strata)
    for (let draw = 0; draw < groups.length; draw++)
      for (const i of at(groups, randomInt(rng, groups.length))) weights[i] = at(weights, i) + 1;
}

/**
 * Groups as lists of image indices, by the classes that they hold; strata and groups in order of first appearance. Null when
 * a class has fewer than two groups: every resample would hold the same one.
 */
export function stratify({ groups, labels }: Omit<GroupedScores, 'scores'>): number[][][] | null {
  const byGroup = new Map<string, number[]>();
  groups.forEach((group, i) => byGroup.set(group, [...(byGroup.get(group) ?? []), i]));
  const byClass = new Map<string, number[][]>();
  for (const members of byGroup.values()) {
    const stratum = [...new Set(members.map((i) => at(labels, i)))].sort().join('+');
    byClass.set(stratum, [...(byClass.get(stratum) ?? []), members]);
  }
  const strata = [...byClass.values()];
  const groupsWith = (label: number): number =>
    strata.flat().filter((members) => members.some((i) => at(labels, i) === label)).length;
  return groupsWith(0) < 2 || groupsWith(1) < 2 ? null : strata;
}

/** AUC of a multiset of images given by whole-number weights; one pass over the ascending `order`. */
export function weightedAuc(
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
