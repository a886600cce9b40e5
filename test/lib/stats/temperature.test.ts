import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { logLoss } from '../../../lib/stats/log-loss.ts';
import { rocAuc } from '../../../lib/stats/roc-auc.ts';
import { fitTemperature } from '../../../lib/stats/temperature.ts';
import { expectClose } from './expect-close.ts';
import { forty } from './fixtures/fixture.ts';

interface TemperatureCase {
  readonly logOdds: number[];
  readonly labels: number[];
  readonly temperature: number;
  readonly before: { readonly logLoss: number };
  readonly after: { readonly logLoss: number };
}

/** Known answers of SciPy's minimiser and root finder; made by make-temperature-fixtures.py. */
const { cases } = JSON.parse(readFileSync(new URL('fixtures/temperature.json', import.meta.url), 'utf8')) as {
  readonly cases: Record<string, TemperatureCase>;
}; // the shape that the script writes

const divided = (scores: readonly number[], by: number): number[] => scores.map((score) => score / by);

describe('fitTemperature', () => {
  it.each(Object.entries(cases))("finds SciPy's optimum: %s", (_, { logOdds, labels, temperature, after }) => {
    const fitted = fitTemperature({ scores: logOdds, labels });
    expectClose(fitted, temperature, 1e-12);
    expect(logLoss({ scores: divided(logOdds, fitted!), labels })).toBeLessThanOrEqual(after.logLoss + 1e-15);
  });
  it('changes neither the order nor the area under the ROC curve', () => {
    for (const { logOdds, labels } of Object.values(cases)) {
      const scaled = divided(logOdds, fitTemperature({ scores: logOdds, labels })!);
      expect(rocAuc({ scores: scaled, labels })).toBe(rocAuc({ scores: logOdds, labels }));
    }
  });
  it('scales with the log-odds, and is 1 once they are scaled', () => {
    const { logOdds, labels } = cases['too sure']!;
    const fitted = fitTemperature({ scores: logOdds, labels })!;
    expectClose(fitTemperature({ scores: divided(logOdds, 1 / 7), labels }), 7 * fitted, 1e-12);
    expectClose(fitTemperature({ scores: divided(logOdds, fitted), labels }), 1, 1e-12);
  });
  it('has no answer without an error, by chance, or worse', () => {
    const labels = [0, 1, 0, 1];
    expect(fitTemperature({ scores: [-2, 1, -1, 3], labels })).toBeNull();
    expect(fitTemperature({ scores: [-2, 0, -1, 3], labels })).toBeNull();
    expect(fitTemperature({ scores: [2, 2, -2, -2], labels })).toBeNull();
    expect(fitTemperature({ scores: [2, -2, 1, -1], labels })).toBeNull();
    expect(fitTemperature({ scores: [0, 0, 0, 0], labels })).toBeNull();
  });
  it('refuses no images, unequal lengths and scores that are not finite', () => {
    expect(() => fitTemperature({ scores: [], labels: [] })).toThrow('at least one image');
    expect(() => fitTemperature({ scores: [1], labels: [] })).toThrow('one label per score');
    expect(() => fitTemperature({ scores: [1, Number.NaN], labels: [0, 1] })).toThrow('finite scores, got NaN at 1');
  });
});

describe('logLoss', () => {
  it.each(Object.entries(cases))('agrees with SciPy: %s', (_, { logOdds, labels, before }) => {
    expectClose(logLoss({ scores: logOdds, labels }), before.logLoss, 1e-13);
  });
  it('gives the published values of the forty images', () => {
    const logit = (p: number): number => Math.log(p / (1 - p));
    expectClose(logLoss({ scores: forty.p1.map(logit), labels: forty.labels }), 0.421986337068, 1e-11);
    expectClose(logLoss({ scores: forty.p2.map(logit), labels: forty.labels }), 0.539225999431, 1e-11);
  });
  it('stays finite where the probability is rounded to 0 or 1, and refuses no images', () => {
    expect(logLoss({ scores: [800], labels: [0] })).toBe(800);
    expect(logLoss({ scores: [800], labels: [1] })).toBe(0);
    expect(() => logLoss({ scores: [], labels: [] })).toThrow('at least one image');
  });
});
