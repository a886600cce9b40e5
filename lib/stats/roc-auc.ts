import { at } from './at.ts';
import { countClasses, type BinaryScores } from './binary-scores.ts';
import { midranks } from './midranks.ts';

/**
 * Area under the receiver operating characteristic curve: the chance that a random case scores above a random control, ties
 * counting one half (the Mann-Whitney statistic). In [0, 1], exactly 1 for perfect separation; 0.5 is guessing. O(n log n).
 *
 * Throws RangeError when one class is missing. Source: Hanley and McNeil 1982.
 *
 * @example rocAuc({ scores: [0.1, 0.4, 0.35, 0.8], labels: [0, 0, 1, 1] }); // 0.75
 */
export function rocAuc(input: BinaryScores): number {
  const { cases, controls } = countClasses(input, 'rocAuc');
  if (cases === 0 || controls === 0)
    throw new RangeError(`rocAuc requires at least one case and one control, got ${cases} and ${controls}`);
  const ranks = midranks(input.scores);
  const rankSum = ranks.reduce((sum, rank, i) => sum + (at(input.labels, i) === 1 ? rank : 0), 0);
  return (rankSum - (cases * (cases + 1)) / 2) / (cases * controls);
}
