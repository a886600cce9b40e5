import { describe, expect, it } from 'vitest';
import { createRng } from '../../../lib/random.ts';
import { splitHalves } from '../../../lib/metrics/split-halves.ts';

describe('splitHalves', () => {
  it('divides every image once, the odd one to the first half', () => {
    const [first, second] = splitHalves(9, createRng(1, 'halves'));
    expect([first.length, second.length]).toEqual([5, 4]);
    expect([...first, ...second].sort((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8]);
  });
  it('divides the same for the same seed and otherwise for another', () => {
    expect(splitHalves(40, createRng(1, 'halves'))).toEqual(splitHalves(40, createRng(1, 'halves')));
    expect(splitHalves(40, createRng(1, 'halves'))).not.toEqual(splitHalves(40, createRng(2, 'halves')));
  });
  it('refuses fewer than two images per half', () => {
    expect(() => splitHalves(3, createRng(1, 'halves'))).toThrow('at least four images (two per half), got 3');
  });
});
