import { describe, expect, it } from 'vitest';
import { clopperPearson } from '../../../lib/stats/clopper-pearson.ts';
import { wilson } from '../../../lib/stats/wilson.ts';
import { expectClose } from './expect-close.ts';
import { fixture } from './fixtures/fixture.ts';

// evaluation.md 3.3: successes, trials, Wilson 95%, Clopper-Pearson 95%.
const published: [number, number, [number, number], [number, number]][] = [
  [138, 150, [0.86537864, 0.95364636], [0.86442611, 0.95797974]],
  [132, 150, [0.81829165, 0.92273097], [0.81699112, 0.92730653]],
  [130, 150, [0.80301983, 0.912002], [0.80161303, 0.91661619]],
  [116, 150, [0.69999806, 0.83301821], [0.69792257, 0.83763073]],
  [270, 300, [0.86083354, 0.92905209], [0.86032669, 0.93150832]],
  [246, 300, [0.7725668, 0.8593417], [0.77176061, 0.8617896]],
  [0, 10, [0, 0.2775328], [0, 0.30849711]],
];

describe.each([
  ['wilson', wilson, 2, 'wilson'],
  ['clopperPearson', clopperPearson, 3, 'exact'],
] as const)('%s', (_, interval, column, key) => {
  it.each(published)('gives the published interval of %d of %d', (...row) => {
    const result = interval({ successes: row[0], trials: row[1], level: 0.95 });
    expectClose(result.lower, row[column][0], 5.1e-9);
    expectClose(result.upper, row[column][1], 5.1e-9);
  });
  it.each(Object.values(fixture.proportions))('agrees with statsmodels on $k of $n at $level', (wanted) => {
    const result = interval({ successes: wanted.k, trials: wanted.n, level: wanted.level });
    expectClose(result.lower, wanted[key][0]);
    expectClose(result.upper, wanted[key][1]);
  });
  it.each([
    [0, 0],
    [3, 2],
    [-1, 2],
    [0.5, 2],
  ])('refuses %d of %d', (successes, trials) => {
    expect(() => interval({ successes, trials, level: 0.95 })).toThrow('requires 0 <= successes <= trials');
  });
});
