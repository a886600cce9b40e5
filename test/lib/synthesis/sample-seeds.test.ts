import { describe, expect, it } from 'vitest';
import type { Sampler } from '../../../lib/generator/sampler.ts';
import { blocksOfSeeds, memberOfSeed, sampleSeeds, seedBlocks } from '../../../lib/synthesis/sample-seeds.ts';
import { latentsForSeed } from '../../../lib/synthesis/seed-inputs.ts';

/** A sampler of 2 x 2 images whose pixels tell slot and psi. */
const sampler: Sampler = {
  batchSize: 3,
  latentSize: 4,
  noiseSizes: [4],
  sampleRaw: () => new Float32Array(12),
  sample: ({ z, psi }) =>
    Uint8Array.from({ length: 12 }, (_, i) => Math.round(100 + 20 * psi * z[4 * Math.floor(i / 4)]!)),
  dispose: () => undefined,
};

describe('seedBlocks', () => {
  it.each([
    [1, 1, 4, [[0, 1, 2, 3]]],
    [
      1,
      8,
      4,
      [
        [0, 1, 2, 3],
        [4, 5, 6, 7],
        [8, 9, 10, 11],
      ],
    ],
    [4, 7, 4, [[4, 5, 6, 7]]],
    [5, 6, 1, [[5], [6]]],
  ])('gives seeds %d to %d in whole blocks of %d', (firstSeed, lastSeed, batchSize, blocks) => {
    expect(seedBlocks({ firstSeed, lastSeed, batchSize })).toEqual(blocks);
  });
  it.each([
    [3, 2, 4],
    [-1, 2, 4],
    [1, 2, 0],
    [1.5, 2, 4],
  ])('refuses seeds %d to %d in blocks of %d', (firstSeed, lastSeed, batchSize) => {
    expect(() => seedBlocks({ firstSeed, lastSeed, batchSize })).toThrow('0 <= first <= last');
  });
});

describe('sampleSeeds', () => {
  it('gives every seed its own image', () => {
    const images = sampleSeeds(sampler, { seeds: [9, 10, 11], psi: 0.5, resolution: 2, channels: 1 });
    images.forEach((image, i) => {
      const pixel = Math.round(100 + 10 * latentsForSeed({ seed: 9 + i, latentSize: 4 })[0]!);
      expect(image).toEqual({ width: 2, height: 2, channels: 1, data: Uint8Array.of(pixel, pixel, pixel, pixel) });
    });
  });
  it('refuses a batch that is not full', () => {
    expect(() => sampleSeeds(sampler, { seeds: [1], psi: 1, resolution: 2, channels: 1 })).toThrow('expects 3 seeds');
  });
});

describe('memberOfSeed', () => {
  it('pads to five digits and goes on with more', () => {
    expect([1, 25_000, 123_456].map(memberOfSeed)).toEqual(['seed00001.png', 'seed25000.png', 'seed123456.png']);
  });
});

it('blocksOfSeeds gives whole, aligned blocks, each once, in the order of the list', () => {
  expect(blocksOfSeeds([9, 2, 3, 8], 4)).toEqual([
    [8, 9, 10, 11],
    [0, 1, 2, 3],
  ]);
});
