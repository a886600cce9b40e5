import { beforeAll, describe, expect, it } from 'vitest';
import { loadEngine } from '../../../lib/engine/backend.ts';
import { tf } from '../../../lib/engine/tf.ts';
import { identityMap, thenMoved, thenScaled, thenTurned, type AffineMap } from '../../../lib/generator/affine-map.ts';
import { affineWarp } from '../../../lib/generator/warp.ts';
import { directionalError, gradientPenalty, uniform } from '../engine/second-order.ts';
import { augmentFixture, farthest, recipeImage } from './augment-fixture.ts';

beforeAll(loadEngine);

const only = (value: number): tf.Tensor1D => tf.tensor1d([value]);

/** A bump of a few pixels at (x, y) in 16 x 16: its place shows where content goes. */
function bump(x: number, y: number): tf.Tensor4D {
  const values = Array.from({ length: 256 }, (_, i) =>
    Math.exp(-(((i % 16) - x) ** 2 + (Math.floor(i / 16) - y) ** 2) / 3),
  );
  return tf.tensor4d(values, [1, 16, 16, 1]);
}

/** Centre of mass. */
function placeOf(image: tf.Tensor4D): readonly [x: number, y: number] {
  const values = image.dataSync();
  let [sum, x, y] = [0, 0, 0];
  values.forEach((value, i) => {
    sum += value;
    x += value * (i % 16);
    y += value * Math.floor(i / 16);
  });
  return [x / sum, y / sum];
}

const moved = (make: (map: AffineMap) => AffineMap, x: number, y: number): readonly [number, number] =>
  placeOf(affineWarp(bump(x, y), make(identityMap(1))));

describe('maps move content', () => {
  const near = ([x, y]: readonly [number, number], wanted: readonly [number, number]): void => {
    expect(Math.hypot(x - wanted[0], y - wanted[1])).toBeLessThan(0.05);
  };
  it('to the right and down', () =>
    near(
      moved((map) => thenMoved(map, only(2), only(-1.5)), 7, 8),
      [9, 6.5],
    ));
  it('away from the centre when made larger', () =>
    near(
      moved((map) => thenScaled(map, only(1.5), only(1)), 9.5, 8),
      [10.5, 8],
    ));
  it('clockwise about the centre', () =>
    near(
      moved((map) => thenTurned(map, only(Math.PI / 2)), 9.5, 7.5),
      [7.5, 9.5],
    ));
  it('in the order of the calls', () => {
    const turn = (map: AffineMap): AffineMap => thenTurned(map, only(Math.PI / 2));
    const move = (map: AffineMap): AffineMap => thenMoved(map, only(2), only(0));
    near(
      moved((map) => move(turn(map)), 8.5, 7.5),
      [9.5, 8.5],
    );
    near(
      moved((map) => turn(move(map)), 8.5, 7.5),
      [7.5, 10.5],
    );
  });
});

describe('affineWarp', () => {
  it('leaves images in place under the identity, and shifts by whole pixels exactly', () => {
    const x = uniform([2, 16, 16, 3], 'x') as tf.Tensor4D;
    expect(farthest(affineWarp(x, identityMap(2)).dataSync(), x.dataSync())).toBeLessThan(1e-5);
    const [two, none] = [tf.tensor1d([3, 3]), tf.zeros<tf.Rank.R1>([2])];
    const shifted = tf.slice(affineWarp(x, thenMoved(identityMap(2), two, none)), [0, 0, 3, 0]);
    expect(farthest(shifted.dataSync(), tf.slice(x, [0, 0, 0, 0], [2, 16, 13, 3]).dataSync())).toBeLessThan(1e-4);
  });
  it('reflects at the borders without end: a constant stays constant under the smallest scale', () => {
    const ones = tf.ones<tf.Rank.R4>([1, 8, 8, 1]);
    const tiny = affineWarp(ones, thenScaled(identityMap(1), only(0.05), only(0.05)));
    expect(farthest(tiny.dataSync(), ones.dataSync())).toBeLessThan(1e-5);
  });
  it.each(augmentFixture.affine)('equals PyTorch in values and gradient: $name', (wanted) => {
    const { name, side, channels, map } = wanted;
    const x = recipeImage(`augment/${name}`, side, channels);
    const given = Object.fromEntries(Object.entries(map).map(([key, value]) => [key, only(value)]));
    const warp = (image: tf.Tensor): tf.Tensor4D => affineWarp(image as tf.Tensor4D, given as unknown as AffineMap);
    expect(farthest(warp(x).dataSync(), wanted.out)).toBeLessThan(2e-5);
    const gradient = tf.grad(warp)(x, recipeImage(`augment/${name}/dy`, side, channels));
    expect(farthest(gradient.dataSync(), wanted.gradient)).toBeLessThan(2e-5);
  });
  it('has second derivatives that agree with differences', () => {
    const angle = tf.tensor1d([0.4, -2]);
    const map = thenTurned(thenScaled(identityMap(2), tf.tensor1d([1.2, 0.7]), tf.tensor1d([0.9, 1.1])), angle);
    const warp = (x: tf.Tensor): tf.Tensor => affineWarp(x as tf.Tensor4D, map);
    expect(directionalError(gradientPenalty(warp), [uniform([2, 8, 8, 1], 'x')])).toBeLessThan(0.01);
  });
});
