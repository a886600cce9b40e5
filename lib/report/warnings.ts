import { canonicalJson } from '../../contract/canonical-json.ts';
import {
  classSides,
  type ClassSide,
  type EvaluationManifest,
  type Fingerprint,
  type ModelEvaluation,
  type SnapshotMetric,
} from '../../contract/manifests.ts';
import type { ClassifierVariant } from '../../contract/names.ts';
import { decidingRule } from '../../contract/plan.ts';
import type { Study } from '../../contract/study.ts';
import { marginOfPerfectModels } from '../stats/compare-aucs.ts';
import {
  formatCount,
  formatKimg,
  formatLevel,
  formatNumber,
  formatPercent,
  formatUnit,
  withoutStop,
} from './format.ts';
import { findRecipeFaults } from './recipe-faults.ts';
import { listTrainings } from './repeats.ts';
import type { ReportInputs } from './report-inputs.ts';

/** `serious` (red) makes the main figures unusable as they stand; `caution` limits what they mean. */
export interface Warning {
  readonly level: 'serious' | 'caution';
  readonly text: string;
}

/** The reference's chosen snapshots lay at 9,918 and 12,499 kimg; below a tenth of that a generator is unfinished. */
export const shortTrainingNimg = 1_000_000;
/** Chosen snapshot's metric over floor from which the fakes are plainly not the reals' distribution. */
export const farAboveFloor = 3;
/** Test images per class of the reference; fewer leave intervals wider than the customary margin of 0.05. */
export const smallTestSet = 150;
/** Acceptance below which the filter, not the generator, decides what the synthetic set looks like. */
export const lowAcceptance = 0.5;
/** Share of the coverage before the filter below which it has collapsed variety. */
export const collapseRatio = 0.8;
/** AUC of the real-trained classifier below which filter and metric rest on sand. */
export const weakClassifierAuc = 0.7;

const serious = (text: string): Warning => ({ level: 'serious', text });
const caution = (text: string): Warning => ({ level: 'caution', text });

function warnOfRecipe(inputs: ReportInputs): readonly Warning[] {
  const { study, classifiers } = inputs;
  const warnings: Warning[] = [];
  const { freeze, bn } = study.classifier;
  if (classifiers.real.pretrained === null && freeze !== 'none')
    warnings.push(
      serious(
        'Random trunk: no pretrained weights were supplied, so most layers of both classifiers stayed frozen at random initial values. This is not the published recipe; its figures say little about it.',
      ),
    );
  else if (classifiers.real.pretrained === null && bn === 'frozen')
    warnings.push(
      serious(
        'Normalisation of nothing: no pretrained weights were supplied, so the normalisation of both classifiers stayed at its initial statistics (mean 0, variance 1) while every kernel was trained from random values. No published recipe does so.',
      ),
    );
  else if (classifiers.real.pretrained === null)
    warnings.push(
      caution(
        'Both classifiers were trained from scratch: no pretrained weights were supplied. On small sets this usually costs accuracy, and published figures, which start from ImageNet weights, are no measure for these.',
      ),
    );
  if (study.preset !== 'nakata') return warnings;
  const faults = findRecipeFaults(inputs).filter((fault) => fault.present);
  return [
    ...warnings,
    ...faults.map((fault) =>
      caution(`Fault of the reference recipe, repeated on purpose: ${fault.name}. ${fault.detail}`),
    ),
  ];
}

function warnOfGenerator({ study, generators, synthetic }: ReportInputs, side: ClassSide): readonly Warning[] {
  const generator = generators[side];
  const name = study.classes[side];
  const { metric } = synthetic[side].snapshot;
  const warnings: Warning[] = [];
  if (generator.nimg < shortTrainingNimg)
    warnings.push(
      caution(
        `Short training: the generator of ${name} saw ${formatKimg(generator.nimg)}${generator.start === undefined ? '; published results need thousands. Expect poor images' : ' after the weights that it started from; published results from random ones need thousands'}.`,
      ),
    );
  if (metric !== null && metric.value > farAboveFloor * generator.floor.value)
    warnings.push(
      caution(
        `The chosen snapshot of ${name} is far from the real images: ${metric.name} ${formatNumber(metric.value)} where two halves of the real ones give ${formatNumber(generator.floor.value)}.`,
      ),
    );
  const counts = generator.losses.flatMap(({ skipped = {} }) => Object.values(skipped));
  if (counts.length > 0)
    warnings.push(
      caution(
        `In the training of the generator of ${name}, ${formatCount(counts.reduce((sum, count) => sum + count, 0))} updates were skipped because a loss or gradient was not finite.`,
      ),
    );
  for (const { fromNimg, toNimg, reason } of generator.rollBacks ?? [])
    warnings.push(
      caution(
        `The training of the generator of ${name} went back from ${formatKimg(fromNimg)} to ${formatKimg(toNimg)} and on from there with other random draws: ${withoutStop(reason)}.`,
      ),
    );
  if (generator.stopped !== null)
    warnings.push(
      caution(`The training of the generator of ${name} was stopped early: ${withoutStop(generator.stopped)}.`),
    );
  return warnings;
}

