import { describe, expect, it } from 'vitest';
import { ownFilterGradient } from '../../../lib/engine/filter-gradient.ts';
import { ownForward, ownInputGradient } from '../../../lib/engine/own-convolution.ts';

/** Which recorded convolutions our own kernels take; that these compute the same is tested in compile.test.ts. */
const attributes = (over: Record<string, unknown> = {}): { name: string; type: number; value: unknown }[] =>
  Object.entries({
    strides: [1, 1, 1, 1],
    dilations: [1, 1, 1, 1],
    padding: 'SAME',
    data_format: 'NHWC',
    ...over,
  }).map(([name, value]) => ({ name, type: 0, value }));
const x = [4, 32, 32, 48];
const filter = [3, 3, 48, 64];

describe('own convolutions', () => {
  it('take 3x3 filters with stride 1, padded or not, and say the shape of the result', () => {
    expect(ownForward(attributes(), { x, filter })).toEqual({ padding: 1, shape: [4, 32, 32, 64] });
    const valid = attributes({ padding: 'VALID' });
    expect(ownForward(valid, { x, filter })).toEqual({ padding: 0, shape: [4, 30, 30, 64] });
    const dy = [4, 30, 30, 64];
    expect(ownInputGradient(valid, { dy, filter })).toEqual({ padding: 2, shape: [4, 32, 32, 48] });
  });
  it.each<[string, Parameters<typeof ownForward>[1], Record<string, unknown>]>([
    ['stride 2', { x, filter }, { strides: [1, 2, 2, 1] }],
    ['dilation', { x, filter }, { dilations: [1, 2, 2, 1] }],
    ['explicit padding', { x, filter }, { padding: 'EXPLICIT' }],
    ['channels first', { x, filter }, { data_format: 'NCHW' }],
    ['another filter', { x, filter: [1, 1, 48, 64] }, {}],
    ['parts of vectors', { x, filter: [3, 3, 48, 65] }, {}],
    ['few input channels', { x: [4, 32, 32, 3], filter: [3, 3, 3, 64] }, {}],
    ['an odd number of input channels', { x: [4, 32, 32, 49], filter: [3, 3, 49, 64] }, {}],
    ['few pixels', { x: [4, 8, 8, 48], filter }, {}],
  ])('leave %s to the library', (_what, shapes, over) => {
    expect(ownForward(attributes(over), shapes)).toBeNull();
  });
  it('take the gradient in the filter with fewer products where there are pixels enough', () => {
    const shapes = { x, filter, dy: [4, 32, 32, 64] };
    expect(ownFilterGradient(attributes(), shapes, 'fp32')).toMatchObject({ padding: 1, winograd: true });
    const few = { x: [4, 8, 8, 48], filter, dy: [4, 8, 8, 64] };
    expect(ownFilterGradient(attributes(), few, 'fp32')).toMatchObject({ padding: 1, winograd: false });
    expect(ownFilterGradient(attributes(), shapes, 'bf16')).toMatchObject({ winograd: true });
    expect(ownFilterGradient(attributes(), few, 'bf16')).toBeNull();
    const strided = { x: [4, 33, 33, 48], filter, dy: [4, 16, 16, 64] };
    const down = attributes({ strides: [1, 2, 2, 1], padding: 'VALID' });
    expect(ownFilterGradient(down, strided, 'bf16')).toEqual({ kernel: 3, stride: 2, padding: 0, winograd: false });
  });
});
