import { at } from './at.ts';
import { countClasses, type BinaryScores } from './binary-scores.ts';

/** How probabilities are binned: ten bins of one width, [k/10, (k+1)/10), or ten of as many images, as nearly as that goes. */
export type EceBinning = 'equal-width' | 'equal-mass';

const bins = 10;

/**
 * Expected calibration error of the probability of the positive class: by how much the mean probability of a bin misses the
 * share of positive images in it, mean over bins weighted by their images. 0 is perfect. It depends on the binning, which must be
 * named with it, and is biased upwards where bins have few images. In bins of equal mass, images of one probability are
 * taken in the order of their labels, so that no other order matters.
 *
 * Throws RangeError without images or on scores outside [0, 1]. Source: Naeini et al. 2015; evaluation.md 3.1.
 */
export function ece(input: BinaryScores, { binning }: { readonly binning: EceBinning }): number {
  const { scores, labels } = input;
  countClasses(input, 'ece');
  if (scores.length === 0) throw new RangeError('ece requires at least one image');
  const bad = scores.find((score) => score < 0 || score > 1);
  if (bad !== undefined) throw new RangeError(`ece requires probabilities in [0, 1], got ${bad}`);
  const gaps = new Array<number>(bins).fill(0);
  const binOf = binning === 'equal-width' ? widthBin(scores) : massBin(input);
  for (let i = 0; i < scores.length; i++) {
    const bin = binOf(i);
    gaps[bin] = at(gaps, bin) + at(scores, i) - at(labels, i);
  }
  return gaps.reduce((sum, gap) => sum + Math.abs(gap), 0) / scores.length;
}

const widthBin =
  (scores: readonly number[]) =>
  (i: number): number =>
    Math.min(bins - 1, Math.floor(at(scores, i) * bins));

/** Of the ranks, the first (images mod 10) bins have one more. */
function massBin({ scores, labels }: BinaryScores): (i: number) => number {
  const order = scores.map((_, i) => i).sort((a, b) => at(scores, a) - at(scores, b) || at(labels, a) - at(labels, b));
  const [fewest, larger] = [Math.floor(scores.length / bins), scores.length % bins];
  const binOfRank = (rank: number): number => {
    const inLarger = larger * (fewest + 1);
    return rank < inLarger ? Math.floor(rank / (fewest + 1)) : larger + Math.floor((rank - inLarger) / fewest);
  };
  const binOf = new Map(order.map((image, rank) => [image, binOfRank(rank)]));
  return (i) => binOf.get(i) ?? 0;
}
