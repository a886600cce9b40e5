import type { GeneratorConfig } from '../contract/study.ts';
import { networkShapeOf, styleCount, type NetworkShape } from '../lib/generator/architecture.ts';
import type { PhaseName } from '../lib/generator/cost.ts';
import { mixingMask } from '../lib/generator/data.ts';
import type { Round } from '../lib/generator/phase.ts';
import { createTrainingState, normals, type TrainingState } from '../lib/generator/state.ts';
import { createTrainingSteps, type TrainingSteps } from '../lib/generator/steps.ts';
import { createRng, seedPair } from '../lib/random.ts';
import { benchConfig, benchImage, type WidthOptions } from './generator-config.ts';

/** The product's training steps on noise for images, and the draws of their rounds. */

export interface StepOptions extends WidthOptions {
  readonly batch: number;
}

export const phases = ['gMain', 'gPathLength', 'dMain', 'dR1'] as const satisfies readonly PhaseName[];

export interface MeasuredSteps {
  readonly state: TrainingState;
  readonly steps: TrainingSteps;
  readonly config: GeneratorConfig;
  readonly shape: NetworkShape;
  readonly reals: Float32Array;
}

/** The engine must be loaded. @throws Error for a batch that has no whole groups */
export function createMeasuredSteps(options: StepOptions): MeasuredSteps {
  const { batch, precision, execution } = options;
  if (batch % 4 !== 0) throw new Error(`expected --batch to be a multiple of the stddev group, 4, found ${batch}`);
  const config = benchConfig(options, { batchSize: batch, microBatchSize: batch });
  const shape = networkShapeOf(config, benchImage(options));
  const state = createTrainingState({ shape, config, seed: 1, stream: 'bench' });
  const size = batch * shape.resolution ** 2 * shape.channels;
  const reals = normals(size, createRng(1, 'bench/reals')).map((x) => x / 2);
  const steps = createTrainingSteps({ state, config, settings: { precision, execution } });
  return { state, steps, config, shape, reals };
}

/** The draws of a phase in round `i`, as the training makes them. */
export function roundOf({ config, shape, reals, steps }: MeasuredSteps, phase: PhaseName, i: number): Round {
  const images = phase === 'gPathLength' ? steps.pathImages : steps.mainImages;
  const styles = styleCount(shape);
  const draws = { images, groupSize: 4, styleCount: styles, mixingProb: config.mixingProb };
  const mix = mixingMask({ ...draws, seed: 1, stream: `bench/${phase}/mixing`, nimg: i });
  return { seed: seedPair(1, `bench/${phase}`, i), mix, reals };
}

export function runPhase(measured: MeasuredSteps, phase: PhaseName, i: number): number {
  const { steps } = measured;
  const rounds = [roundOf(measured, phase, i)];
  switch (phase) {
    case 'gMain':
      return steps.gMain(rounds).loss;
    case 'gPathLength':
      return steps.gPathLength(rounds).penalty;
    case 'dMain':
      return steps.dMain(rounds).loss;
    case 'dR1':
      return steps.dR1(rounds).penalty;
  }
}
