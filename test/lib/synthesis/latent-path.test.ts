import { describe, expect, it } from 'vitest';
import { closedPath, lerp, slerp } from '../../../lib/synthesis/latent-path.ts';

const [east, north] = [Float32Array.of(2, 0), Float32Array.of(0, 2)];

describe('slerp', () => {
  it('goes along the circle at even steps, where a straight line would cut through it', () => {
    const third = slerp(east, north, 1 / 3);
    expect(third[0]).toBeCloseTo(2 * Math.cos(Math.PI / 6), 6);
    expect(third[1]).toBeCloseTo(2 * Math.sin(Math.PI / 6), 6);
    expect(Math.hypot(...lerp(east, north, 0.5))).toBeCloseTo(Math.SQRT2, 6);
  });
  it('changes its length evenly and takes parallel vectors', () => {
    expect(Math.hypot(...slerp(east, Float32Array.of(0, 4), 0.5))).toBeCloseTo(3, 6);
    expect([...slerp(east, Float32Array.of(4, 0), 0.5)]).toEqual([3, 0]);
  });
});

it('closedPath passes every keyframe and returns towards the first', () => {
  const path = closedPath([east, north], 1, lerp).map((point) => [...point]);
  expect(path).toEqual([
    [2, 0],
    [1, 1],
    [0, 2],
    [1, 1],
  ]);
});
