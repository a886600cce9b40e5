import { describe, expect, it } from 'vitest';
import { canonicalJson } from '../../../contract/canonical-json.ts';
import type { OperatingPoint, Prediction } from '../../../contract/manifests.ts';
import { compareAucs } from '../../../lib/stats/compare-aucs.ts';
import { compareModels } from '../../../lib/stats/compare-models.ts';
import { delongTest } from '../../../lib/stats/delong.ts';
import { expectClose } from './expect-close.ts';
import { forty } from './fixtures/fixture.ts';

const pointAt = (threshold: number): OperatingPoint => ({
  ...{ rule: 'half', threshold },
  validation: { images: 40, sensitivity: 1, specificity: 1 },
});
const options = {
  ...{ margin: 0.05, alpha: 0.025, ciLevel: 0.95, bootstrapResamples: 200, seed: 1 },
  operatingPoints: { real: pointAt(0.5), synthetic: pointAt(0.5) },
};

function predict(scores: readonly number[], labels: readonly number[], groups?: readonly string[]): Prediction[] {
  return scores.map((probability, i) => ({
    member: `image${i}.png`,
    side: labels[i] === 1 ? 'positive' : 'negative',
    groupId: groups?.[i] ?? null,
    probability,
  }));
}

function compare(real: readonly number[], synthetic: readonly number[], labels: readonly number[]) {
  return compareModels({
    ...options,
    predictions: { real: predict(real, labels), synthetic: predict(synthetic, labels) },
  });
}

