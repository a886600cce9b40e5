import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { GeneratorConfig } from '../../../contract/study.ts';
import { loadEngine } from '../../../lib/engine/backend.ts';
import { tf } from '../../../lib/engine/tf.ts';
import { styleCount } from '../../../lib/generator/architecture.ts';
import { augmentationOf, type Augment } from '../../../lib/generator/augment.ts';
import { dLogistic, dR1, drawLatents, gLogisticNonSaturating, trainingStyles } from '../../../lib/generator/loss.ts';
import { discriminator, synthesis } from '../../../lib/generator/network.ts';
import type { Round } from '../../../lib/generator/phase.ts';
import { createTrainingState, disposeTrainingState, type TrainingState } from '../../../lib/generator/state.ts';
import { createTrainingSteps, type TrainingSteps } from '../../../lib/generator/steps.ts';
import { directionalError } from '../engine/second-order.ts';
import { smallConfig, smallDraws, smallImages, smallShape, smallWeights } from './small.ts';

/** Where augmentation stands in the losses and phases: before D, for reals and fakes, and inside R1's slope. */

const shape = smallShape;
const value = (t: tf.Tensor): number => t.dataSync()[0]!;

beforeAll(loadEngine);

function augmentOf(change: Partial<GeneratorConfig>, p: number, of: 'reals' | 'fakes' = 'reals'): Augment {
  const augmentation = augmentationOf({ ...smallConfig, ...change }, shape)!;
  return augmentation.draw({ of, images: 4, seed: tf.tensor1d([9, 9], 'int32'), p: tf.scalar(p) });
}

describe('losses', () => {
  it('R1 is the slope in the un-augmented reals, by finite differences along it', () => {
    const augment = augmentOf({ augment: 'ada', augmentPipe: 'bgc' }, 0.7);
    const d = smallWeights('D', 0.1);
    const reals = smallImages(4);
    const score = (x: tf.Tensor): tf.Scalar => tf.sum(discriminator(d, shape, augment(x as tf.Tensor4D)));
    const gradient = tf.grad(score)(reals);
    const h = 1e-3;
    const at = (step: number): number => value(score(tf.add(reals, tf.mul(gradient, step))));
    const squared = (at(h) - at(-h)) / (2 * h);
    const penalty = value(dR1({ d, shape }, { reals, gamma: 10, augment }));
    expect(Math.abs(penalty / ((10 / 2) * (squared / 4)) - 1)).toBeLessThan(0.02);
    // The slope in what D sees is another one: contrast and scale change it.
    const ofAugmented = value(dR1({ d, shape }, { reals: augment(reals), gamma: 10 }));
    expect(Math.abs(penalty / ofAugmented - 1)).toBeGreaterThan(0.03);
  });
  it.each([
    ['ada, ultrasound', { augment: 'ada' }],
    ['ada, bgc', { augment: 'ada', augmentPipe: 'bgc' }],
    ['diffaugment', { augment: 'diffaugment' }],
  ] as const)('differentiate through %s: G once, R1 of D twice', (_, change) => {
    const [g, d] = [smallWeights('G', 0.1), smallWeights('D', 0.1)];
    const loss = (name: string) => (weight: tf.Tensor) => {
      const augment = augmentOf(change, 0.7, 'fakes');
      return gLogisticNonSaturating({ g: new Map([...g, [name, weight]]), d, shape }, smallDraws(4), augment).loss;
    };
    const penalty = (name: string) => (weight: tf.Tensor) =>
      dR1(
        { d: new Map([...d, [name, weight]]), shape },
        { reals: smallImages(4), gamma: 10, augment: augmentOf(change, 0.7) },
      );
    const closest = (f: (weight: tf.Tensor) => tf.Scalar, weight: tf.Tensor): number =>
      Math.min(...[1e-2, 1e-3, 3e-4].map((step) => directionalError(f, [weight], step)));
    for (const name of ['synthesis/b8/toRgb/weight', 'synthesis/b4/const'])
      expect(closest(loss(name), g.get(name)!), name).toBeLessThan(0.02);
    for (const name of ['b8/fromRgb/weight', 'b8/conv1/weight'])
      expect(closest(penalty(name), d.get(name)!), name).toBeLessThan(0.02);
  });
});

