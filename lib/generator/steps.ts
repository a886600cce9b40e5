import type { EngineSettings } from '../../contract/engine.ts';
import type { GeneratorConfig } from '../../contract/study.ts';
import { compileStep } from '../engine/compile.ts';
import { tf } from '../engine/tf.ts';
import { styleCount } from './architecture.ts';
import { augmentationOf, type Augment, type Augmentation } from './augment.ts';
import {
  dLogistic,
  dR1,
  drawLatents,
  drawPathNoise,
  gLogisticNonSaturating,
  gPathLength,
  movedAverageW,
  trainingStyles,
} from './loss.ts';
import { synthesis } from './network.ts';
import {
  createPhase,
  createTrainedNetwork,
  type Phase,
  type PhaseInputs,
  type Round,
  type TrainedNetwork,
} from './phase.ts';
import { lazyCorrection, type TrainingState } from './state.ts';

/** The phases of one iteration (stylegan2.md 3.3), compiled: two losses, two regularisers, the moving average of G. */
export interface TrainingSteps {
  /** Rounds per minibatch and images per round; path length takes half of a micro-batch. */
  readonly rounds: number;
  readonly mainImages: number;
  readonly pathImages: number;
  gMain(rounds: readonly Round[]): { readonly loss: number };
  gPathLength(rounds: readonly Round[]): { readonly penalty: number; readonly length: number };
  dMain(rounds: readonly Round[]): Readonly<Record<'loss' | 'scoresReal' | 'scoresFake' | 'rt', number>>;
  dR1(rounds: readonly Round[]): { readonly penalty: number };
  /** Gs <- G + beta (Gs - G). */
  ema(beta: number): void;
  dispose(): void;
}

/** Gamma of R1: the configuration's, or 0.0002 res^2 / batch (stylegan2.md 5.2). */
export function r1GammaOf(config: GeneratorConfig, resolution: number): number {
  return config.r1Gamma ?? (0.0002 * resolution ** 2) / config.batchSize;
}

/** The reference's moving averages advance per pass of 4 images; larger passes advance further (stylegan2.md 3.4). */
const referencePass = 4;

interface StepContext {
  readonly state: TrainingState;
  readonly config: GeneratorConfig;
  readonly settings: EngineSettings;
  readonly rounds: number;
  readonly mainImages: number;
  readonly pathImages: number;
  /** Null where D sees the images themselves. */
  readonly augmentation: Augmentation | null;
}

/** What conditional networks add to the inputs of a phase: classes of its fakes and, where it sees reals, of these. */
function labelInputs(
  { state }: StepContext,
  images: { readonly fakes: number; readonly reals: number },
): { readonly labels?: readonly number[]; readonly realLabels?: readonly number[] } {
  const { labels } = state.shape;
  if (labels === 0) return {};
  return {
    ...(images.fakes > 0 && { labels: [images.fakes, labels] }),
    ...(images.reals > 0 && { realLabels: [images.reals, labels] }),
  };
}

/** What augmentation adds to the inputs of a phase whose images D sees. */
function augmentationInputs({ augmentation }: StepContext): { readonly augmentP?: readonly number[] } {
  return augmentation?.adaptive === true ? { augmentP: [] } : {};
}

/** The changes of the reals or fakes of one pass. */
function drawAugment(context: StepContext, of: 'reals' | 'fakes', inputs: PhaseInputs): Augment {
  const { augmentation, mainImages } = context;
  if (augmentation === null) return (images) => images;
  return augmentation.draw({ of, images: mainImages, seed: inputs.seed, p: inputs.augmentP });
}

/**
 * wAvg after a pass with styles w. It moves on every evaluation of G in training, equally far in a pass for the path length,
 * which has half the images (stylegan2.md 3.4).
 */
function movingStyle({ state, mainImages }: StepContext, w: tf.Tensor2D): readonly [tf.Variable, tf.Tensor] {
  const { wAvg } = state;
  const beta = 0.995 ** (mainImages / referencePass);
  return [wAvg, movedAverageW(wAvg as unknown as tf.Tensor1D, w, beta)]; // [L] by state.ts
}

function createGeneratorPhases(context: StepContext, network: TrainedNetwork): { main: Phase; path: Phase } {
  const { state, config, settings, rounds, mainImages, pathImages } = context;
  const { g, d, shape, plMean } = state;
  const common = { network, rounds, settings, variables: state.variables, configuration: { config, shape } };
  const main = createPhase({
    ...common,
    name: 'gMain',
    inputs: {
      ...{ seed: [2], mix: [mainImages, styleCount(shape)] },
      ...labelInputs(context, { fakes: mainImages, reals: 0 }),
      ...augmentationInputs(context),
    },
    compute: (inputs) => {
      const { seed, mix, labels } = inputs;
      const draws = drawLatents(shape, { count: mainImages, seed, mix, labels });
      const augment = drawAugment(context, 'fakes', inputs);
      return () => {
        const { loss, w } = gLogisticNonSaturating({ g, d, shape }, draws, augment);
        return { loss, metrics: { loss }, assign: [movingStyle(context, w)] };
      };
    },
  });
  const path = createPhase({
    ...common,
    name: 'gPathLength',
    inputs: {
      ...{ seed: [2], mix: [pathImages, styleCount(shape)] },
      ...labelInputs(context, { fakes: pathImages, reals: 0 }),
    },
    compute: ({ seed, mix, labels }) => {
      const draws = drawLatents(shape, { count: pathImages, seed, mix, labels });
      const pathNoise = drawPathNoise(shape, { count: pathImages, seed });
      const decay = 1 - (1 - config.plDecay) ** (mainImages / referencePass);
      return () => {
        const before = plMean as unknown as tf.Scalar; // scalar by state.ts
        const result = gPathLength(
          { g, shape },
          { draws, pathNoise, plMean: before, decay, plWeight: config.plWeight },
        );
        return {
          loss: tf.mul(result.penalty, config.gRegInterval),
          metrics: { penalty: result.penalty, length: result.length },
          assign: [[plMean, result.plMean], movingStyle(context, result.w)],
        };
      };
    },
  });
  return { main, path };
}

