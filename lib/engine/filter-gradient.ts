import type { OpAttribute } from './native-backend.ts';
import { leastTiles, tilesOf } from './own-convolution.ts';

/**
 * When a recorded Conv2DBackpropFilter may be a kernel of ours instead (filter_gradient.cc and, with fewer products,
 * winograd_filter_gradient.cc in infra/setup/tfjs-binding): square filters of more than one pixel, NHWC, undilated, a multiple
 * of 16 output channels. In bf16 the library's kernel is faster than our direct one, but for stride 2 (docs/performance.md).
 */
export interface FilterGradient {
  readonly kernel: number;
  readonly stride: number;
  /** Zeros before the first pixel, on both axes. */
  readonly padding: number;
  /** 3x3, stride 1, and tiles enough to pay for the transforms. */
  readonly winograd: boolean;
}

/** `x` [N, H, W, Cin], `filter` [k, k, Cin, Cout], `dy` [N, OH, OW, Cout]. */
export function ownFilterGradient(
  attributes: readonly OpAttribute[],
  shapes: { readonly x: readonly number[]; readonly filter: readonly number[]; readonly dy: readonly number[] },
  precision: 'fp32' | 'bf16',
): FilterGradient | null {
  const value = (name: string): unknown => attributes.find((attribute) => attribute.name === name)?.value;
  const list = (name: string): number[] => value(name) as number[]; // of integers, by the op's definition
  const [images = 0, height = 0, width = 0, channels = 0] = shapes.x;
  const [kernel = 0, kernelWidth, , outputs = 0] = shapes.filter;
  const [, outHeight = 0] = shapes.dy;
  const [, stride = 1, strideWidth] = list('strides');
  const plain = value('data_format') === 'NHWC' && list('dilations').every((dilation) => dilation === 1);
  const square = kernel === kernelWidth && kernel > 1 && stride === strideWidth && height === width;
  const fits = outputs % 16 === 0 && channels >= 4;
  if (!plain || !square || !fits) return null;
  const total = value('padding') === 'VALID' ? 0 : Math.max((outHeight - 1) * stride + kernel - height, 0);
  const winograd = kernel === 3 && stride === 1 && tilesOf([images, outHeight, outHeight]) >= leastTiles;
  if (precision === 'bf16' && stride === 1 && !winograd) return null;
  return { kernel, stride, padding: Math.floor(total / 2), winograd };
}
