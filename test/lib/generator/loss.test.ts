import { beforeAll, describe, expect, it } from 'vitest';
import { loadEngine } from '../../../lib/engine/backend.ts';
import { tf } from '../../../lib/engine/tf.ts';
import {
  dLogistic,
  dR1,
  gLogisticNonSaturating,
  gPathLength,
  movedAverageW,
  type LatentDraws,
} from '../../../lib/generator/loss.ts';
import { discriminator, synthesis } from '../../../lib/generator/network.ts';
import { trainingStyles } from '../../../lib/generator/loss.ts';
import { smallDraws, smallImages, smallShape, smallWeights } from './small.ts';
import { directionalError } from '../engine/second-order.ts';

beforeAll(loadEngine);

const shape = smallShape;
const value = (t: tf.Tensor): number => t.dataSync()[0]!;
const softplus = (x: number): number => Math.log1p(Math.exp(x));

/**
 * The weights of one network as arguments, for directional differences of each variable. `constant` names those that a
 * penalty on gradients cannot depend on: biases that are added last.
 */
function withWeights(
  weights: Map<string, tf.Tensor>,
  loss: (weights: Map<string, tf.Tensor>) => tf.Scalar,
  constant = /$^/,
) {
  const names = [...weights.keys()].filter((name) => !constant.test(name));
  return {
    names,
    args: names.map((name) => weights.get(name)!),
    loss: (...values: tf.Tensor[]): tf.Scalar =>
      loss(new Map([...weights, ...names.map((name, i) => [name, values[i]!] as const)])),
  };
}

describe('values', () => {
  it('computes the logistic losses from the scores', () => {
    const d = smallWeights('D', 0.1);
    const g = smallWeights('G', 0.1);
    const draws = smallDraws(4);
    const reals = smallImages(4);
    const { ws } = trainingStyles(g, shape, draws);
    const fakes = synthesis(g, shape, { ws, noise: draws.noise });
    const mean = (xs: number[]): number => xs.reduce((a, b) => a + b) / xs.length;
    const [real, fake] = [reals, fakes].map((images) => [...discriminator(d, shape, images).dataSync()]);
    const found = dLogistic({ d, shape }, { reals, fakes });
    expect(value(found.loss)).toBeCloseTo(mean(fake!.map(softplus)) + mean(real!.map((s) => softplus(-s))), 5);
    expect(value(found.scoresReal)).toBeCloseTo(mean(real!), 5);
    expect(value(gLogisticNonSaturating({ g, d, shape }, draws).loss)).toBeCloseTo(
      mean(fake!.map((s) => softplus(-s))),
      5,
    );
  });
  it('makes R1 half of gamma times the squared slope of the scores', () => {
    const d = smallWeights('D', 0.1);
    const reals = smallImages(4);
    const penalty = value(dR1({ d, shape }, { reals, gamma: 10 }));
    const gradient = tf.grad((x) => tf.sum(discriminator(d, shape, x as tf.Tensor4D)))(reals);
    // Along its own gradient g a function rises by |g|^2 per unit: an independent look at the slope.
    const h = 1e-3;
    const at = (step: number): number => value(tf.sum(discriminator(d, shape, tf.add(reals, tf.mul(gradient, step)))));
    const squared = (at(h) - at(-h)) / (2 * h);
    expect(penalty).toBeGreaterThan(0);
    expect(Math.abs(penalty / ((10 / 2) * (squared / 4)) - 1)).toBeLessThan(0.02);
  });
  it('moves the path-length mean first and penalises the distance from the moved mean', () => {
    const g = smallWeights('G', 0.1);
    const pathNoise = tf.div(smallImages(2), shape.resolution) as tf.Tensor4D;
    const options = { draws: smallDraws(2), pathNoise, decay: 0.01, plWeight: 2 };
    const first = gPathLength({ g, shape }, { ...options, plMean: tf.scalar(0) });
    expect(value(first.plMean)).toBeCloseTo(0.01 * value(first.length), 6);
    const single: LatentDraws = { ...smallDraws(1) };
    const one = gPathLength(
      { g, shape },
      { ...options, draws: single, pathNoise: tf.slice(pathNoise, 0, 1) as tf.Tensor4D, plMean: tf.scalar(0) },
    );
    expect(value(one.penalty)).toBeCloseTo(2 * (0.99 * value(one.length)) ** 2, 5);
  });
  it('moves wAvg by the share 1 - beta towards the mean of the batch', () => {
    const moved = movedAverageW(tf.tensor1d([1, 1]), tf.tensor2d([2, 3, 4, 5], [2, 2]), 0.9);
    expect([...moved.dataSync()].map((v) => Number(v.toFixed(5)))).toEqual([1.2, 1.3]);
  });
});