function createDiscriminatorPhases(context: StepContext, network: TrainedNetwork): { main: Phase; r1: Phase } {
  const { state, config, settings, rounds, mainImages } = context;
  const { g, d, shape } = state;
  const common = { network, rounds, settings, variables: state.variables, configuration: { config, shape } };
  const reals = [mainImages, shape.resolution, shape.resolution, shape.channels];
  const main = createPhase({
    ...common,
    name: 'dMain',
    inputs: {
      ...{ seed: [2], mix: [mainImages, styleCount(shape)], reals },
      ...labelInputs(context, { fakes: mainImages, reals: mainImages }),
      ...augmentationInputs(context),
    },
    compute: (inputs) => {
      const { seed, mix, labels, realLabels } = inputs;
      const draws = drawLatents(shape, { count: mainImages, seed, mix, labels });
      const { w, ws } = trainingStyles(g, shape, draws);
      const fakes = drawAugment(context, 'fakes', inputs)(synthesis(g, shape, { ws, noise: draws.noise }));
      const seen = drawAugment(context, 'reals', inputs)(inputs.reals);
      return () => {
        const classes = labels && realLabels && { realLabels, fakeLabels: labels };
        const { loss, ...scores } = dLogistic({ d, shape }, { reals: seen, fakes, ...classes });
        return { loss, metrics: { loss, ...scores }, assign: [movingStyle(context, w)] };
      };
    },
  });
  const gamma = r1GammaOf(config, shape.resolution);
  const r1 = createPhase({
    ...common,
    name: 'dR1',
    inputs: {
      ...{ ...(context.augmentation && { seed: [2] }), reals },
      ...labelInputs(context, { fakes: 0, reals: mainImages }),
      ...augmentationInputs(context),
    },
    compute: (inputs) => {
      const augment = drawAugment(context, 'reals', inputs);
      return () => {
        const labels = inputs.realLabels && { labels: inputs.realLabels };
        const penalty = dR1({ d, shape }, { reals: inputs.reals, gamma, augment, ...labels });
        return { loss: tf.mul(penalty, config.dRegInterval), metrics: { penalty }, assign: [] };
      };
    },
  });
  return { main, r1 };
}

function createEma(
  state: TrainingState,
  settings: EngineSettings,
): { run: (beta: number) => void; dispose: () => void } {
  const step = compileStep({
    name: 'ema',
    settings,
    configuration: null,
    variables: [...state.g.values(), ...state.gs.values()],
    inputs: { beta: { shape: [], dtype: 'float32' } },
    step: (inputs) => {
      const { beta } = inputs as { beta: tf.Tensor }; // as declared
      for (const [name, target] of state.gs) {
        const source = state.g.get(name);
        if (source !== undefined) target.assign(tf.add(source, tf.mul(tf.sub(target, source), beta)));
      }
      return {};
    },
  });
  return {
    run: (beta) => {
      const input = tf.scalar(beta);
      tf.dispose(step.run({ beta: input }));
      input.dispose();
    },
    dispose: () => step.dispose(),
  };
}

/** Compiles the steps of a training; each is traced when first run. */
export function createTrainingSteps(options: {
  readonly state: TrainingState;
  readonly config: GeneratorConfig;
  readonly settings: EngineSettings;
}): TrainingSteps {
  const { state, config, settings } = options;
  const mainImages = Math.min(config.microBatchSize, config.batchSize);
  const rounds = config.batchSize / mainImages;
  const pathImages = Math.floor(mainImages / 2); // path batch shrink 2
  const augmentation = augmentationOf(config, state.shape);
  const context = { ...options, rounds, mainImages, pathImages, augmentation };
  const networkOf = (name: 'G' | 'D'): TrainedNetwork => {
    const [weights, adam, interval] =
      name === 'G' ? [state.g, state.adamG, config.gRegInterval] : [state.trainedD, state.adamD, config.dRegInterval];
    const learningRate = config.learningRate * lazyCorrection(interval);
    const common = { name, adam, learningRate, rounds, settings, configuration: config };
    return createTrainedNetwork({ ...common, variables: [...weights.values()] });
  };
  const networks = [networkOf('G'), networkOf('D')] as const;
  const generator = createGeneratorPhases(context, networks[0]);
  const discriminator = createDiscriminatorPhases(context, networks[1]);
  const ema = createEma(state, settings);
  return {
    rounds,
    mainImages,
    pathImages,
    // The metrics are those that each phase names above.
    gMain: (passes) => generator.main.run(passes) as ReturnType<TrainingSteps['gMain']>,
    gPathLength: (passes) => generator.path.run(passes) as ReturnType<TrainingSteps['gPathLength']>,
    dMain: (passes) => discriminator.main.run(passes) as ReturnType<TrainingSteps['dMain']>,
    dR1: (passes) => discriminator.r1.run(passes) as ReturnType<TrainingSteps['dR1']>,
    ema: ema.run,
    dispose: () => {
      for (const part of [generator.main, generator.path, discriminator.main, discriminator.r1, ema]) part.dispose();
      for (const { apply, sums } of networks) {
        apply?.dispose();
        for (const sum of sums.values()) sum.dispose();
      }
    },
  };
}
