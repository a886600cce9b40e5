import { beforeAll, describe, expect, it } from 'vitest';
import { loadEngine } from '../../../lib/engine/backend.ts';
import { tf } from '../../../lib/engine/tf.ts';
import { identityMap } from '../../../lib/generator/affine-map.ts';
import {
  applyChanges,
  composeColour,
  drawChanges,
  pipes,
  type Changes,
  type Pipe,
} from '../../../lib/generator/augment-pipe.ts';
import { directionalError, gradientPenalty, uniform } from '../engine/second-order.ts';
import { augmentFixture, farthest } from './augment-fixture.ts';

beforeAll(loadEngine);

const images = 64;
const draws = (p: number, channels: number, count = images) => ({
  ...{ images: count, resolution: 8, channels, p: tf.scalar(p) },
  ...{ seed: tf.tensor1d([5, 6], 'int32'), firstStream: 64 },
});
const nothing: Pipe = {
  ...{ mirror: false, quarterTurns: false, integerTranslation: 0, scale: 0, rotation: false, stretch: 0 },
  ...{ fractionalTranslation: 0, brightness: 0, contrast: 0, lumaFlip: false, hue: false, saturation: 0, noise: 0 },
};
const batch = (channels: number, count = images): tf.Tensor4D => uniform([count, 8, 8, channels], 'x') as tf.Tensor4D;
const values = (t: tf.Tensor): number[] => [...t.dataSync()];
const mean = (xs: readonly number[]): number => xs.reduce((a, b) => a + b, 0) / xs.length;
const deviation = (xs: readonly number[]): number => Math.sqrt(mean(xs.map((x) => x ** 2)));

/** One image, nothing done to it but what is given. */
const change = (channels: number, given: Partial<Changes>): Changes => ({
  ...{ mirror: null, quarterTurns: null, map: identityMap(1), mapped: tf.zeros<tf.Rank.R1>([1]), noise: null },
  colour: { matrix: tf.reshape(tf.eye(channels), [1, channels, channels]), offset: tf.zeros([1]) },
  ...given,
});
const corner = (): tf.Tensor4D => tf.tensor4d([1, 2, 3, 4, 5, 6, 7, 8, 9], [1, 3, 3, 1]);

describe.each([
  ['ultrasound', 1],
  ['ultrasound', 3],
  ['bgc', 1],
  ['bgc', 3],
] as const)('the pipe %s on %i channels', (name, channels) => {
  it('leaves every bit as it is at p = 0', () => {
    const x = batch(channels);
    expect(values(applyChanges(x, drawChanges(pipes[name], draws(0, channels))))).toEqual(values(x));
  });
  it('changes every image at p = 1', () => {
    const x = batch(channels);
    const change = tf.sub(applyChanges(x, drawChanges(pipes[name], draws(1, channels))), x);
    for (const largest of values(tf.max(tf.abs(change), [1, 2, 3]))) expect(largest).toBeGreaterThan(0.01);
  });
  it('is a function of seed and p alone, and differs between streams', () => {
    const changed = (firstStream: number): number[] =>
      values(applyChanges(batch(channels), drawChanges(pipes[name], { ...draws(0.5, channels), firstStream })));
    expect(changed(64)).toEqual(changed(64));
    expect(changed(64)).not.toEqual(changed(128));
  });
  it('has second derivatives that agree with differences', () => {
    const changes = drawChanges(pipes[name], draws(0.7, channels, 4));
    const pipe = (x: tf.Tensor): tf.Tensor => applyChanges(x as tf.Tensor4D, changes);
    expect(directionalError(gradientPenalty(pipe), [batch(channels, 4)])).toBeLessThan(0.01);
  });
});

describe('the ultrasound pipe', () => {
  it('never turns, shears or mirrors top to bottom, and never inverts', () => {
    const { map, colour, quarterTurns } = drawChanges(pipes.ultrasound, draws(1, 1, 500));
    expect(quarterTurns).toBeNull();
    expect([...values(map.xy), ...values(map.yx)].every((x) => x === 0)).toBe(true);
    expect(Math.min(...values(map.yy), ...values(map.xx), ...values(colour.matrix))).toBeGreaterThan(0);
  });
});