describe('derivatives of whole networks agree with central differences, variable by variable', () => {
  /**
   * Per variable the better of a wide step, for the mapping whose runtime scale is small, and of one so narrow that no
   * activation changes sign in it: there the penalties jump and differences mean nothing.
   */
  const worst = ({ args, loss }: ReturnType<typeof withWeights>): number =>
    Math.max(
      ...args.map((arg, i) => {
        const alone = (value: tf.Tensor): tf.Scalar => loss(...args.map((other, j) => (j === i ? value : other)));
        return Math.min(...[1e-1, 1e-3, 3e-4].map((step) => directionalError(alone, [arg], step)));
      }),
    );
  it('R1 in D', () => {
    const reals = smallImages(4);
    const lastBiases = /b4\/(conv|dense|output)\/bias/;
    const d = withWeights(smallWeights('D', 0.1), (w) => dR1({ d: w, shape }, { reals, gamma: 10 }), lastBiases);
    expect(worst(d)).toBeLessThan(0.1); // biases before the minibatch stddev matter so little that float32 shows
  });
  it('path length in G', () => {
    const draws = smallDraws(2);
    const pathNoise = tf.div(smallImages(2), shape.resolution) as tf.Tensor4D;
    const options = { draws, pathNoise, plMean: tf.scalar(0.1), decay: 0.01, plWeight: 2 };
    const penalty = (w: Map<string, tf.Tensor>): tf.Scalar => gPathLength({ g: w, shape }, options).penalty;
    expect(worst(withWeights(smallWeights('G', 0.1), penalty, /toRgb\/bias/))).toBeLessThan(0.02);
  });
});

/** Images of each round, so that whoever shares a group in one pass of `images` shares one in its round (2.9, 3.4). */
function roundsOf(images: number, perRound: number): number[][] {
  const [groups, groupsHere] = [images / 4, perRound / 4];
  return Array.from({ length: images / perRound }, (_, round) =>
    Array.from({ length: perRound }, (_unused, j) => {
      const group = round * groupsHere + (j % groupsHere);
      return group + Math.floor(j / groupsHere) * groups; // member number j / groupsHere of that group
    }),
  );
}

describe('a minibatch of 16 gives the same gradient however it is cut', () => {
  const images = 16;
  const part = <T extends tf.Tensor>(of: T, rows: number[]): T => tf.gather(of, rows) as T; // the same rank
  const mean = (parts: tf.Tensor[]): tf.Tensor => tf.div(tf.addN(parts), parts.length);
  /** Largest relative difference to the gradient of the whole, over all variables. */
  const worstDifference = (
    weights: Map<string, tf.Tensor>,
    lossOf: (weights: Map<string, tf.Tensor>, rows: number[]) => tf.Scalar,
    perRound: number,
  ): number => {
    const gradients = (rows: number[]): tf.Tensor[] => {
      const { args, loss } = withWeights(weights, (w) => lossOf(w, rows));
      return tf.grads(loss)(args);
    };
    const whole = gradients([...Array(images).keys()]);
    const cut = roundsOf(images, perRound).map(gradients);
    return Math.max(
      ...whole.map((g, i) => {
        const sum = mean(cut.map((round) => round[i]!));
        return value(tf.norm(tf.sub(sum, g))) / (value(tf.norm(g)) + 1e-4);
      }),
    );
  };
  it.each([4, 8])('D in rounds of %d', (perRound) => {
    const reals = smallImages(images);
    const fakes = tf.reverse(reals, 1);
    const loss = (d: Map<string, tf.Tensor>, rows: number[]): tf.Scalar =>
      dLogistic({ d, shape }, { reals: part(reals, rows), fakes: part(fakes, rows) }).loss;
    expect(worstDifference(smallWeights('D', 0.1), loss, perRound)).toBeLessThan(1e-5);
  });
  it.each([4, 8])('G in rounds of %d', (perRound) => {
    const d = smallWeights('D', 0.1);
    const draws = smallDraws(images);
    const loss = (g: Map<string, tf.Tensor>, rows: number[]): tf.Scalar => {
      const [z, zMix, mix] = [part(draws.z, rows), part(draws.zMix, rows), part(draws.mix, rows)];
      const noise = draws.noise.map((map) => part(map, rows));
      return gLogisticNonSaturating({ g, d, shape }, { z, zMix, mix, noise }).loss;
    };
    expect(worstDifference(smallWeights('G', 0.1), loss, perRound)).toBeLessThan(1e-5);
  });
  it('and another one when groups are torn', () => {
    const reals = smallImages(images);
    const d = smallWeights('D', 0.1);
    const loss = (rows: number[]): number =>
      value(dLogistic({ d, shape }, { reals: part(reals, rows), fakes: part(reals, rows) }).scoresReal);
    const torn = [0, 4, 8, 12].map((first) => loss([0, 1, 2, 3].map((i) => first + i)));
    expect(Math.abs(torn.reduce((a, b) => a + b) / 4 - loss([...Array(images).keys()]))).toBeGreaterThan(1e-5);
  });
});
