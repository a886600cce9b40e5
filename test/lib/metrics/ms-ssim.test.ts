import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { RawImage } from '../../../lib/image/raw-image.ts';
import { msSsim } from '../../../lib/metrics/ms-ssim.ts';

/** Made by bench/reference/make_ms_ssim_fixture.py; at 256 px pytorch-msssim 1.0 agrees to 3e-6, its window is float32. */
interface Fixture {
  readonly cases: readonly {
    readonly side: number;
    readonly channels: 1 | 3;
    readonly first: readonly [number, number, number];
    readonly second: readonly [number, number, number];
    readonly value: number;
  }[];
}
const fixture = JSON.parse(readFileSync(new URL('fixtures/ms-ssim.json', import.meta.url), 'utf8')) as Fixture;

const modulo = (value: number, divisor: number): number => ((value % divisor) + divisor) % divisor;

function waves(side: number, channels: 1 | 3, [a, b, c]: readonly [number, number, number]): RawImage {
  const data = new Uint8Array(side * side * channels);
  for (let y = 0; y < side; y++)
    for (let x = 0; x < side; x++)
      for (let k = 0; k < channels; k++) {
        const wave = modulo(x * a + y * b + k * 17, 256);
        const texture = modulo(x * y * c + x * 7 + k * 5, 61);
        data[(y * side + x) * channels + k] = Math.floor((Math.abs(wave - 128) * 3 + texture) / 2);
      }
  return { width: side, height: side, channels, data };
}

describe('msSsim', () => {
  it.each(fixture.cases)('at $side px, $channels channels, of $first and $second is $value', (given) => {
    const { side, channels, first, second, value } = given;
    expect(msSsim(waves(side, channels, first), waves(side, channels, second))).toBeCloseTo(value, 10);
  });
  it('is the same in both directions', () => {
    const [a, b] = [waves(32, 1, [3, 5, 1]), waves(32, 1, [3, 6, 1])];
    expect(msSsim(a, b)).toBe(msSsim(b, a));
  });
  it('refuses images of two sizes', () => {
    expect(() => msSsim(waves(16, 1, [1, 1, 1]), waves(32, 1, [1, 1, 1]))).toThrow('16x16x1 and 32x32x1');
  });
});
