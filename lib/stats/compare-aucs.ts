import type { ModelComparison } from '../../contract/manifests.ts';
import { countClasses } from './binary-scores.ts';
import { delongTest, type DelongResult } from './delong.ts';
import { nonInferiority, plannedPower } from './non-inferiority.ts';

interface CompareAucsInput {
  /** Scores of the model trained on real, and on synthetic images. */
  readonly real: readonly number[];
  readonly synthetic: readonly number[];
  readonly labels: readonly number[];
  readonly margin: number;
  readonly alpha: number;
  readonly ciLevel: number;
}

const shown = (value: number): string => value.toFixed(3);

/**
 * DeLong and non-inferiority of two models on one test set, with a written answer where no normal test exists. The notes
 * always name the smallest margin that the test set could have shown when it is above the one asked for.
 */
export function compareAucs(input: CompareAucsInput): Pick<ModelComparison, 'delong' | 'nonInferiority' | 'notes'> {
  const { cases, controls } = countClasses({ scores: input.real, labels: input.labels }, 'compareAucs');
  if (cases < 2 || controls < 2)
    return {
      delong: null,
      nonInferiority: null,
      notes: [
        `DeLong and non-inferiority need at least two test images per class, got ${cases} positive and ${controls} negative; ` +
          'such a test set can show no margin at all.',
      ],
    };
  const test = delongTest({
    scoresA: input.real,
    scoresB: input.synthetic,
    labels: input.labels,
    level: input.ciLevel,
  });
  return test.standardError === 0 ? withoutVariance(test, { ...input, cases, controls }) : withVariance(test, input);
}

function withVariance(
  test: DelongResult,
  { margin, alpha, ciLevel, labels }: CompareAucsInput,
): Pick<ModelComparison, 'delong' | 'nonInferiority' | 'notes'> {
  const { difference, standardError, z, p } = test;
  if (z === null || p === null || test.ci === null)
    throw new RangeError('unreachable: a positive standard error gives z, p and an interval');
  const result = nonInferiority({ difference, standardError, margin, alpha });
  const notes =
    result.smallestMargin > margin
      ? [
          `The ${labels.length} test images could have shown a margin of ${shown(result.smallestMargin)} at best ` +
            `(${plannedPower * 100}% power, equal models); the study asked for ${shown(margin)}. Not shown is not the same as inferior.`,
        ]
      : [];
  const ci = { ...test.ci, level: ciLevel, method: 'DeLong, Wald' };
  return { delong: { difference: { value: difference, ci }, standardError, z, p }, nonInferiority: result, notes };
}

/** Both models perfect, both blind, or one perfect and one blind: the scores vary, the ranks do not. */
function withoutVariance(
  test: DelongResult,
  args: CompareAucsInput & { readonly cases: number; readonly controls: number },
): Pick<ModelComparison, 'delong' | 'nonInferiority' | 'notes'> {
  const { difference, standardError, z, p } = test;
  const delong = z === null || p === null ? null : { difference: { value: difference, ci: null }, standardError, z, p };
  const why =
    difference === 0
      ? 'Both models rank the test images alike, so the difference of their AUCs has no variance and non-inferiority cannot be tested.'
      : `The AUCs differ by ${shown(difference)}, but neither varies over the test images, so DeLong and non-inferiority have no answer.`;
  return { delong, nonInferiority: null, notes: [why, ...noteOnPerfectModels(test, args)] };
}

/**
 * Of two perfect models, what loss of AUC the exact bound cannot exclude: 1 - alpha^(1 / disjoint pairs). Null when one of them
 * is not perfect.
 */
export function marginOfPerfectModels(
  aucs: readonly number[],
  { cases, controls, alpha }: { readonly cases: number; readonly controls: number; readonly alpha: number },
): number | null {
  return aucs.every((auc) => auc === 1) ? 1 - alpha ** (1 / disjointPairs(cases, controls)) : null;
}

const disjointPairs = (cases: number, controls: number): number => Math.min(cases, controls);

function noteOnPerfectModels(
  { aucA, aucB }: DelongResult,
  { cases, controls, alpha, margin }: { cases: number; controls: number; alpha: number; margin: number },
): string[] {
  const bound = marginOfPerfectModels([aucA, aucB], { cases, controls, alpha });
  if (bound === null) return [];
  return [
    `Both models separate all ${cases + controls} test images. The smallest margin that so few images could have shown is ` +
      `${shown(bound)} (exact bound from ${disjointPairs(cases, controls)} disjoint pairs); the study asked for ${shown(margin)}.`,
  ];
}
