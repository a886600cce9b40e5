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

describe('passes', () => {
  it('add up: two half batches with the same draws and groups give the gradient of the whole', () => {
    const d = smallWeights('D', 0.1);
    const reals = smallImages(8);
    const fakes = tf.reverse(smallImages(8), 1);
    const { args, loss, names } = withWeights(d, (weights) => dLogistic({ d: weights, shape }, { reals, fakes }).loss);
    const whole = tf.grads(loss)(args);
    // Groups of the whole are i mod 2: even images are one pass, odd ones the other.
    const part = (images: tf.Tensor4D, parity: number): tf.Tensor4D =>
      tf.gather(
        images,
        [0, 2, 4, 6].map((i) => i + parity),
      );
    const halves = [0, 1].map((parity) => {
      const half = withWeights(
        d,
        (weights) => dLogistic({ d: weights, shape }, { reals: part(reals, parity), fakes: part(fakes, parity) }).loss,
      );
      return tf.grads(half.loss)(half.args);
    });
    names.forEach((name, i) => {
      const sum = tf.div(tf.add(halves[0]![i]!, halves[1]![i]!), 2);
      const scale = value(tf.norm(whole[i]!)) + 1e-3;
      expect(value(tf.norm(tf.sub(sum, whole[i]!))) / scale, name).toBeLessThan(1e-5);
    });
  });
});
