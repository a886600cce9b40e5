import { describe, expect, it } from 'vitest';
import { encodeEventFile } from '../../../lib/tensorboard/event-file.ts';
import { histogramOf } from '../../../lib/tensorboard/histogram.ts';

describe('histogramOf', () => {
  it('counts values in 30 buckets from the smallest to the largest', () => {
    const { limits, counts, ...moments } = histogramOf(Float32Array.of(0, 1, 1.5, 29.5, 30));
    expect(moments).toEqual({ min: 0, max: 30, count: 5, sum: 62, sumOfSquares: 1 + 2.25 + 870.25 + 900 });
    expect(limits).toEqual(Array.from({ length: 30 }, (_, i) => i + 1));
    expect(counts).toEqual([1, 2, ...Array<number>(27).fill(0), 2]);
  });
  it('has one bucket for equal values, and nothing to say of none', () => {
    expect(histogramOf(Float32Array.of(2, 2))).toMatchObject({ limits: [2], counts: [2], sum: 4, sumOfSquares: 8 });
    expect(() => histogramOf(new Float32Array(0))).toThrow('at least one value');
  });
});

it('an event file stores a histogram as HistogramProto of one summary value', () => {
  const histogram = { min: 1, max: 2, count: 3, sum: 4, sumOfSquares: 6, limits: [1.5, 2], counts: [1, 2] };
  const file = Buffer.from(encodeEventFile([{ step: 1, histograms: { w: histogram } }])).subarray(40);
  // Laid out by hand from summary.proto: doubles 1 to 5, packed doubles 6 and 7.
  const double = (value: number): number[] => {
    const bytes = Buffer.alloc(8);
    bytes.writeDoubleLE(value);
    return [...bytes];
  };
  const single = [1, 2, 3, 4, 6].flatMap((value, i) => [((i + 1) << 3) | 1, ...double(value)]);
  const packed = [0x32, 16, ...double(1.5), ...double(2), 0x3a, 16, ...double(1), ...double(2)];
  const histo = [...single, ...packed];
  const value = [0x0a, 1, 0x77, 0x2a, histo.length, ...histo];
  const summary = [0x0a, value.length, ...value];
  const event = [0x09, ...double(0), 0x10, 1, 0x2a, summary.length, ...summary];
  expect([...file.subarray(12, file.length - 4)]).toEqual(event);
});