describe('compareModels', () => {
  it('gives the published answers of the forty images in one piece', () => {
    const { models, comparison } = compare(forty.p1, forty.p2, forty.labels);
    expect(models.real.confusion).toEqual({ tp: 16, fp: 4, tn: 20, fn: 0 });
    expectClose(models.synthetic.auc.value, 0.813802083333, 1e-12);
    expect(comparison.mcnemar).toMatchObject({ realOnlyCorrect: 13, syntheticOnlyCorrect: 3 });
    expectClose(comparison.mcnemar.exact, 0.021270751953125, 1e-14);
    expectClose(comparison.delong?.z, 1.980216445784, 1e-12);
    expectClose(comparison.nonInferiority?.z, (0.05 - 0.147135416667) / 0.074302694021, 1e-9);
    expect(comparison.nonInferiority?.nonInferior).toBe(false);
    expectClose(comparison.nonInferiority?.smallestMargin, (1.959963985 + 0.841621234) * 0.074302694021, 1e-8);
    expect(comparison.notes.join()).toContain('could have shown a margin of 0.208 at best');
  });
  it('decides by the operating point of each model, which moves neither AUC nor ROC curve', () => {
    const predictions = { real: predict(forty.p1, forty.labels), synthetic: predict(forty.p2, forty.labels) };
    const at = (real: number, synthetic: number) =>
      compareModels({
        ...options,
        predictions,
        operatingPoints: { real: pointAt(real), synthetic: pointAt(synthetic) },
      });
    const half = at(0.5, 0.5);
    const moved = at(0.5, 0.45);
    expect(moved.models.real).toEqual(half.models.real);
    expect(moved.models.synthetic.confusion).toEqual({ tp: 14, fp: 11, tn: 13, fn: 2 });
    expect(moved.models.synthetic.sensitivity.value).toBe(14 / 16);
    expect(moved.models.synthetic.auc).toEqual(half.models.synthetic.auc);
    expect(moved.models.synthetic.roc).toEqual(half.models.synthetic.roc);
    expect(moved.comparison.delong).toEqual(half.comparison.delong);
    expect(moved.comparison.mcnemar).not.toEqual(half.comparison.mcnemar);
  });
  it('is plain data without NaN, and the same again', () => {
    const once = canonicalJson(compare(forty.p1, forty.p2, forty.labels));
    expect(canonicalJson(compare(forty.p1, forty.p2, forty.labels))).toBe(once);
  });
  it('draws other resamples for another seed', () => {
    const predictions = { real: predict(forty.p1, forty.labels), synthetic: predict(forty.p2, forty.labels) };
    const ci = (seed: number) => compareModels({ ...options, seed, predictions }).models.synthetic.aucGrouped.ci;
    expect(ci(1)).not.toEqual(ci(2));
  });
  it('notices one swapped label', () => {
    const labels = forty.labels.map((label, i) => (i === 3 ? 1 - label : label));
    expect(compare(forty.p1, forty.p2, labels).models.real.auc.value).not.toBe(0.9609375);
  });
  it('says so when images share groups', () => {
    const groups = forty.labels.map((label, i) => `${label}-${i % 9}`);
    const predictions = {
      real: predict(forty.p1, forty.labels, groups),
      synthetic: predict(forty.p2, forty.labels, groups),
    };
    expect(compareModels({ ...options, predictions }).comparison.notes[0]).toContain('form 18 groups');
  });

  const twenty = Array.from({ length: 20 }, (_, i) => (i < 10 ? 0 : 1));
  const perfect = twenty.map((label, i) => 0.2 + 0.5 * label + i / 1000);
  const blind = twenty.map(() => 0.5);

  it('answers two perfect models with the smallest margin that 20 images could have shown', () => {
    const { models, comparison } = compare(perfect, perfect, twenty);
    expect(models.real.auc).toMatchObject({ value: 1, ci: { upper: 1 } });
    expect(models.real.aucGrouped.ci).toBeNull();
    expect(comparison.delong).toMatchObject({ difference: { value: 0, ci: null }, z: 0, p: 1 });
    expect(comparison.nonInferiority).toBeNull();
    expect(comparison.mcnemar).toEqual({ realOnlyCorrect: 0, syntheticOnlyCorrect: 0, exact: 1, midP: 1 });
    // 1 - 0.025^(1/10)
    expect(comparison.notes.join()).toContain('could have shown is 0.308 (exact bound from 10 disjoint pairs)');
  });
  it.each([
    [20, 20],
    [100, 100],
    [150, 150],
    [23, 51],
  ])('names the margin of two perfect models of %d and %d images, whatever 1 / n rounds to', (cases, controls) => {
    const labels = Array.from({ length: cases + controls }, (_, i) => (i < cases ? 1 : 0));
    const { notes } = compareAucs({
      real: labels,
      synthetic: labels,
      labels,
      margin: 0.05,
      alpha: 0.025,
      ciLevel: 0.95,
    });
    expect(notes.join()).toContain(`exact bound from ${Math.min(cases, controls)} disjoint pairs`);
    expect(delongTest({ scoresA: labels, scoresB: labels, labels }).aucA).toBe(1);
  });
  it('answers a perfect against a blind model without dividing by zero', () => {
    const { comparison, models } = compare(perfect, blind, twenty);
    expect(comparison.delong).toBeNull();
    expect(comparison.nonInferiority).toBeNull();
    expect(comparison.notes.join()).toContain('differ by 0.500');
    expect(models.synthetic.auc).toEqual({ value: 0.5, ci: null });
  });
  it('answers a class with a single image', () => {
    const { comparison, models } = compare([0.1, 0.9, 0.4], [0.2, 0.3, 0.4], [0, 0, 1]);
    expect(comparison.delong).toBeNull();
    expect(comparison.notes.join()).toContain('got 1 positive and 2 negative');
    expect(models.real.auc).toEqual({ value: 0.5, ci: null });
  });
  it('refuses a test set of one class, and predictions of other images', () => {
    expect(() => compare([0.1, 0.2], [0.1, 0.2], [1, 1])).toThrow('both classes, got 2 positive and 0 negative');
    const real = predict(perfect, twenty);
    expect(() => compareModels({ ...options, predictions: { real, synthetic: real.toReversed() } })).toThrow(
      'same order; at 0',
    );
    expect(() => compareModels({ ...options, predictions: { real, synthetic: real.slice(1) } })).toThrow(
      'got 20 and 19',
    );
  });
});
