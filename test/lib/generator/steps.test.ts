import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { GeneratorConfig } from '../../../contract/study.ts';
import { loadEngine } from '../../../lib/engine/backend.ts';
import { tf } from '../../../lib/engine/tf.ts';
import { styleCount } from '../../../lib/generator/architecture.ts';
import { emaBeta } from '../../../lib/generator/iteration.ts';
import {
  dLogistic,
  dR1,
  drawLatents,
  drawPathNoise,
  gLogisticNonSaturating,
  gPathLength,
  trainingStyles,
  type LatentDraws,
} from '../../../lib/generator/loss.ts';
import { mapping, synthesis } from '../../../lib/generator/network.ts';
import type { Round } from '../../../lib/generator/phase.ts';
import { createTrainingState, disposeTrainingState, type TrainingState } from '../../../lib/generator/state.ts';
import { createTrainingSteps, type TrainingSteps } from '../../../lib/generator/steps.ts';
import { smallConfig, smallImages, smallShape } from './small.ts';

/** The phases do with the losses what stylegan2.md 3 says: Adam by its formula, lazy factors, moving averages. */

const shape = smallShape;
const config: GeneratorConfig = { ...smallConfig, r1Gamma: 10 };
const settings = { precision: 'fp32', execution: 'eager' } as const;

beforeAll(loadEngine);

let state: TrainingState;
const open: TrainingSteps[] = [];
beforeEach(() => {
  state = createTrainingState({ shape, config, seed: 1, stream: 'steps' });
});
afterEach(() => {
  for (const steps of open.splice(0)) steps.dispose();
  disposeTrainingState(state);
});

function stepsOf(changes: Partial<GeneratorConfig> = {}): TrainingSteps {
  const steps = createTrainingSteps({ state, config: { ...config, ...changes }, settings });
  open.push(steps);
  return steps;
}

/** Round `i`; every second image mixes styles. */
function roundOf(images: number, i: number): Round {
  const styles = styleCount(shape);
  const mix = Float32Array.from({ length: images * styles }, (_, k) =>
    Math.floor(k / styles) % 2 === 1 && k % styles >= 2 ? 1 : 0,
  );
  return { seed: [i + 1, 7], mix, reals: Float32Array.from(smallImages(images).dataSync()) };
}
const roundsOf = (images: number, rounds: number): Round[] => [...Array(rounds).keys()].map((i) => roundOf(images, i));

function drawsOf(round: Round, images: number): LatentDraws {
  const mix = tf.tensor2d(round.mix, [images, styleCount(shape)]);
  return drawLatents(shape, { count: images, seed: tf.tensor1d([...round.seed], 'int32'), mix });
}
const realsOf = (round: Round): tf.Tensor4D => tf.tensor4d(round.reals, [round.reals.length / 64, 8, 8, 1]);
const value = (t: tf.Tensor): number => t.dataSync()[0]!;

/** Mean over rounds of the gradients of a loss, by variable: an independent way to what a phase feeds its optimiser. */
function meanGradients(
  variables: ReadonlyMap<string, tf.Variable>,
  rounds: readonly Round[],
  loss: (round: Round) => tf.Scalar,
): Map<string, Float64Array> {
  const sums = new Map([...variables.values()].map((v) => [v.name, new Float64Array(v.size)]));
  for (const round of rounds) {
    const { grads } = tf.tidy(() => tf.variableGrads(() => loss(round), [...variables.values()]));
    for (const [name, gradient] of Object.entries(grads))
      (gradient as tf.Tensor | null)?.dataSync().forEach((g, i) => (sums.get(name)![i]! += g / rounds.length));
  }
  return sums;
}

/** Weights and second moments after one Adam step of the reference (stylegan2.md 3.3), in doubles. */
function adamStep(options: { weight: Float32Array; v: Float32Array; g: Float64Array; t: number; interval: number }) {
  const { weight, v, g, t, interval } = options;
  const c = interval / (interval + 1);
  const [rate, beta2] = [config.learningRate * c, 0.99 ** c];
  const moved = Float64Array.from(v, (old, i) => beta2 * old + (1 - beta2) * g[i]! ** 2);
  const lr = rate * Math.sqrt(1 - beta2 ** t);
  return { v: moved, weight: Float64Array.from(weight, (w, i) => w - (lr * g[i]!) / (Math.sqrt(moved[i]!) + 1e-8)) };
}

const copyOf = (variable: tf.Variable): Float32Array => Float32Array.from(variable.dataSync());
const distance = (a: ArrayLike<number>, b: ArrayLike<number>): number =>
  Math.hypot(...Array.from({ length: a.length }, (_, i) => a[i]! - b[i]!)) / (Math.hypot(...Array.from(b)) + 1e-12);

