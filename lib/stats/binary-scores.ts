/** One model on one test set: a score per image (higher means more likely positive) and its label. */
export interface BinaryScores {
  readonly scores: readonly number[];
  /** 1 is the positive class (a case), 0 the negative (a control). */
  readonly labels: readonly number[];
}

/** Numbers of cases and controls. Throws RangeError on unequal lengths, labels other than 0 and 1, or scores that are not finite. */
export function countClasses(
  { scores, labels }: BinaryScores,
  caller: string,
): { readonly cases: number; readonly controls: number } {
  if (scores.length !== labels.length)
    throw new RangeError(
      `${caller} requires one label per score, got ${scores.length} scores, ${labels.length} labels`,
    );
  const badScore = scores.findIndex((score) => !Number.isFinite(score));
  if (badScore >= 0) throw new RangeError(`${caller} requires finite scores, got ${scores[badScore]} at ${badScore}`);
  const badLabel = labels.findIndex((label) => label !== 0 && label !== 1);
  if (badLabel >= 0) throw new RangeError(`${caller} requires labels 0 or 1, got ${labels[badLabel]} at ${badLabel}`);
  const cases = labels.filter((label) => label === 1).length;
  return { cases, controls: labels.length - cases };
}
