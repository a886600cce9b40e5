import type { ClassifierConfig } from '../../contract/study.ts';
import type { BatchNormMode } from './tensor-layers.ts';

/**
 * Which layers a training moves, and when. From random weights, or with `headEpochs` 0, all of it is one phase. On a pretrained
 * trunk there are two (evaluation.md 1.7, "Typical sound recipe"): the head alone, whose random values would otherwise spoil
 * the trunk through large gradients; then the top of the trunk, or all of it, at a lower rate. The normalisation runs on the
 * moving statistics of the supplied weights in both.
 */

/** Layers that stay at their initial weights: none; those of the reference recipe; all but the head; all below `mixed_7a`. */
export type Frozen = ClassifierConfig['freeze'] | 'trunk' | 'belowTop';

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
  /** Views per training image whose cached features it trains on; null where it sees fresh images. */
  readonly cachedViews: number | null;
}

/** The phases in order; the last one is open-ended. */
export function planPhases(config: ClassifierConfig): readonly TrainingPhase[] {
  const { learningRate, earlyStoppingPatience } = config;
  const first = { fromEpoch: 0, learningRate, rateField: 'learningRate' } as const;
  if (config.weights === null || config.headEpochs === 0) {
    const { freeze, bn } = config;
    const batchNorm = batchNormOf(config);
    return [{ ...first, name: 'whole', freeze, bn, batchNorm, earlyStoppingPatience, cachedViews: null }];
  }
  const frozen = { bn: 'frozen', batchNorm: { kind: 'moving' } } as const;
  return [
    // Early stopping would end the training before its trunk was ever trained.
    {
      ...{ ...first, ...frozen, name: 'head', freeze: 'trunk', earlyStoppingPatience: 0 },
      cachedViews: config.featureCache ?? null,
    },
    {
      ...frozen,
      name: 'fineTune',
      fromEpoch: config.headEpochs,
      freeze: config.fineTuneLayers === 'all' ? 'none' : 'belowTop',
      learningRate: config.fineTuneLearningRate,
      rateField: 'fineTuneLearningRate',
      earlyStoppingPatience,
      cachedViews: null,
    },
  ];
}

/** The reference recipe ran on a layer whose moving variance is unbiased (evaluation.md 1.5). */
function batchNormOf({ bn, bnMomentum, freeze }: ClassifierConfig): BatchNormMode {
  if (bn === 'frozen') return { kind: 'moving' };
  return { kind: 'batchUpdate', momentum: bnMomentum, unbiased: freeze === 'nakata' };
}