/** Runs a phase and compares weights and second moments with Adam on `gradients`. */
function expectAdamStep(
  network: 'G' | 'D',
  options: { gradients: Map<string, Float64Array>; t: number; run: () => unknown },
): void {
  const { gradients, t, run } = options;
  const [variables, adam, interval] =
    network === 'G' ? [state.g, state.adamG, config.gRegInterval] : [state.d, state.adamD, config.dRegInterval];
  const momentOf = (v: tf.Variable): tf.Variable => adam.state.find(({ name }) => name.endsWith(`/v/${v.name}`))!;
  const expected = [...variables.values()].map((variable) => {
    const [weight, v] = [copyOf(variable), copyOf(momentOf(variable))];
    return { variable, before: weight, ...adamStep({ weight, v, g: gradients.get(variable.name)!, t, interval }) };
  });
  run();
  for (const { variable, before, v, weight } of expected) {
    expect(distance(momentOf(variable).dataSync(), v), `second moment of ${variable.name}`).toBeLessThan(1e-3);
    const change = (after: ArrayLike<number>): number[] => Array.from(before, (b, i) => after[i]! - b);
    // Adam divides by the size of the gradient: components that are rounding noise move by a whole step of either sign.
    const [found, wanted] = [change(variable.dataSync()), change(weight)];
    if (Math.hypot(...gradients.get(variable.name)!) > 1e-6)
      expect(distance(found, wanted), `step of ${variable.name}`).toBeLessThan(0.05);
  }
}

const scaled = (gradients: Map<string, Float64Array>, factor: number): Map<string, Float64Array> =>
  new Map([...gradients].map(([name, g]) => [name, g.map((x) => x * factor)]));

describe.each([
  ['in one round', 8],
  ['in two rounds', 4],
])('phases %s', (_, microBatchSize) => {
  const rounds = 8 / microBatchSize;
  const main = (): Round[] => roundsOf(microBatchSize, rounds);
  const path = (): Round[] => roundsOf(microBatchSize / 2, rounds);

  it('gMain steps G alone by the mean gradient, then gPathLength by its interval times the mean, in one optimiser', () => {
    const steps = stepsOf({ microBatchSize });
    const { g, d } = state;
    const before = copyOf(d.get('b4/conv/weight')!);
    const gradients = meanGradients(
      g,
      main(),
      (round) => gLogisticNonSaturating({ g, d, shape }, drawsOf(round, microBatchSize)).loss,
    );
    expectAdamStep('G', { gradients, t: 1, run: () => steps.gMain(main()) });
    expect(copyOf(d.get('b4/conv/weight')!)).toEqual(before);

    const count = microBatchSize / 2;
    const decay = 1 - 0.99 ** (microBatchSize / 4); // one advance per four images of the reference
    state.plMean.assign(tf.scalar(0.3));
    let plMean = tf.scalar(0.3);
    const regulariser = meanGradients(g, path(), (round) => {
      const seed = tf.tensor1d([...round.seed], 'int32');
      const options = { draws: drawsOf(round, count), pathNoise: drawPathNoise(shape, { count, seed }), decay };
      const result = gPathLength({ g, shape }, { ...options, plMean, plWeight: config.plWeight });
      plMean = tf.keep(tf.scalar(value(result.plMean)));
      return result.penalty;
    });
    const run = (): unknown => steps.gPathLength(path());
    expectAdamStep('G', { gradients: scaled(regulariser, config.gRegInterval), t: 2, run });
    expect(value(state.plMean)).toBeCloseTo(value(plMean), 5);
  });

  it('dMain steps D alone, then dR1 by its interval times gamma / 2 of the squared slope, in one optimiser', () => {
    const steps = stepsOf({ microBatchSize });
    const { g, d } = state;
    const before = copyOf(g.get('synthesis/b4/conv1/weight')!);
    const gradients = meanGradients(d, main(), (round) => {
      const draws = drawsOf(round, microBatchSize);
      const fakes = synthesis(g, shape, { ws: trainingStyles(g, shape, draws).ws, noise: draws.noise });
      return dLogistic({ d, shape }, { reals: realsOf(round), fakes }).loss;
    });
    expectAdamStep('D', { gradients, t: 1, run: () => steps.dMain(main()) });
    expect(copyOf(g.get('synthesis/b4/conv1/weight')!)).toEqual(before);
    const penalty = meanGradients(d, main(), (round) => dR1({ d, shape }, { reals: realsOf(round), gamma: 10 }));
    const run = (): unknown => steps.dR1(main());
    expectAdamStep('D', { gradients: scaled(penalty, config.dRegInterval), t: 2, run });
  });
});

