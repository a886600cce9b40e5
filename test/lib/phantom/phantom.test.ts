import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { ClassSide } from '../../../contract/manifests.ts';
import { ConfigurationError } from '../../../lib/errors.ts';
import { decodePng } from '../../../lib/image/png.ts';
import { writePhantomDataset } from '../../../lib/phantom/dataset.ts';
import { simulatePhantom } from '../../../lib/phantom/simulate.ts';
import { smooth } from '../../../lib/phantom/smooth.ts';

const draw = (side: ClassSide, index: number, seed = 1) => simulatePhantom({ side, index, seed, resolution: 64 });

/** Mean grey of a rectangle in shares of the side, over 40 phantoms. */
function meanGrey(side: ClassSide, [left, top, right, bottom]: readonly [number, number, number, number]): number {
  let [sum, count] = [0, 0];
  for (let index = 0; index < 40; index++) {
    const { data } = draw(side, index);
    for (let y = Math.floor(top * 64); y < bottom * 64; y++)
      for (let x = Math.floor(left * 64); x < right * 64; x++) {
        sum += data[y * 64 + x] ?? 0;
        count += 1;
      }
  }
  return sum / count;
}

describe('simulatePhantom', () => {
  it('is a function of side, index and seed', () => {
    expect(draw('negative', 3)).toEqual(draw('negative', 3));
    expect(draw('negative', 3).data).not.toEqual(draw('negative', 4).data);
    expect(draw('negative', 3).data).not.toEqual(draw('positive', 3).data);
    expect(draw('negative', 3).data).not.toEqual(draw('negative', 3, 2).data);
  });
  it('uses the grey range without clipping much of it', () => {
    const { data } = draw('negative', 1);
    const clipped = data.filter((value) => value === 0 || value === 255).length;
    expect(clipped / data.length).toBeLessThan(0.25);
    expect(Math.max(...data)).toBeGreaterThan(150);
  });
  it('has a dark lesion in the middle', () => {
    for (const side of ['negative', 'positive'] as const)
      expect(meanGrey(side, [0.45, 0.42, 0.55, 0.5])).toBeLessThan(meanGrey(side, [0, 0.42, 0.15, 0.5]) - 20);
  });
  it('is brighter behind benign lesions than behind malignant ones', () => {
    const behind = [0.42, 0.68, 0.58, 0.78] as const;
    expect(meanGrey('negative', behind)).toBeGreaterThan(meanGrey('positive', behind) + 15);
  });
  it('refuses other resolutions', () => {
    const ask = (resolution: number) => () => simulatePhantom({ side: 'negative', index: 0, seed: 1, resolution });
    for (const resolution of [0, 16, 48, 2048, 64.5]) expect(ask(resolution)).toThrow(ConfigurationError);
  });
});

describe('smooth', () => {
  it('keeps a constant field and the sum of an impulse', () => {
    const flat = smooth(new Float64Array(256).fill(3), 16, { across: 2, along: 1 });
    for (const value of flat) expect(value).toBeCloseTo(3, 12);
    const impulse = new Float64Array(32 * 32);
    impulse[16 * 32 + 16] = 1;
    const blurred = smooth(impulse, 32, { across: 2, along: 1 });
    expect(blurred.reduce((sum, value) => sum + value, 0)).toBeCloseTo(1, 12);
    expect(blurred[16 * 32 + 18]).toBeGreaterThan(blurred[18 * 32 + 16] ?? 1);
  });
});

describe('writePhantomDataset', () => {
  it('writes one folder per class, the same bytes each time', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'echoforge-phantom-'));
    const classes = { negative: 'benign', positive: 'malignant' };
    for (const name of ['a', 'b'])
      await writePhantomDataset({ dir: join(dir, name), classes, imagesPerClass: 2, seed: 5, resolution: 32 });
    expect((await readdir(join(dir, 'a', 'malignant'))).sort()).toEqual(['phantom-0001.png', 'phantom-0002.png']);
    const bytes = await readFile(join(dir, 'a/benign/phantom-0002.png'));
    expect(bytes).toEqual(await readFile(join(dir, 'b/benign/phantom-0002.png')));
    expect(await decodePng(bytes)).toEqual(simulatePhantom({ side: 'negative', index: 2, seed: 5, resolution: 32 }));
    await rm(dir, { recursive: true });
  });
});