function warnOfFilter({ study, filtered }: ReportInputs): readonly Warning[] {
  const warnings: Warning[] = [];
  if (filtered.degenerate !== null)
    warnings.push(serious(`Degenerate synthetic set: ${withoutStop(filtered.degenerate)}. Nothing was compared.`));
  for (const side of classSides) {
    const { accepted, candidates, ended, kept, loss } = filtered.classes[side];
    const rate = candidates === 0 ? 0 : accepted / candidates;
    const name = study.classes[side];
    if (rate === 0)
      warnings.push(serious(`Acceptance 0: the filter accepted none of ${formatCount(candidates)} images of ${name}.`));
    else if (rate < lowAcceptance && decidingRule(study.filter) !== 'quantile')
      warnings.push(caution(`Low acceptance: the filter let only ${formatPercent(rate)} of the ${name} fakes pass.`));
    if (loss !== null && loss.after.coverage < collapseRatio * loss.before.coverage)
      warnings.push(
        serious(
          `The filter collapses variety: of the ${name} training images, ${formatPercent(loss.before.coverage)} had a fake near them before it and ${formatPercent(loss.after.coverage)} after it, at equal numbers of fakes.`,
        ),
      );
    if (ended === 'maxCandidates tried' && rate > 0)
      warnings.push(
        caution(
          `Top-up for ${name} ended at filter.maxCandidates before enough images were accepted; the balanced draw has ${formatCount(kept)} images.`,
        ),
      );
  }
  return warnings;
}

function warnOfModel(model: ModelEvaluation, classes: ReportInputs['study']['classes']): readonly Warning[] {
  const { tp, fp, tn, fn } = model.confusion;
  const name = model.variant === 'real' ? 'real-trained' : 'synthetic-trained';
  const warnings: Warning[] = [];
  if (model.auc.value === 1)
    warnings.push(
      caution(
        `The ${name} model separates the test set perfectly (AUC 1): its DeLong variance is zero, so tests built on it are degenerate. This is what a small or easy test set does, no proof of a perfect model.`,
      ),
    );
  if (tp + fp === 0)
    warnings.push(serious(`The ${name} model calls every test image ${classes.negative}: it has learned no decision.`));
  if (tn + fn === 0)
    warnings.push(serious(`The ${name} model calls every test image ${classes.positive}: it has learned no decision.`));
  return warnings;
}

/** Where the verdict of repeat 0, the only test, hangs on the luck of its training. */
function warnOfRepeats({ repeats, comparison }: EvaluationManifest, { evaluation }: Study): readonly Warning[] {
  const verdict = comparison.nonInferiority?.nonInferior;
  if (repeats === undefined || verdict === undefined) return [];
  const { pairs, ci } = repeats.comparison;
  const shown = pairs.filter(({ nonInferior }) => nonInferior === true).length;
  const warnings: Warning[] = [];
  if (shown > 0 && shown < pairs.length)
    warnings.push(
      caution(
        `Non-inferiority hangs on the training: it was ${verdict ? 'shown' : 'not shown'} with repeat 0, which counts, and shown in ${shown} of ${pairs.length} pairs of trainings.`,
      ),
    );
  if (verdict && ci !== null && ci.upper >= evaluation.margin)
    warnings.push(
      caution(
        `Non-inferiority holds for the two models of repeat 0. Over other test images and other trainings the mean loss of AUC may be ${formatUnit(ci.upper)} (${formatLevel(ci.level)} interval), no less than the margin of ${formatUnit(evaluation.margin)}.`,
      ),
    );
  return warnings;
}

/** What margin the test set could have shown, however the models did. */
function describeShowable({ test, models, comparison }: EvaluationManifest, { evaluation }: Study): string {
  const asked = `the study asked for ${formatUnit(evaluation.margin)}`;
  const smallest = comparison.nonInferiority?.smallestMargin ?? null;
  if (smallest !== null)
    return `the smallest margin it could have shown (80% power, equally good models) is ${formatUnit(smallest)} AUC; ${asked}`;
  const counts = { cases: test.positive, controls: test.negative, alpha: evaluation.alpha };
  const bound = marginOfPerfectModels([models.real.auc.value, models.synthetic.auc.value], counts);
  return bound === null
    ? 'no margin could be shown with it'
    : `the smallest margin it could have shown with two perfect models (exact bound) is ${formatUnit(bound)} AUC; ${asked}`;
}

/** What else the real-trained classifier, repeat 0, decides. */
function describeResting({ rule }: Study['filter'], { name }: SnapshotMetric): string {
  const together = rule === 'ensemble';
  if (name === 'fid') return together ? 'the filter rests on it and its repeats' : 'the filter rests on it';
  return together
    ? 'the snapshot metric rests on it, and the filter on it and its repeats'
    : 'the filter and the snapshot metric rest on it';
}

