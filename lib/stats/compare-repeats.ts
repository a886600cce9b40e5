import type { Prediction, RepeatedEvaluation, RepeatedModel, RepeatEvaluation } from '../../contract/manifests.ts';
import type { PerVariant } from '../../contract/names.ts';
import { createRng } from '../random.ts';
import { at } from './at.ts';
import { bootstrapRepeats } from './bootstrap-repeats.ts';
import { compareAucs } from './compare-aucs.ts';
import { groupsOf, labelsOf, requireSameImages, type CompareModelsInput } from './compare-models.ts';
import { confusionAt } from './confusion.ts';
import { rocAuc } from './roc-auc.ts';
import { spreadOf } from './spread.ts';

/** One training: what it says of the test images, and from which probability it calls one positive. */
export interface RepeatPredictions {
  readonly predictions: readonly Prediction[];
  readonly threshold: number;
}

type Evaluated = Omit<RepeatEvaluation, 'predictions'>;

/** As stored, without where the predictions lie. */
export interface ComparedRepeats {
  readonly models: PerVariant<Omit<RepeatedModel, 'repeats'> & { readonly repeats: readonly Evaluated[] }>;
  readonly comparison: RepeatedEvaluation['comparison'];
}

/**
 * The spread between trainings of the two classifiers, repeat 0 first, beside the tests of repeat 0 in compare-models.ts.
 * Pairs are made by number, which was fixed beforehand; their verdicts share one test set and are no further tests.
 *
 * Throws RangeError for fewer than two repeats, unequal numbers of them, or predictions of other images.
 */
export function compareRepeats(
  repeats: PerVariant<readonly RepeatPredictions[]>,
  options: Pick<CompareModelsInput, 'margin' | 'alpha' | 'ciLevel' | 'bootstrapResamples' | 'seed'>,
): ComparedRepeats {
  const { real, synthetic } = repeats;
  if (real.length !== synthetic.length)
    throw new RangeError(`compareRepeats requires equally many repeats, got ${real.length} and ${synthetic.length}`);
  const first = at(real, 0).predictions;
  for (const { predictions } of [...real, ...synthetic]) requireSameImages({ real: first, synthetic: predictions });
  const [labels, groups] = [labelsOf(first), groupsOf(first)];
  const scores = { real: real.map(scoresOf), synthetic: synthetic.map(scoresOf) };
  const pairs = scores.real.map((ofReal, r) => comparePair(ofReal, at(scores.synthetic, r), { ...options, labels }));
  const ci = bootstrapRepeats({
    ...{ scores, labels, groups, resamples: options.bootstrapResamples, level: options.ciLevel },
    rng: createRng(options.seed, 'evaluation/bootstrap-repeats'),
  });
  return {
    models: { real: evaluateAll(real, labels), synthetic: evaluateAll(synthetic, labels) },
    comparison: { pairs, difference: spreadOf(pairs.map(({ difference }) => difference.value)), ci },
  };
}

const scoresOf = ({ predictions }: RepeatPredictions): number[] => predictions.map(({ probability }) => probability);

function comparePair(
  real: readonly number[],
  synthetic: readonly number[],
  options: Pick<CompareModelsInput, 'margin' | 'alpha' | 'ciLevel'> & { readonly labels: readonly number[] },
): RepeatedEvaluation['comparison']['pairs'][number] {
  const { delong, nonInferiority } = compareAucs({ ...options, real, synthetic });
  const { labels } = options;
  const value = rocAuc({ scores: real, labels }) - rocAuc({ scores: synthetic, labels });
  return { difference: delong?.difference ?? { value, ci: null }, nonInferior: nonInferiority?.nonInferior ?? null };
}

function evaluateAll(
  repeats: readonly RepeatPredictions[],
  labels: readonly number[],
): ComparedRepeats['models']['real'] {
  const evaluated = repeats.map((repeat): Evaluated => {
    const { threshold } = repeat;
    const scores = scoresOf(repeat);
    const { tp, fp, tn, fn } = confusionAt({ scores, labels, threshold });
    const rates = { accuracy: (tp + tn) / labels.length, sensitivity: tp / (tp + fn), specificity: tn / (tn + fp) };
    return { threshold, auc: rocAuc({ scores, labels }), ...rates };
  });
  const spread = (pick: (repeat: Evaluated) => number): RepeatedModel['auc'] => spreadOf(evaluated.map(pick));
  return { repeats: evaluated, auc: spread(({ auc }) => auc), accuracy: spread(({ accuracy }) => accuracy) };
}
