import { describe, expect, it } from 'vitest';
import { countSkips, divergedAfter, hasSkips, isSkipping, noSkips, stuckUpdate } from '../../../lib/generator/skips.ts';

const iterations = (count: number, skipped: Parameters<typeof countSkips>[1], from = noSkips): typeof noSkips =>
  Array.from({ length: count }).reduce<typeof noSkips>((skips) => countSkips(skips, skipped), from);

describe('skipped updates', () => {
  it('are counted per tick and in a row, each update by itself', () => {
    const first = countSkips(noSkips, { TrainG: true, TrainD: false, RegD: true });
    expect(first).toEqual({ inTick: { TrainG: 1, RegD: 1 }, inRow: { TrainG: 1, RegD: 1 } });
    // R1 is not due here: its row goes on.
    const second = countSkips(first, { TrainG: false, TrainD: true });
    expect(second).toEqual({ inTick: { TrainG: 1, TrainD: 1, RegD: 1 }, inRow: { TrainD: 1, RegD: 1 } });
  });
  it('go on until the update is made when it is next due, not in between', () => {
    const skipped = countSkips(noSkips, { TrainD: false, RegD: true });
    expect([skipped, countSkips(skipped, { TrainD: false })].map(isSkipping)).toEqual([true, true]);
    expect(isSkipping(countSkips(skipped, { RegD: false }))).toBe(false);
  });
  it('leave no trace when there are none', () => {
    expect(iterations(3, { TrainG: false, TrainD: false })).toEqual(noSkips);
    expect(hasSkips(noSkips)).toBe(false);
    expect(hasSkips(countSkips(noSkips, { RegG: true }))).toBe(true);
  });
  it('mean divergence when one is skipped 16 times in a row, not when it is made in between', () => {
    const almost = iterations(divergedAfter - 1, { TrainG: false, TrainD: true });
    expect(stuckUpdate(almost)).toBeNull();
    expect(stuckUpdate(countSkips(almost, { TrainD: true }))).toBe('TrainD');
    const made = countSkips(almost, { TrainD: false });
    expect(stuckUpdate(iterations(divergedAfter - 1, { TrainD: true }, made))).toBeNull();
  });
});