function warnOfEvaluation({ study, evaluation, generators }: ReportInputs): readonly Warning[] {
  if (evaluation === null) return [];
  const { audit, test, models } = evaluation;
  const warnings: Warning[] = [];
  for (const check of audit.checks)
    if (!check.passed) warnings.push(serious(`Leakage audit failed: ${check.name} (${withoutStop(check.detail)}).`));
  warnings.push(...warnOfModel(models.real, study.classes), ...warnOfModel(models.synthetic, study.classes));
  if (models.real.auc.value < weakClassifierAuc)
    warnings.push(
      serious(
        `The real-trained classifier is weak (AUC ${formatUnit(models.real.auc.value)}): being no worse than it proves nothing, and ${describeResting(study.filter, generators.negative.floor)}.`,
      ),
    );
  warnings.push(...warnOfRepeats(evaluation, study));
  if (Math.min(test.negative, test.positive) < smallTestSet) {
    warnings.push(
      caution(
        `Small test set: ${formatCount(test.negative)} ${study.classes.negative} and ${formatCount(test.positive)} ${study.classes.positive} images; ${describeShowable(evaluation, study)}.`,
      ),
    );
  }
  return warnings;
}

function warnOfDivergence({ classifiers }: ReportInputs): readonly Warning[] {
  return (['real', 'synthetic'] as const).flatMap((variant) =>
    listTrainings(classifiers, variant).flatMap(([, { repeat = 0, recoveries = [] }]) =>
      recoveries.map(({ epoch, loss, learningRate, nextLearningRate }) =>
        caution(
          `The training of the classifier on ${variant} images${repeat === 0 ? '' : `, repeat ${repeat},`} diverged in epoch ${epoch} (loss ${loss}) at a learning rate of ${learningRate}; it went back to the last good state and on at ${nextLearningRate}.`,
        ),
      ),
    ),
  );
}

/** Fingerprints by step, in the order of the study; steps that did not happen are absent. */
export function listFingerprints(inputs: ReportInputs): readonly { step: string; fingerprint: Fingerprint }[] {
  const { dataset, classifiers, generators, synthetic, filtered, evaluation } = inputs;
  const trained = (variant: ClassifierVariant): [string, Fingerprint][] =>
    listTrainings(classifiers, variant).map(([step, { fingerprint }]) => [step, fingerprint]);
  const steps: readonly (readonly [string, Fingerprint | undefined])[] = [
    ['dataset', dataset.fingerprint],
    ...trained('real'),
    ['generator/negative', generators.negative.fingerprint],
    ['generator/positive', generators.positive.fingerprint],
    ['synthetic/negative', synthetic.negative.fingerprint],
    ['synthetic/positive', synthetic.positive.fingerprint],
    ['filter', filtered.fingerprint],
    ...trained('synthetic'),
    ['evaluation', evaluation?.fingerprint],
  ];
  return steps.flatMap(([step, fingerprint]) => (fingerprint === undefined ? [] : [{ step, fingerprint }]));
}

/** `step: change` for every segment that resumed on other software, device or settings. */
export function listFingerprintChanges({ classifiers, generators }: ReportInputs): readonly string[] {
  const trainings = [
    ...listTrainings(classifiers, 'real'),
    ['generator/negative', generators.negative],
    ['generator/positive', generators.positive],
    ...listTrainings(classifiers, 'synthetic'),
  ] as const;
  return trainings.flatMap(([step, manifest]) => manifest.fingerprintChanges.map((change) => `${step}: ${change}`));
}

function warnOfFingerprints(inputs: ReportInputs): readonly Warning[] {
  const warnings = listFingerprintChanges(inputs).map((change) =>
    caution(
      `The fingerprint changed during a training, so its bytes cannot be reproduced on one machine: ${withoutStop(change)}.`,
    ),
  );
  const engines = listFingerprints(inputs).filter(({ fingerprint }) => fingerprint.tensorflow !== null);
  if (new Set(engines.map(({ fingerprint }) => canonicalJson(fingerprint))).size > 1)
    warnings.push(
      caution('Steps ran on different engines or devices (see provenance); figures agree within tolerances only.'),
    );
  return warnings;
}

/** Everything a reader must know before believing the figures, serious ones first. */
export function findWarnings(inputs: ReportInputs): readonly Warning[] {
  const warnings = [
    ...warnOfRecipe(inputs),
    ...classSides.flatMap((side) => warnOfGenerator(inputs, side)),
    ...warnOfFilter(inputs),
    ...warnOfDivergence(inputs),
    ...warnOfEvaluation(inputs),
    ...warnOfFingerprints(inputs),
  ];
  const isSerious = (warning: Warning): boolean => warning.level === 'serious';
  return [...warnings.filter(isSerious), ...warnings.filter((warning) => !isSerious(warning))];
}
