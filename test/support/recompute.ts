import type { ClassSide, EvaluationManifest, ModelEvaluation, Prediction } from '../../contract/manifests.ts';

/**
 * An independent check of a finished study: AUC, McNemar and confusion matrices again from the stored predictions, by
 * other algorithms than lib/stats (which ranks; this counts pairs) and without any of its code.
 */

export interface RecomputedModel {
  readonly auc: number;
  readonly confusion: { readonly tp: number; readonly fp: number; readonly tn: number; readonly fn: number };
  readonly test: Readonly<Record<ClassSide, number>>;
}

export interface RecomputedEvaluation {
  readonly models: { readonly real: RecomputedModel; readonly synthetic: RecomputedModel };
  readonly mcnemar: {
    readonly realOnlyCorrect: number;
    readonly syntheticOnlyCorrect: number;
    readonly exact: number;
    readonly midP: number;
  };
}

/** Stored predictions: one JSON object per line. */
export function parsePredictions(jsonLines: string): Prediction[] {
  return jsonLines
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => JSON.parse(line) as Prediction); // written by predictTestSet; used by tests only
}

/** Share of (positive, negative) pairs in the right order, ties one half: O(n^2), straight from the definition. */
function countPairs(predictions: readonly Prediction[]): number {
  const positives = predictions.filter((prediction) => prediction.side === 'positive');
  const negatives = predictions.filter((prediction) => prediction.side === 'negative');
  let twice = 0;
  for (const p of positives)
    for (const n of negatives)
      if (p.probability > n.probability) twice += 2;
      else if (p.probability === n.probability) twice += 1;
  return twice / (2 * positives.length * negatives.length);
}

const isCalledPositive = (prediction: Prediction, threshold: number): boolean => prediction.probability >= threshold;
const isCorrect = (prediction: Prediction, threshold: number): boolean =>
  isCalledPositive(prediction, threshold) === (prediction.side === 'positive');

function recomputeModel(predictions: readonly Prediction[], threshold: number): RecomputedModel {
  const confusion = { tp: 0, fp: 0, tn: 0, fn: 0 };
  for (const prediction of predictions) {
    const called = isCalledPositive(prediction, threshold);
    if (prediction.side === 'positive') confusion[called ? 'tp' : 'fn'] += 1;
    else confusion[called ? 'fp' : 'tn'] += 1;
  }
  return {
    auc: countPairs(predictions),
    confusion,
    test: { positive: confusion.tp + confusion.fn, negative: confusion.tn + confusion.fp },
  };
}

/** log n! by summing logs. */
function logFactorial(n: number): number {
  let sum = 0;
  for (let i = 2; i <= n; i++) sum += Math.log(i);
  return sum;
}

/** Chance of exactly k heads in n throws of a fair coin. */
const fairCoin = (k: number, n: number): number =>
  Math.exp(logFactorial(n) - logFactorial(k) - logFactorial(n - k) - n * Math.LN2);

function recomputeMcnemar(b: number, c: number): { exact: number; midP: number } {
  const n = b + c;
  if (n === 0) return { exact: 1, midP: 1 };
  const smaller = Math.min(b, c);
  let tail = 0;
  for (let k = 0; k <= smaller; k++) tail += fairCoin(k, n);
  const exact = Math.min(1, 2 * tail);
  return { exact, midP: b === c ? 1 - fairCoin(smaller, n) / 2 : exact - fairCoin(smaller, n) };
}

/**
 * Everything that can be said from the predictions alone. The two lists may be in any order; images are matched by name.
 * Throws Error when the models did not score the same images with the same labels.
 */
export function recomputeEvaluation(args: {
  readonly real: readonly Prediction[];
  readonly synthetic: readonly Prediction[];
  readonly threshold: number;
}): RecomputedEvaluation {
  const { real, synthetic, threshold } = args;
  // A shard per class numbers its members for itself, so a name is unique within a class only.
  const name = (prediction: Prediction): string => `${prediction.side}/${prediction.member}`;
  const bySynthetic = new Map(synthetic.map((prediction) => [name(prediction), prediction]));
  if (bySynthetic.size !== synthetic.length || synthetic.length !== real.length)
    throw new Error(`expected both models to score the same images once, got ${real.length} and ${bySynthetic.size}`);
  let realOnlyCorrect = 0;
  let syntheticOnlyCorrect = 0;
  for (const prediction of real) {
    const other = bySynthetic.get(name(prediction));
    if (other === undefined) throw new Error(`the synthetic-trained model did not score ${name(prediction)}`);
    const pair = [isCorrect(prediction, threshold), isCorrect(other, threshold)];
    if (pair[0] && !pair[1]) realOnlyCorrect++;
    if (!pair[0] && pair[1]) syntheticOnlyCorrect++;
  }
  return {
    models: { real: recomputeModel(real, threshold), synthetic: recomputeModel(synthetic, threshold) },
    mcnemar: { realOnlyCorrect, syntheticOnlyCorrect, ...recomputeMcnemar(realOnlyCorrect, syntheticOnlyCorrect) },
  };
}

/** Largest difference that rounding explains. */
const tolerance = 1e-9;

function compareModel(stored: ModelEvaluation, again: RecomputedModel): string[] {
  const differences: string[] = [];
  for (const key of ['tp', 'fp', 'tn', 'fn'] as const)
    if (stored.confusion[key] !== again.confusion[key])
      differences.push(`${stored.variant} ${key}: stored ${stored.confusion[key]}, recomputed ${again.confusion[key]}`);
  if (!(Math.abs(stored.auc.value - again.auc) <= tolerance))
    differences.push(`${stored.variant} auc: stored ${stored.auc.value}, recomputed ${again.auc}`);
  return differences;
}

/** What a stored evaluation says otherwise than its own predictions; empty when they agree. */
export function compareWithStored(stored: EvaluationManifest, again: RecomputedEvaluation): string[] {
  const differences = [
    ...compareModel(stored.models.real, again.models.real),
    ...compareModel(stored.models.synthetic, again.models.synthetic),
  ];
  for (const side of ['negative', 'positive'] as const)
    if (stored.test[side] !== again.models.real.test[side])
      differences.push(`test ${side}: stored ${stored.test[side]}, recomputed ${again.models.real.test[side]}`);
  for (const key of ['realOnlyCorrect', 'syntheticOnlyCorrect', 'exact', 'midP'] as const)
    if (!(Math.abs(stored.comparison.mcnemar[key] - again.mcnemar[key]) <= tolerance))
      differences.push(`mcnemar ${key}: stored ${stored.comparison.mcnemar[key]}, recomputed ${again.mcnemar[key]}`);
  return differences;
}
