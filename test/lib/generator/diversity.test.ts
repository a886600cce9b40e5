import { describe, expect, it } from 'vitest';
import type { RawImage } from '../../../lib/image/raw-image.ts';
import { growsAlike, hasCollapsed, meanSimilarity, similarityWithin } from '../../../lib/generator/diversity.ts';
import { createRng, randomInt } from '../../../lib/random.ts';

function noise(seed: number): RawImage {
  const rng = createRng(seed, 'noise');
  const data = Uint8Array.from({ length: 1024 }, () => randomInt(rng, 256));
  return { width: 32, height: 32, channels: 1, data };
}

describe('meanSimilarity', () => {
  it('is 1 for equal images, near 0 for noise, and nothing for a single image', () => {
    expect(meanSimilarity([noise(1), noise(1), noise(1)])).toBeCloseTo(1, 12);
    expect(meanSimilarity([1, 2, 3, 4].map(noise))!).toBeLessThan(0.2);
    expect(meanSimilarity([noise(1)])).toBeNull();
  });
  it('compares neighbours, the last with the first', () => {
    const [a, b] = [noise(1), noise(2)];
    expect(meanSimilarity([a, a, b])).toBeCloseTo((1 + 2 * meanSimilarity([a, b])!) / 3, 12);
  });
});

describe('similarityWithin', () => {
  it('is that of the class whose images are most alike', () => {
    const [alike, different] = [noise(1), noise(2)];
    const images = [alike, different, alike, noise(3)];
    expect(similarityWithin(images, [0, 1, 0, 1])).toBeCloseTo(1, 12);
    expect(similarityWithin(images, [0, 0, 1, 1])!).toBeLessThan(0.2);
    expect(similarityWithin(images, [0, 0, 0, 0])).toBe(meanSimilarity(images));
    expect(similarityWithin([alike, different], [0, 1])).toBeNull();
  });
});

describe('collapse', () => {
  const reals = 0.8;
  it('is the loss of a diversity that was there', () => {
    expect(hasCollapsed({ fakes: 0.1, reals, best: 0.6 })).toBe(true);
    expect(hasCollapsed({ fakes: 0.2, reals, best: 0.6 })).toBe(false);
    expect(growsAlike({ fakes: 0.2, best: 0.6 })).toBe(true);
    expect(growsAlike({ fakes: 0.4, best: 0.6 })).toBe(false);
  });
  it('is not what early fakes do, which never were diverse', () => {
    expect(hasCollapsed({ fakes: 0.01, reals, best: 0.3 })).toBe(false);
    expect(hasCollapsed({ fakes: 0, reals, best: 0 })).toBe(false);
  });
});
