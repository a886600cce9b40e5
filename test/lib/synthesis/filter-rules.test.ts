import { describe, expect, it } from 'vitest';
import { acceptedSoFar } from '../../../contract/plan.ts';
import { defaults } from '../../../contract/presets.ts';
import { applyRule, binaryEntropyBits, countAccepted, type FilterRule } from '../../../lib/synthesis/filter-rules.ts';

/** Seeds 1..9 of a positive class: probabilities 0.1 .. 0.9. */
const candidates = Array.from({ length: 9 }, (_, i) => ({ seed: i + 1, probability: (i + 1) / 10 }));
const rule = (over: Partial<FilterRule>): FilterRule => ({ ...defaults.filter, ...over });
const passed = (over: Partial<FilterRule>, side: 'negative' | 'positive' = 'positive'): number[] =>
  [...applyRule(candidates, side, rule(over))].filter(([, reason]) => reason === null).map(([seed]) => seed);

describe('applyRule', () => {
  it.each<[string, Partial<FilterRule>, number[], number[]]>([
    ['argmax', { rule: 'argmax' }, [6, 7, 8, 9], [1, 2, 3, 4, 5]], // a tie at 5 is negative
    ['threshold', { rule: 'threshold', threshold: 0.8 }, [8, 9], [1, 2]],
    // Entropy of 0.8 is 0.722 bits, of 0.7 0.881.
    ['entropy', { rule: 'entropy', entropyBits: 0.8 }, [8, 9], [1, 2]],
    ['quantile', { rule: 'quantile', quantile: 0.5 }, [5, 6, 7, 8, 9], [1, 2, 3, 4, 5]], // ceil(4.5)
    ['a quantile of all', { rule: 'quantile', quantile: 1 }, [1, 2, 3, 4, 5, 6, 7, 8, 9], [1, 2, 3, 4, 5, 6, 7, 8, 9]],
  ])('lets pass by %s what it should, for either class', (_, over, positive, negative) => {
    expect(passed(over)).toEqual(positive);
    expect(passed(over, 'negative')).toEqual(negative);
    expect(countAccepted(candidates, 'positive', rule(over))).toBe(positive.length);
  });

  it('puts the mean of an ensemble to the rule that it names, argmax where it names none', () => {
    for (const ensembleRule of ['argmax', 'threshold', 'quantile', 'entropy'] as const)
      for (const side of ['negative', 'positive'] as const)
        expect(passed({ rule: 'ensemble', ensembleRule }, side)).toEqual(passed({ rule: ensembleRule }, side));
    expect(passed({ rule: 'ensemble', ensembleRule: null })).toEqual(passed({ rule: 'argmax' }));
  });

  it('says which part of the rule dropped a fake', () => {
    const reasons = (over: Partial<FilterRule>): unknown[] => {
      const all = applyRule(candidates, 'positive', rule(over));
      return [all.get(2), all.get(6)];
    };
    expect(reasons({ rule: 'threshold' })).toEqual(['below threshold', 'below threshold']);
    expect(reasons({ rule: 'entropy' })).toEqual(['other class', 'unsure']);
    expect(reasons({ rule: 'quantile', quantile: 0.2 })).toEqual(['below quantile', 'below quantile']);
  });

  it('breaks ties of a quantile by seed, whatever the order', () => {
    const tied = [4, 2, 3, 1].map((seed) => ({ seed, probability: 0.7 }));
    const half = [...applyRule(tied, 'positive', rule({ rule: 'quantile' }))].filter(([, reason]) => reason === null);
    expect(half.map(([seed]) => seed).sort()).toEqual([1, 2]);
  });
});

describe('binaryEntropyBits', () => {
  it.each([
    [0, 0],
    [1, 0],
    [0.5, 1],
    [0.9, 0.4689955935892812], // -0.9 log2 0.9 - 0.1 log2 0.1
  ])('of %f is %f', (p, bits) => {
    expect(binaryEntropyBits(p)).toBeCloseTo(bits, 12);
  });
});

describe('acceptedSoFar', () => {
  const shards = [
    { firstSeed: 1, lastSeed: 3, accepted: 2 },
    { firstSeed: 4, lastSeed: 6, accepted: 2 },
  ];
  it('adds up the shards', () => {
    expect(acceptedSoFar(defaults.filter, shards)).toBe(4);
  });
  it('takes a quantile of all candidates, not of each shard', () => {
    expect(acceptedSoFar({ ...defaults.filter, rule: 'quantile', quantile: 0.5 }, shards)).toBe(3);
    const ensemble = { rule: 'ensemble', ensembleRule: 'quantile', quantile: 0.5 } as const;
    expect(acceptedSoFar({ ...defaults.filter, ...ensemble }, shards)).toBe(3);
  });
});
