import { describe, expect, it } from 'vitest';
import { figuresOf } from '../../bench/figures.ts';
import { checkShare, watchOthers } from '../../bench/quiet-machine.ts';

describe('figuresOf', () => {
  it('gives the median and the quartiles, of even and odd counts, in any order', () => {
    expect(figuresOf([5, 1, 3, 2, 4])).toEqual({ median: 3, low: 2, high: 4, runs: 5 });
    expect(figuresOf([4, 1, 2, 3])).toEqual({ median: 2.5, low: 1.75, high: 3.25, runs: 4 });
    expect(figuresOf([7])).toEqual({ median: 7, low: 7, high: 7, runs: 1 });
  });
  it('refuses no times', () => {
    expect(() => figuresOf([])).toThrow('at least one time');
  });
});

describe('a machine that is not ours alone', () => {
  it('gives no figure above 4% of the CPU, and says how to see one', () => {
    expect(() => checkShare(0.041, false)).toThrow('other processes use 4.1% of the CPU');
    expect(() => checkShare(0.039, false)).not.toThrow();
    expect(() => checkShare(0.5, true)).not.toThrow();
  });
  it('counts our own work as ours', () => {
    const others = watchOthers();
    const mine = watchOthers([process.pid]); // counted twice: less is left to others
    const end = performance.now() + 500;
    while (performance.now() < end) Math.sqrt(end);
    expect(others()).toBeLessThanOrEqual(1);
    expect(mine()).toBeLessThan(others() + 0.01);
  });
});
