import type { GeneratorConfig } from '../../contract/study.ts';
import { seedPair } from '../random.ts';
import { styleCount, type NetworkShape } from './architecture.ts';
import { drawnLabels, mixingMask, type Labels, type RealBatches } from './data.ts';
import type { Round } from './phase.ts';
import type { SkippedUpdates } from './skips.ts';
import type { TrainingSteps } from './steps.ts';
import type { TickMetric } from './tick.ts';

/** One iteration of StyleGAN2's training (stylegan2.md 3.3). What it draws is a function of seed, stream and nimg. */

export interface IterationContext {
  readonly steps: TrainingSteps;
  readonly reals: RealBatches;
  /** Classes of the training images; null where there is one class. */
  readonly labels: Labels | null;
  readonly config: GeneratorConfig;
  readonly shape: NetworkShape;
  readonly seed: number;
  /** Stream prefix of the training. */
  readonly stream: string;
}

export interface IterationResult {
  /** The lazy regularisers are absent from most iterations, and what was skipped is absent, too. */
  readonly values: Readonly<Partial<Record<TickMetric, number>>>;
  readonly skipped: SkippedUpdates;
}

const none: Float32Array = new Float32Array(0);

/** The rounds of one phase: a minibatch of masks and reals cut into passes, a seed per pass. */
function roundsOf(
  context: IterationContext,
  phase: {
    readonly name: string;
    readonly nimg: number;
    readonly images: number;
    readonly reals: Float32Array;
    readonly realLabels: Float32Array;
    readonly augmentP: number;
  },
): Round[] {
  const { steps, config, shape, seed, stream, labels } = context;
  const { name, nimg, images, reals, realLabels, augmentP } = phase;
  const styles = styleCount(shape);
  const mask = mixingMask({
    images: images * steps.rounds,
    groupSize: images === steps.mainImages ? 4 : 2, // one cutoff per pass of the reference (stylegan2.md 3.4)
    styleCount: styles,
    mixingProb: config.mixingProb,
    seed,
    stream: `${stream}/${name}/mixing`,
    nimg,
  });
  const fakeLabels =
    labels === null
      ? none
      : drawnLabels(labels, { count: images * steps.rounds, seed, stream: `${stream}/${name}/labels`, nimg });
  const roundOf = (all: Float32Array, i: number): Float32Array => {
    const size = all.length / steps.rounds;
    return all.subarray(i * size, (i + 1) * size);
  };
  return Array.from({ length: steps.rounds }, (_, i) => ({
    seed: seedPair(seed, `${stream}/${name}`, nimg + i * images),
    mix: roundOf(mask, i),
    reals: roundOf(reals, i),
    labels: roundOf(fakeLabels, i),
    realLabels: roundOf(realLabels, i),
    augmentP,
  }));
}

/**
 * beta of the moving average of G: half-life in images, at first limited to a share of the images seen. Not so when the
 * average was taken over: the ramp would throw it away.
 */
export function emaBeta(config: GeneratorConfig, nimg: number): number {
  const halfLife = config.emaHalfLifeKimg * 1000;
  const rampup = (config.resumeFrom ?? null) === null ? config.emaRampup : null;
  const ramped = rampup === null ? halfLife : Math.min(halfLife, rampup * nimg);
  return ramped === 0 ? 0 : 0.5 ** (config.batchSize / ramped);
}

/** Runs the iteration that shows reals `nimg` to `nimg + batchSize`, augmented with strength `augmentP`; returns what it measured. */
export function runIteration(context: IterationContext, nimg: number, augmentP: number): IterationResult {
  const { steps, config } = context;
  const iteration = nimg / config.batchSize;
  const due = (interval: number): boolean => iteration % interval === 0;
  const phase = (name: string, images: number, reals: Float32Array = none, realLabels: Float32Array = none): Round[] =>
    roundsOf(context, { name, nimg, images, reals, realLabels, augmentP });

  const g = steps.gMain(phase('gMain', steps.mainImages));
  const path =
    config.plWeight > 0 && due(config.gRegInterval) ? steps.gPathLength(phase('gPathLength', steps.pathImages)) : null;
  steps.ema(emaBeta(config, nimg));
  const reals = context.reals.at(nimg, config.batchSize);
  const realLabels = context.reals.labelsAt(nimg, config.batchSize);
  const d = steps.dMain(phase('dMain', steps.mainImages, reals, realLabels));
  const r1 =
    config.r1Gamma !== 0 && due(config.dRegInterval)
      ? steps.dR1(phase('dR1', steps.mainImages, reals, realLabels))
      : null;
  const { loss: lossD, scoresReal, scoresFake, rt } = d;
  const skipped = {
    TrainG: Number.isNaN(g.loss),
    TrainD: Number.isNaN(lossD),
    ...(path && { RegG: Number.isNaN(path.penalty) }),
    ...(r1 && { RegD: Number.isNaN(r1.penalty) }),
  };
  const values = {
    ...(!skipped.TrainG && { lossG: g.loss }),
    ...(!skipped.TrainD && { lossD, scoresReal, scoresFake, rt }),
    augmentP,
    ...(r1 && !skipped.RegD && { r1Penalty: r1.penalty }),
    ...(path && !skipped.RegG && { pathLength: path.length, plPenalty: path.penalty }),
  };
  return { values, skipped };
}