describe.each([4, 8])('an update that is not finite, in passes of %i images', (microBatchSize) => {
  const main = (): Round[] => roundsOf(microBatchSize, 8 / microBatchSize);
  /** One real of the last pass is NaN. */
  const spoiled = (): Round[] => {
    const rounds = main();
    rounds.at(-1)!.reals.fill(Number.NaN, 0, 64);
    return rounds;
  };
  const trained = (): Map<string, Float32Array> =>
    new Map([...state.d.values(), ...state.adamD.state].map((v) => [v.name, copyOf(v)] as const));

  it('is skipped as a whole and says so, and the next one is as if it had never been', () => {
    const steps = stepsOf({ microBatchSize });
    for (const phase of ['dMain', 'dR1'] as const) {
      steps[phase](main());
      const before = trained();
      for (const metric of Object.values(steps[phase](spoiled()))) expect(metric).toBeNaN();
      expect(trained()).toEqual(before);
    }
    steps.dMain(main());
    const after = trained();
    open.pop()?.dispose();
    disposeTrainingState(state);
    state = createTrainingState({ shape, config, seed: 1, stream: 'steps' });
    const calm = stepsOf({ microBatchSize });
    for (const phase of ['dMain', 'dR1', 'dMain'] as const) calm[phase](main());
    for (const [name, values] of trained()) expect(distance(after.get(name)!, values), name).toBeLessThan(1e-6);
    expect(value(state.adamD.state[0]!)).toBe(3);
  });
});

describe('moving averages', () => {
  it('wAvg moves on every evaluation of G by 1 - 0.995^(images / 4), whatever the cut (stylegan2.md 3.4)', () => {
    const { g } = state;
    const last = `mapping/dense${shape.mappingLayers - 1}`;
    g.get(`${last}/weight`)!.assign(tf.zeros([8, 8])); // every latent has the same w
    g.get(`${last}/bias`)!.assign(tf.fill([8], 50));
    const w = value(mapping(g, shape, tf.ones<tf.Rank.R2>([1, 8])));
    const after = [4, 8].map((microBatchSize) => {
      state.wAvg.assign(tf.zeros([8]));
      const images = microBatchSize;
      stepsOf({ microBatchSize }).dMain(roundsOf(images, 8 / images)); // leaves G as it is
      return value(state.wAvg) / w;
    });
    for (const share of after) expect(share).toBeCloseTo(1 - 0.995 ** 2, 6);
    for (const steps of open.splice(0)) steps.dispose();
    state.wAvg.assign(tf.zeros([8]));
    stepsOf({ microBatchSize: 4, learningRate: 1e-12 }).gPathLength(roundsOf(2, 2)); // two passes, as of eight images
    expect(value(state.wAvg) / w).toBeCloseTo(1 - 0.995 ** 2, 6);
  });
  it('plMean forgets by 0.99 per four images of the minibatch, whatever the cut', () => {
    for (const [name, variable] of state.g) if (name.endsWith('toRgb/weight')) variable.assign(tf.mul(variable, 1e-6)); // path lengths near 0
    const left = [4, 8].map((microBatchSize) => {
      state.plMean.assign(tf.scalar(1));
      stepsOf({ microBatchSize, learningRate: 1e-12 }).gPathLength(roundsOf(microBatchSize / 2, 8 / microBatchSize));
      return value(state.plMean);
    });
    for (const share of left) expect(share).toBeCloseTo(0.99 ** 2, 5);
  });
  it('Gs keeps the share beta of itself', () => {
    const name = 'synthesis/b4/const';
    const before = copyOf(state.g.get(name)!);
    state.g.get(name)!.assign(tf.zeros([1, 4, 4, 8]));
    stepsOf().ema(0.75);
    expect(
      distance(
        state.gs.get(name)!.dataSync(),
        before.map((x) => 0.75 * x),
      ),
    ).toBeLessThan(1e-6);
  });
  it('beta of config-e is 0.5^(32 / 10000) once the ramp is over', () => {
    const e = { ...config, batchSize: 32, emaHalfLifeKimg: 10, emaRampup: null };
    expect(emaBeta(e, 0)).toBeCloseTo(0.9977844, 7);
    expect(emaBeta({ ...e, emaRampup: 0.05 }, 1000)).toBeCloseTo(0.5 ** (32 / 50), 12);
    expect(emaBeta({ ...e, emaRampup: 0.05 }, 1_000_000)).toBeCloseTo(0.9977844, 7);
    // An average that was taken over is kept from the first minibatch on.
    expect(emaBeta({ ...e, emaRampup: 0.05, resumeFrom: 'a'.repeat(64) }, 0)).toBeCloseTo(0.9977844, 7);
  });
});