describe('draws', () => {
  it('happen with probability p', () => {
    const { mapped } = drawChanges({ ...nothing, scale: 1 }, draws(0.3, 1, 4000));
    expect(Math.abs(mean(values(mapped)) - 0.3)).toBeLessThan(0.03); // 4 standard errors
  });
  it('turn at least once with probability p', () => {
    const { mapped } = drawChanges({ ...nothing, rotation: true }, draws(0.5, 1, 4000));
    expect(Math.abs(mean(values(mapped)) - 0.5)).toBeLessThan(0.032);
  });
  it('spread as the pipe says', () => {
    const { map, colour, noise } = drawChanges(pipes.bgc, draws(1, 1, 4000));
    expect(noise).toBeNull();
    const determinants = values(tf.sub(tf.mul(map.xx, map.yy), tf.mul(map.xy, map.yx)));
    // Stretch and turns keep areas: what is left is the scale, squared.
    expect(deviation(determinants.map((d) => Math.log2(d) / 2))).toBeCloseTo(0.2, 1);
    expect(deviation(values(colour.matrix).map((m) => Math.log2(Math.abs(m))))).toBeCloseTo(0.5, 1);
    const flipped = mean(values(colour.matrix).map((m) => (m < 0 ? 1 : 0)));
    expect(Math.abs(flipped - 0.5)).toBeLessThan(0.032);
    const whole = drawChanges({ ...nothing, integerTranslation: 0.125 }, draws(1, 1, 4000)).map;
    expect([...new Set(values(whole.x0).map(Math.abs))].sort()).toEqual([0, 1]); // an eighth of 8 px
    const fractional = drawChanges({ ...nothing, fractionalTranslation: 0.125 }, draws(1, 1, 4000)).map;
    expect(deviation(values(fractional.y0))).toBeCloseTo(1, 1);
    const noisy = drawChanges({ ...nothing, noise: 0.1 }, draws(1, 1, 4000)).noise!;
    expect(deviation(values(noisy.strength))).toBeCloseTo(0.1, 2);
    expect(Math.min(...values(noisy.strength))).toBeGreaterThanOrEqual(0);
  });
});

describe('each change by itself', () => {
  const one = (value: number): tf.Tensor1D => tf.tensor1d([value]);
  it('mirrors left to right', () => {
    expect(values(applyChanges(corner(), change(1, { mirror: one(1) })))).toEqual([3, 2, 1, 6, 5, 4, 9, 8, 7]);
  });
  it.each([
    [1, [7, 4, 1, 8, 5, 2, 9, 6, 3]],
    [2, [9, 8, 7, 6, 5, 4, 3, 2, 1]],
    [3, [3, 6, 9, 2, 5, 8, 1, 4, 7]],
  ])('turns by %i quarters clockwise', (turns, wanted) => {
    expect(values(applyChanges(corner(), change(1, { quarterTurns: one(turns) })))).toEqual(wanted);
  });
  it('scales about 0 and shifts brightness', () => {
    const colour = { matrix: tf.tensor3d([2], [1, 1, 1]), offset: one(-1) };
    expect(values(applyChanges(corner(), change(1, { colour })))).toEqual([1, 3, 5, 7, 9, 11, 13, 15, 17]);
  });
  it('mixes channels row by row', () => {
    const matrix = tf.tensor3d([1, 2, 3, 0, 1, 0, 0, 0, -1], [1, 3, 3]);
    const pixel = tf.tensor4d([1, 10, 100], [1, 1, 1, 3]);
    const changes = change(3, { colour: { matrix, offset: one(0) } });
    const still = { ...changes, mapped: one(0) };
    expect(values(applyChanges(tf.tile(pixel, [1, 2, 2, 1]), still)).slice(0, 3)).toEqual([321, 10, -100]);
  });
  it('adds noise of the strength drawn', () => {
    const noise = { strength: one(0.5), normal: tf.ones<tf.Rank.R4>([1, 3, 3, 1]) };
    expect(values(applyChanges(corner(), change(1, { noise })))[0]).toBe(1.5);
  });
});

describe('colour', () => {
  const one = (value: number): tf.Tensor1D => tf.tensor1d([value]);
  it.each(augmentFixture.colour)('composes as the reference: $draws', ({ draws: drawn, matrix: wanted }) => {
    const { brightness, contrast, lumaFlip, hue, saturation } = drawn;
    const colour = { brightness: one(brightness), contrast: one(contrast), lumaFlip: one(lumaFlip) };
    const rgb = composeColour({ ...colour, hue: one(hue), saturation: one(saturation) }, 3);
    expect(
      farthest(
        values(rgb.matrix),
        wanted.slice(0, 3).flatMap((row) => row.slice(0, 3)),
      ),
    ).toBeLessThan(1e-6);
    expect(values(rgb.offset)[0]).toBeCloseTo(wanted[0]![3]!, 6);
    // Grey stays on its axis: the same factor as three equal channels.
    const grey = composeColour({ ...colour, hue: null, saturation: null }, 1);
    expect(values(grey.matrix)[0]).toBeCloseTo(
      wanted[0]!.slice(0, 3).reduce((a, b) => a + b),
      6,
    );
    expect(values(grey.offset)[0]).toBeCloseTo(wanted[0]![3]!, 6);
  });
});
