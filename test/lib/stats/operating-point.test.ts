import { describe, expect, it } from 'vitest';
import { createRng } from '../../../lib/random.ts';
import { confusionAt } from '../../../lib/stats/confusion.ts';
import { chooseOperatingPoint } from '../../../lib/stats/operating-point.ts';
import { fixture, forty } from './fixtures/fixture.ts';

const half = { operatingPoint: 'half', targetSensitivity: 0.95 } as const;
const youden = { ...half, operatingPoint: 'youden' } as const;
const sensitivity = (targetSensitivity: number) => ({ operatingPoint: 'sensitivity', targetSensitivity }) as const;
const p1 = { scores: forty.p1, labels: forty.labels };
const p2 = { scores: forty.p2, labels: forty.labels };

describe('chooseOperatingPoint', () => {
  it('is 0.5 by default, with what that gives on validation', () => {
    expect(chooseOperatingPoint(p1, half)).toEqual({
      ...{ rule: 'half', threshold: 0.5 },
      validation: { images: 40, sensitivity: 1, specificity: 20 / 24 },
    });
  });

  it('is where the Youden index is largest, found by trying every threshold', () => {
    for (const { scoresA, scoresB, labels } of Object.values(fixture.models))
      for (const scores of [scoresA, scoresB]) {
        const indexAt = (threshold: number): number => {
          const { tp, fn, tn, fp } = confusionAt({ scores, labels, threshold });
          return tp / (tp + fn) + tn / (tn + fp) - 1;
        };
        const { threshold, validation } = chooseOperatingPoint({ scores, labels }, youden);
        const best = Math.max(...Array.from({ length: 2001 }, (_, i) => indexAt(i / 2000)), ...scores.map(indexAt));
        expect(indexAt(threshold)).toBeCloseTo(best, 12);
        expect(validation.sensitivity + validation.specificity - 1).toBeCloseTo(best, 12);
      }
  });

  it('takes of equal Youden indices the one with the higher sensitivity', () => {
    const scores = [0.9, 0.8, 0.6, 0.4, 0.3, 0.1];
    const labels = [1, 0, 1, 0, 1, 0];
    // From 0.9: 1/3 + 1 - 1; from 0.6: 2/3 + 2/3 - 1; from 0.3: 1 + 1/3 - 1. All are 1/3.
    const { threshold, validation } = chooseOperatingPoint({ scores, labels }, youden);
    expect(threshold).toBeCloseTo(0.2, 15);
    expect(validation).toEqual({ images: 6, sensitivity: 1, specificity: 1 / 3 });
  });

  it.each([
    // The cases of p2, ascending: .38 .38 .45 .46 .48 .49 .49 .65 .66 ...; below .38 the next score is .27, below .45 .44.
    { target: 1, threshold: (0.38 + 0.27) / 2 },
    { target: 0.9, threshold: (0.38 + 0.27) / 2 },
    { target: 14 / 16, threshold: (0.45 + 0.44) / 2 },
    { target: 0.5, threshold: (0.66 + 0.65) / 2 },
  ])('is the highest threshold that finds at least $target of the cases', ({ target, threshold }) => {
    const chosen = chooseOperatingPoint(p2, sensitivity(target));
    expect(chosen.validation.sensitivity).toBeGreaterThanOrEqual(target);
    const above = p2.scores.filter((score) => score > chosen.threshold);
    const { tp } = confusionAt({ ...p2, threshold: Math.min(...above) + 1e-9 });
    expect(tp / 16).toBeLessThan(target);
    expect(chosen.threshold).toBeCloseTo(threshold, 12);
  });

  it('divides even neighbouring numbers as it chose to', () => {
    const low = 0.5;
    const scores = [low, low + Number.EPSILON / 2];
    const { threshold } = chooseOperatingPoint({ scores, labels: [0, 1] }, youden);
    expect(confusionAt({ scores, labels: [0, 1], threshold })).toEqual({ tp: 1, fp: 0, tn: 1, fn: 0 });
  });

  it('calls everything positive where all scores are equal', () => {
    const { threshold, validation } = chooseOperatingPoint({ scores: [0.5, 0.5], labels: [0, 1] }, youden);
    expect([threshold, validation.sensitivity, validation.specificity]).toEqual([0, 1, 0]);
  });

  it('depends on the images that it is given and on their order not at all', () => {
    const rng = createRng(1, 'order');
    const order = forty.p1.map((_, i) => i).sort(() => rng() - 0.5);
    const mixed = { scores: order.map((i) => forty.p1[i]!), labels: order.map((i) => forty.labels[i]!) };
    expect(chooseOperatingPoint(mixed, youden)).toEqual(chooseOperatingPoint(p1, youden));
  });

  it('refuses a validation set of one class', () => {
    expect(() => chooseOperatingPoint({ scores: [0.2, 0.4], labels: [1, 1] }, youden)).toThrow(/at least one case/);
    expect(() => chooseOperatingPoint({ scores: [0.2], labels: [0] }, half)).toThrow(/both classes/);
  });
});
