import type { GeneratorConfig } from '../../contract/study.ts';

/**
 * How strongly adaptive augmentation augments (Karras et al. 2020, "Training generative adversarial networks with limited
 * data", section 3; stylegan2.md 5.1). r_t, the mean sign of D(real), is 0 without over-fitting and 1 where D knows its reals
 * by heart: p rises while it is above its target and falls while below. Part of the checkpoint.
 */
export interface Adaptation {
  /** Probability of each change. */
  readonly p: number;
  /** Sum of r_t over the minibatches since p last moved, and their number. */
  readonly rtSum: number;
  readonly minibatches: number;
}

/** As published; a training that starts from trained weights adapts in less (stylegan2.md 5.1). */
const published = { target: 0.6, interval: 4, kimg: 500, resumedKimg: 100 } as const;

/** Where fakes begin to show the changes themselves (stylegan2.md 5.1). */
const safeP = 0.8;

/** Where a training starts: p is fixed, or 0, or 1 where all images are changed; null where D sees the images themselves. */
export function firstAdaptation(config: GeneratorConfig): Adaptation | null {
  if (config.augment === undefined || config.augment === 'none') return null;
  const p = config.augment === 'ada' ? (config.augmentP ?? 0) : 1;
  return { p, rtSum: 0, minibatches: 0 };
}

/** After a minibatch in which D gave the mean sign `rt` to its reals: p moves once per interval. */
export function adapted(adaptation: Adaptation, rt: number, config: GeneratorConfig): Adaptation {
  if (config.augment !== 'ada' || typeof config.augmentP === 'number') return adaptation;
  const interval = config.adaInterval ?? published.interval;
  const rtSum = adaptation.rtSum + rt;
  const minibatches = adaptation.minibatches + 1;
  if (minibatches < interval) return { ...adaptation, rtSum, minibatches };
  const direction = Math.sign(rtSum / minibatches - (config.adaTarget ?? published.target));
  const usualKimg = (config.resumeFrom ?? null) === null ? published.kimg : published.resumedKimg;
  const step = (config.batchSize * interval) / ((config.adaKimg ?? usualKimg) * 1000);
  const p = Math.min(Math.max(adaptation.p + direction * step, 0), config.augmentPMax ?? safeP);
  return { p, rtSum: 0, minibatches: 0 };
}