describe.each(['function', 'eager'] as const)('phases with execution %s', (execution) => {
  const open: (() => void)[] = [];
  const close = (): void => open.splice(0).forEach((dispose) => dispose());
  afterEach(close);

  function opened(change: Partial<GeneratorConfig>): { readonly steps: TrainingSteps; readonly state: TrainingState } {
    const config = { ...smallConfig, microBatchSize: 8, ...change };
    const state = createTrainingState({ shape, config, seed: 1, stream: 'steps' });
    const steps = createTrainingSteps({ state, config, settings: { precision: 'fp32', execution } });
    open.push(
      () => steps.dispose(),
      () => disposeTrainingState(state),
    );
    return { steps, state };
  }
  const round = (augmentP: number): Round[] => [
    {
      seed: [1, 7],
      mix: new Float32Array(8 * styleCount(shape)),
      reals: Float32Array.from(smallImages(8).dataSync()),
      augmentP,
    },
  ];
  /** What the phases of fresh networks report at the strengths given, one after the other. */
  const reports = (change: Partial<GeneratorConfig>, ps: readonly number[]): number[] => {
    const { steps } = opened({ learningRate: 1e-12, ...change });
    return ps.flatMap((p) => [
      steps.gMain(round(p)).loss,
      ...Object.values(steps.dMain(round(p))),
      steps.dR1(round(p)).penalty,
    ]);
  };

  it('at p = 0 report what they report without augmentation, and p is read anew at every step', () => {
    const plain = reports({}, [0]);
    close();
    const adaptive = reports({ augment: 'ada' }, [0, 1, 0]);
    const [first, second, third] = [0, 6, 12].map((i) => adaptive.slice(i, i + 6));
    first!.forEach((x, i) => expect(x).toBeCloseTo(plain[i]!, 5));
    third!.forEach((x, i) => expect(x).toBeCloseTo(plain[i]!, 5));
    // gMain sees fakes alone, dR1 reals alone: both are augmented.
    for (const i of [0, 5]) expect(Math.abs(second![i]! / plain[i]! - 1)).toBeGreaterThan(1e-3);
  });
  it.each([
    ['ada', { augment: 'ada', augmentPipe: 'bgc' }],
    ['diffaugment', { augment: 'diffaugment' }],
  ] as const)('show D reals and fakes of all phases through %s', (_, change) => {
    const { steps, state } = opened({ ...change, learningRate: 1e-12, r1Gamma: 10 });
    const { g, d } = state;
    const seed = tf.tensor1d([1, 7], 'int32');
    const augmentation = augmentationOf({ ...smallConfig, ...change }, shape)!;
    const through = (of: 'reals' | 'fakes'): Augment => augmentation.draw({ of, images: 8, seed, p: tf.scalar(1) });
    const draws = drawLatents(shape, { count: 8, seed, mix: tf.zeros([8, styleCount(shape)]) });
    const fakes = synthesis(g, shape, { ws: trainingStyles(g, shape, draws).ws, noise: draws.noise });
    const reals = smallImages(8);
    const judged = dLogistic({ d, shape }, { reals: through('reals')(reals), fakes: through('fakes')(fakes) });
    const wanted = [
      gLogisticNonSaturating({ g, d, shape }, draws, through('fakes')).loss,
      ...[judged.loss, judged.scoresReal, judged.scoresFake, judged.rt],
      dR1({ d, shape }, { reals, gamma: 10, augment: through('reals') }),
    ].map(value);
    const found = [steps.gMain(round(1)).loss, ...Object.values(steps.dMain(round(1))), steps.dR1(round(1)).penalty];
    found.forEach((x, i) => expect(Math.abs(x / wanted[i]! - 1), `report ${i}`).toBeLessThan(1e-3));
  });
  it('augment reals and fakes by draws of their own', () => {
    const [reals, fakes] = (['reals', 'fakes'] as const).map((of) => [
      ...augmentOf({ augment: 'ada' }, 1, of)(smallImages(4)).dataSync(),
    ]);
    expect(reals).not.toEqual(fakes);
  });
  it('report the mean sign of the scores of reals', () => {
    const { steps, state } = opened({});
    const scores = [...discriminator(state.d, shape, smallImages(8)).dataSync()];
    const wanted = scores.reduce((sum, score) => sum + Math.sign(score), 0) / 8;
    expect(steps.dMain(round(0)).rt).toBeCloseTo(wanted, 6);
    const bias = state.d.get('b4/output/bias')!;
    bias.assign(tf.fill([1], 100));
    expect(steps.dMain(round(0)).rt).toBe(1);
    bias.assign(tf.fill([1], -100));
    expect(steps.dMain(round(0)).rt).toBe(-1);
  });
});
