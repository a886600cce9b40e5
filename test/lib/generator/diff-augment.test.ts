import { beforeAll, describe, expect, it } from 'vitest';
import { loadEngine } from '../../../lib/engine/backend.ts';
import { tf } from '../../../lib/engine/tf.ts';
import { applyDiffAugment, drawDiffAugment, type DiffAugmentDraws } from '../../../lib/generator/diff-augment.ts';
import { directionalError, gradientPenalty, uniform } from '../engine/second-order.ts';
import { augmentFixture, farthest, recipeImage } from './augment-fixture.ts';

beforeAll(loadEngine);

const values = (t: tf.Tensor): number[] => [...t.dataSync()];
const one = (value: number): tf.Tensor1D => tf.tensor1d([value]);
const still: DiffAugmentDraws = { color: null, translation: null, cutout: null };
const ramp = (): tf.Tensor4D =>
  tf.tensor4d(
    [...Array(16).keys()].map((i) => i + 1),
    [1, 4, 4, 1],
  );
const drawn = (images: number): DiffAugmentDraws =>
  drawDiffAugment({
    ...{ policy: ['color', 'translation', 'cutout'], images, resolution: 16 },
    ...{ seed: tf.tensor1d([1, 2], 'int32'), firstStream: 64 },
  });

describe('applyDiffAugment', () => {
  it.each(augmentFixture.diffaugment)('equals a loop over pixels on $channels channels', ({ channels, draws, out }) => {
    const { brightness, saturation, contrast, dx, dy, left, top } = draws;
    const found = applyDiffAugment(recipeImage(`diffaugment/${channels}`, 8, channels), {
      color: { brightness: one(brightness), saturation: one(saturation), contrast: one(contrast) },
      translation: { x: one(dx), y: one(dy) },
      cutout: { left: one(left), top: one(top) },
    });
    expect(farthest(values(found), out)).toBeLessThan(1e-6);
  });
  it('moves to the right and down, with zeros behind', () => {
    const found = applyDiffAugment(ramp(), { ...still, translation: { x: one(1), y: one(2) } });
    expect(values(found)).toEqual([0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 0, 5, 6, 7]);
  });
  it('cuts a square of half the side that may stick out', () => {
    const found = applyDiffAugment(ramp(), { ...still, cutout: { left: one(-1), top: one(2) } });
    expect(values(found)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 0, 10, 11, 12, 0, 14, 15, 16]);
  });
  it('leaves images as they are without a policy', () => {
    expect(values(applyDiffAugment(ramp(), still))).toEqual(values(ramp()));
  });
  it.each([1, 3])('has second derivatives that agree with differences on %i channels', (channels) => {
    const draws = drawn(2);
    const change = (x: tf.Tensor): tf.Tensor => applyDiffAugment(x as tf.Tensor4D, draws);
    expect(directionalError(gradientPenalty(change), [uniform([2, 16, 16, channels], 'x')])).toBeLessThan(0.01);
  });
});

describe('drawDiffAugment', () => {
  const range = (t: tf.Tensor): number[] => [Math.min(...values(t)), Math.max(...values(t))];
  it('draws as published: brightness +-0.5, saturation 0 to 2, contrast 0.5 to 1.5, an eighth, half', () => {
    const { color, translation, cutout } = drawn(4000);
    const near = (t: tf.Tensor, wanted: number[]): void => expect(farthest(range(t), wanted)).toBeLessThan(0.01);
    near(color!.brightness, [-0.5, 0.5]);
    near(color!.saturation, [0, 2]);
    near(color!.contrast, [0.5, 1.5]);
    for (const shift of [translation!.x, translation!.y]) expect(range(shift)).toEqual([-2, 2]);
    for (const first of [cutout!.left, cutout!.top]) expect(range(first)).toEqual([-4, 12]);
  });
  it('draws what the policy names', () => {
    const options = { images: 2, resolution: 16, seed: tf.tensor1d([1, 2], 'int32'), firstStream: 64 };
    const { color, translation, cutout } = drawDiffAugment({ ...options, policy: ['translation'] });
    expect([color, cutout]).toEqual([null, null]);
    expect(translation).not.toBeNull();
  });
});
