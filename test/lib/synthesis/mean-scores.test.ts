import { describe, expect, it } from 'vitest';
import { meanScores } from '../../../lib/synthesis/mean-scores.ts';

const scores = (...probabilities: number[]) =>
  probabilities.map((probability, i) => ({ member: `seed${i + 1}.png`, probability }));

describe('meanScores', () => {
  it('gives every classifier one voice, image by image', () => {
    expect(meanScores([scores(0.25, 1), scores(0.5, 0), scores(0.75, 0.5)])).toEqual(scores(0.5, 0.5));
  });
  it('gives the answers of one classifier as they are', () => {
    const one = scores(0.1, 0.30000000000000004);
    expect(meanScores([one])).toEqual(one);
  });
  it('refuses answers about other images, and none at all', () => {
    const [first, second] = scores(0.1, 0.2);
    if (!first || !second) throw new Error('two scores');
    expect(() =>
      meanScores([
        [first, second],
        [second, first],
      ]),
    ).toThrow('scores of the same images; at 0: seed1.png and seed2.png');
    expect(() => meanScores([[first, second], [first]])).toThrow('got 2 and 1');
    expect(() => meanScores([])).toThrow('at least one list');
  });
});
