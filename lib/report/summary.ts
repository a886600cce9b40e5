import { classSides, type ClassSide, type EvaluationManifest, type PerClass } from '../../contract/manifests.ts';
import { describeRule } from '../synthesis/filter-rules.ts';
import {
  formatCount,
  formatEstimate,
  formatInterval,
  formatKimg,
  formatLevel,
  formatNumber,
  formatPEquals,
  formatPercent,
  formatUnit,
  plural,
  withoutStop,
} from './format.ts';
import { describeMeanDifference } from './page-repeats.ts';
import type { ReportInputs } from './report-inputs.ts';
import { findWarnings, type Warning } from './warnings.ts';

/** The study in plain words: three to nine sentences, then what a reader must know before believing them. */
export interface Summary {
  readonly sentences: readonly string[];
  readonly warnings: readonly Warning[];
}

const sum = (counts: PerClass<number>): number => counts.negative + counts.positive;

function perClass(inputs: ReportInputs, text: (side: ClassSide) => string): string {
  return classSides.map((side) => `${text(side)} ${inputs.study.classes[side]}`).join(', ');
}

function describeQuestion({ study, dataset }: ReportInputs): string {
  const { classes, image } = study;
  const kind = image.channels === 1 ? 'grey' : 'colour';
  return `This study asked how well a classifier that has seen synthetic images only tells ${classes.positive} from ${classes.negative} in real images of ${dataset.name} (${kind}, ${image.resolution} px), compared with one trained on the real images.`;
}

function describeWork(inputs: ReportInputs): readonly string[] {
  const { classifiers, generators, filtered, study } = inputs;
  const networks =
    study.generator.conditional === true
      ? 'one conditional StyleGAN2 generator of both classes'
      : 'one StyleGAN2 generator per class';
  const trained = perClass(inputs, (side) => formatKimg(generators[side].nimg));
  const [negative, positive] = classSides.map((side) => {
    const { kept, candidates } = filtered.classes[side];
    return `${formatCount(kept)} of ${formatCount(candidates)} ${study.classes[side]}`;
  });
  return [
    `The first classifier learned from ${plural(sum(classifiers.real.images.train), 'real image')}, and ${networks} was trained on the same training set (${trained}).`,
    `Of the generated images ${negative ?? ''} and ${positive ?? ''} were kept, drawn from those of which ${study.filter.rule === 'ensemble' ? `the first classifier and its ${plural(study.repeats - 1, 'repeat')} together say` : 'the first classifier says'} that ${describeRule(filtered.filter)}.`,
    classifiers.synthetic === null
      ? 'No second classifier could be trained on them.'
      : `A second classifier of the same design learned from ${plural(sum(classifiers.synthetic.images.train), 'synthetic image')} and no real one.`,
  ];
}

function describeResult(inputs: ReportInputs, evaluation: EvaluationManifest): string {
  const { models, test, groups } = evaluation;
  const counts = perClass(inputs, (side) => formatCount(test[side]));
  return `On ${plural(sum(test), 'untouched real test image')} (${counts}; ${plural(groups, 'group')}) the AUC was ${formatEstimate(models.real.auc)} after training on real images and ${formatEstimate(models.synthetic.auc)} after training on synthetic ones.`;
}

function describeDifference(evaluation: EvaluationManifest, ciLevel: number): string | null {
  const { delong } = evaluation.comparison;
  if (delong === null) return null;
  const { value, ci } = delong.difference;
  const interval = ci === null ? '' : `${formatLevel(ci.level)} interval ${formatInterval(ci)}, `;
  const figures = `The difference, real minus synthetic, was ${formatUnit(value)} (${interval}paired DeLong, ${formatPEquals(delong.p)})`;
  if (delong.p >= 1 - ciLevel)
    return `${figures}: not statistically significant, which is no evidence that the two are equal.`;
  return value > 0
    ? `${figures}: the synthetic-trained model was significantly worse.`
    : `${figures}: the synthetic-trained model was significantly better on this test set.`;
}

function describeNonInferiority({ study }: ReportInputs, evaluation: EvaluationManifest): string {
  const { nonInferiority, notes } = evaluation.comparison;
  const margin = formatUnit(study.evaluation.margin);
  if (nonInferiority === null)
    return `Non-inferiority at the margin of ${margin} could not be tested${notes.length > 0 ? ` (${notes.map(withoutStop).join('; ')})` : ''}, so it was not shown.`;
  const test = `one-sided ${formatPEquals(nonInferiority.p)}, level ${study.evaluation.alpha}`;
  return nonInferiority.nonInferior
    ? `Non-inferiority was shown at the margin of ${margin} AUC that the study file fixed beforehand (${test}).`
    : `Non-inferiority was NOT shown at the margin of ${margin} AUC that the study file fixed beforehand (${test}): a loss as large as the margin cannot be excluded.`;
}

function describeGenerators({ study, generators, synthetic }: ReportInputs): string {
  const parts = classSides.map((side) => {
    const { metric } = synthetic[side].snapshot;
    const { floor } = generators[side];
    const name = study.classes[side];
    if (metric === null) return `${name} was not measured`;
    const ratio = floor.value > 0 ? `, ${(metric.value / floor.value).toFixed(1)} times the floor` : ', floor';
    return `${name} ${formatNumber(metric.value)}${ratio} ${formatNumber(floor.value)}`;
  });
  return `How far the generators got, as ${generators.negative.floor.name} of the chosen snapshot against its floor (two halves of the real images): ${parts.join('; ')}.`;
}

function describeAcceptance(inputs: ReportInputs): string {
  const { filtered } = inputs;
  const rates = perClass(inputs, (side) => {
    const { accepted, candidates } = filtered.classes[side];
    return candidates === 0 ? 'no candidates of' : `${formatPercent(accepted / candidates)} of`;
  });
  return `The study ended without a comparison: ${withoutStop(filtered.degenerate ?? 'no second classifier was evaluated')} (accepted: ${rates}).`;
}

/** Three to nine sentences, and the warnings that go with them. */
export function summarize(inputs: ReportInputs): Summary {
  const { evaluation, study } = inputs;
  const outcome =
    evaluation === null
      ? [describeAcceptance(inputs), 'Non-inferiority could not be tested, so it was not shown.']
      : [
          describeResult(inputs, evaluation),
          describeDifference(evaluation, study.evaluation.ciLevel),
          describeNonInferiority(inputs, evaluation),
          evaluation.repeats === undefined ? null : describeMeanDifference(evaluation.repeats),
        ];
  const sentences = [describeQuestion(inputs), ...describeWork(inputs), ...outcome, describeGenerators(inputs)];
  return { sentences: sentences.filter((sentence) => sentence !== null), warnings: findWarnings(inputs) };
}
