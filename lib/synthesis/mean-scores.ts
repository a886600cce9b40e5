import type { ScoreShardsOutput } from '../../contract/engine.ts';

type Scores = ScoreShardsOutput['scores'];

/**
 * Mean probability of several classifiers for every image, each with one voice: the ensemble that the filter asks.
 *
 * Throws RangeError for no classifier, or lists that are not about the same images in the same order.
 */
export function meanScores(lists: readonly Scores[]): Scores {
  const [first, ...others] = lists;
  if (first === undefined) throw new RangeError('meanScores requires at least one list of scores');
  for (const list of others)
    if (list.length !== first.length)
      throw new RangeError(`meanScores requires equally many scores, got ${first.length} and ${list.length}`);
  return first.map(({ member, probability }, i) => {
    const sum = others.reduce((total, list) => {
      const other = list[i];
      if (other?.member !== member)
        throw new RangeError(`meanScores requires scores of the same images; at ${i}: ${member} and ${other?.member}`);
      return total + other.probability;
    }, probability);
    return { member, probability: sum / lists.length };
  });
}
