import type { ClassifierConfig } from '../../contract/study.ts';
import type { Cut } from './network.ts';
import type { BatchNormMode } from './tensor-layers.ts';

/**
 * Which layers a training moves, and when. From random weights, or with `headEpochs` 0, all of it is one phase. On a pretrained
 * trunk there are two (evaluation.md 1.7, "Typical sound recipe"): the head alone, whose random values would otherwise spoil
 * the trunk through large gradients; then the top of the trunk, or all of it, at a lower rate. The normalisation runs on the
 * moving statistics of the supplied weights in both.
 */

/** Layers that stay at their initial weights: none; those of the reference recipe; all but the head; all below `mixed_7a`. */
export type Frozen = ClassifierConfig['freeze'] | 'trunk' | 'belowTop';

/** Features at the cut, of so many views per training image. */
export interface FeatureCache {
  readonly cut: Cut;
  readonly views: number;
}

export interface TrainingPhase {
  readonly name: 'whole' | 'head' | 'fineTune';
  /** Complete epochs before it. */
  readonly fromEpoch: number;
  readonly freeze: Frozen;
  readonly bn: ClassifierConfig['bn'];
  readonly batchNorm: BatchNormMode;
  readonly learningRate: number;
  /** Field of the study file that says so. */
  readonly rateField: 'learningRate' | 'fineTuneLearningRate';
  readonly earlyStoppingPatience: number;
  /** What is computed once per image, because all below the cut is frozen; null where the phase sees fresh images. */
  readonly cache: FeatureCache | null;
}

/** The phases in order; the last one is open-ended. */
export function planPhases(config: ClassifierConfig): readonly TrainingPhase[] {
  const { learningRate, earlyStoppingPatience } = config;
  const views = config.featureCache ?? null;
  const cacheAt = (cut: Cut): FeatureCache | null => (views === null ? null : { cut, views });
  const first = { fromEpoch: 0, learningRate, rateField: 'learningRate' } as const;
  if (config.weights === null || config.headEpochs === 0) {
    const { freeze, bn } = config;
    const batchNorm = batchNormOf(config);
    // The schema takes a cache here only where `freeze` and `bn` leave nothing to train below this cut.
    const cache = cacheAt('lastMixed');
    return [{ ...first, name: 'whole', freeze, bn, batchNorm, earlyStoppingPatience, cache }];
  }
  const frozen = { bn: 'frozen', batchNorm: { kind: 'moving' } } as const;
  return [
    // Early stopping would end the training before its trunk was ever trained.
    { ...{ ...first, ...frozen, name: 'head', freeze: 'trunk', earlyStoppingPatience: 0 }, cache: cacheAt('pooled') },
    {
      ...frozen,
      name: 'fineTune',
      fromEpoch: config.headEpochs,
      freeze: config.fineTuneLayers === 'all' ? 'none' : 'belowTop',
      learningRate: config.fineTuneLearningRate,
      rateField: 'fineTuneLearningRate',
      earlyStoppingPatience,
      cache: null,
    },
  ];
}

/** The reference recipe ran on a layer whose moving variance is unbiased (evaluation.md 1.5). */
function batchNormOf({ bn, bnMomentum, freeze }: ClassifierConfig): BatchNormMode {
  if (bn === 'frozen') return { kind: 'moving' };
  return { kind: 'batchUpdate', momentum: bnMomentum, unbiased: freeze === 'nakata' };
}
