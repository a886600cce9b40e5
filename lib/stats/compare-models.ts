import type { ModelComparison, ModelEvaluation, OperatingPoint, Prediction } from '../../contract/manifests.ts';
import type { ClassifierVariant } from '../../contract/names.ts';
import { createRng } from '../random.ts';
import { at } from './at.ts';
import { aucEstimate } from './auc-interval.ts';
import { bootstrapAuc } from './bootstrap.ts';
import { brier } from './brier.ts';
import { compareAucs } from './compare-aucs.ts';
import { confusionAt, confusionRates } from './confusion.ts';
import { mcnemarTest } from './mcnemar.ts';
import { rocCurve } from './roc-curve.ts';

export interface CompareModelsInput {
  /** Of both models, on the same images in the same order. */
  readonly predictions: Readonly<Record<ClassifierVariant, readonly Prediction[]>>;
  /** Largest loss of AUC that counts as none, fixed before the test set was opened. */
  readonly margin: number;
  /** One-sided level of the non-inferiority test. */
  readonly alpha: number;
  readonly ciLevel: number;
  readonly bootstrapResamples: number;
  /** Root seed of the study. */
  readonly seed: number;
  /** Of each model, fixed before the test set was opened. */
  readonly operatingPoints: Readonly<Record<ClassifierVariant, OperatingPoint>>;
}

export interface ComparedModels {
  readonly models: Readonly<Record<ClassifierVariant, Omit<ModelEvaluation, 'predictions'>>>;
  readonly comparison: ModelComparison;
}

/**
 * Everything that is said about the two classifiers on the untouched test set. Outcomes without a test (one image in a
 * class, no variance, perfect separation) give null and a note in plain words, never NaN.
 *
 * Throws RangeError when the two lists are not about the same images, or when a class has no image at all.
 */
export function compareModels(input: CompareModelsInput): ComparedModels {
  const { predictions } = input;
  requireSameImages(predictions);
  const labels = labelsOf(predictions.real);
  const groups = groupsOf(predictions.real);
  const notes: string[] = [];
  const models = {
    real: evaluate('real', { ...input, labels, groups, notes }),
    synthetic: evaluate('synthetic', { ...input, labels, groups, notes }),
  };
  const scoresOf = (variant: ClassifierVariant): number[] => predictions[variant].map((p) => p.probability);
  const aucs = compareAucs({ ...input, labels, real: scoresOf('real'), synthetic: scoresOf('synthetic') });
  const images = new Set(groups).size;
  if (images < labels.length)
    notes.push(
      `The ${labels.length} test images form ${images} groups of near duplicates or patients. McNemar, DeLong and Wilson treat ` +
        'images as independent; the grouped interval of the AUC does not.',
    );
  return { models, comparison: { mcnemar: mcnemarOf(input, labels), ...aucs, notes: [...notes, ...aucs.notes] } };
}

/** 1 positive, 0 negative. */
export const labelsOf = (predictions: readonly Prediction[]): number[] =>
  predictions.map(({ side }) => (side === 'positive' ? 1 : 0));

/** An image without a group is a group of its own. */
export const groupsOf = (predictions: readonly Prediction[]): string[] =>
  predictions.map(({ groupId, member }, i) => groupId ?? `${member}#${i}`);

/** Throws RangeError when the two lists are not about the same images, or when a class has no image at all. */
export function requireSameImages({ real, synthetic }: CompareModelsInput['predictions']): void {
  if (real.length !== synthetic.length)
    throw new RangeError(`compareModels requires equally many predictions, got ${real.length} and ${synthetic.length}`);
  real.forEach((a, i) => {
    const b = at(synthetic, i);
    if (a.member !== b.member || a.side !== b.side || a.groupId !== b.groupId)
      throw new RangeError(
        `compareModels requires predictions of the same images in the same order; at ${i} the real model has ` +
          `${a.member} (${a.side}), the synthetic model ${b.member} (${b.side})`,
      );
  });
  const cases = real.filter(({ side }) => side === 'positive').length;
  if (cases === 0 || cases === real.length)
    throw new RangeError(
      `compareModels requires test images of both classes, got ${cases} positive and ${real.length - cases} negative`,
    );
}

function evaluate(
  variant: ClassifierVariant,
  input: CompareModelsInput & {
    readonly labels: readonly number[];
    readonly groups: readonly string[];
    readonly notes: string[];
  },
): Omit<ModelEvaluation, 'predictions'> {
  const { labels, groups, ciLevel, notes } = input;
  const operatingPoint = input.operatingPoints[variant];
  const scores = input.predictions[variant].map((prediction) => prediction.probability);
  const confusion = confusionAt({ scores, labels, threshold: operatingPoint.threshold });
  const auc = aucEstimate({ scores, labels, level: ciLevel });
  if (auc === null) throw new RangeError('unreachable: requireSameImages saw both classes');
  // Both models draw the same resamples: one stream for the test set.
  const rng = createRng(input.seed, 'evaluation/bootstrap');
  const grouped = bootstrapAuc({ scores, labels, groups, resamples: input.bootstrapResamples, level: ciLevel, rng });
  if (auc.value === 1)
    notes.push(`The ${variant}-trained model separates the test set perfectly; its AUC interval is an exact bound.`);
  else if (auc.ci === null)
    notes.push(
      `The AUC of the ${variant}-trained model has no interval: too few images in a class, or all scores equal.`,
    );
  if (grouped === null)
    notes.push(
      `The grouped AUC of the ${variant}-trained model has no interval: all its resamples agree, or a class has one group.`,
    );
  return {
    variant,
    confusion,
    operatingPoint,
    ...confusionRates(confusion, ciLevel),
    auc,
    aucGrouped: { value: auc.value, ci: grouped },
    brier: brier({ scores, labels }),
    roc: rocCurve({ scores, labels }),
  };
}

function mcnemarOf(
  { predictions, operatingPoints }: CompareModelsInput,
  labels: readonly number[],
): ModelComparison['mcnemar'] {
  const correct = (variant: ClassifierVariant, i: number): boolean =>
    at(predictions[variant], i).probability >= operatingPoints[variant].threshold === (at(labels, i) === 1);
  const counts = { realOnlyCorrect: 0, syntheticOnlyCorrect: 0 };
  labels.forEach((_, i) => {
    const real = correct('real', i);
    const synthetic = correct('synthetic', i);
    if (real && !synthetic) counts.realOnlyCorrect++;
    if (synthetic && !real) counts.syntheticOnlyCorrect++;
  });
  const { exact, midP } = mcnemarTest({ onlyA: counts.realOnlyCorrect, onlyB: counts.syntheticOnlyCorrect });
  return { ...counts, exact, midP };
}
