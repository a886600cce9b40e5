import type { OpAttribute } from './native-backend.ts';

/**
 * When a recorded convolution may be our own kernel instead (infra/setup/tfjs-binding/winograd.cc): 3x3, stride 1, NHWC,
 * undilated, output channels in whole vectors, input channels even, and tiles enough to pay for transforming the filter.
 */
export interface OwnConvolution {
  /** Zeros on all sides of what is convolved. */
  readonly padding: number;
  /** [N, H, W, C] of the result. */
  readonly shape: readonly number[];
}

/** Values in a vector of the processor. */
const lanes = 16;
/** Tiles of 2x2 outputs below which the library is faster (docs/performance.md). */
export const leastTiles = 128;

/** Tiles of 2x2 in images [N, H, W]. */
export const tilesOf = ([n = 0, height = 0, width = 0]: readonly number[]): number =>
  n * Math.ceil(height / 2) * Math.ceil(width / 2);

/** `x` [N, H, W, Cin], `filter` [3, 3, Cin, Cout] of a Conv2D. */
export function ownForward(
  attributes: readonly OpAttribute[],
  { x, filter }: { readonly x: readonly number[]; readonly filter: readonly number[] },
): OwnConvolution | null {
  const padding = plainPadding(attributes, filter);
  if (padding === null) return null;
  return withTiles(x, { padding, from: filter[2] ?? 0, to: filter[3] ?? 0 });
}

/** `dy` [N, OH, OW, Cout], `filter` [3, 3, Cin, Cout] of a Conv2DBackpropInput. */
export function ownInputGradient(
  attributes: readonly OpAttribute[],
  { dy, filter }: { readonly dy: readonly number[]; readonly filter: readonly number[] },
): OwnConvolution | null {
  const padding = plainPadding(attributes, filter);
  if (padding === null) return null;
  return withTiles(dy, { padding: 2 - padding, from: filter[3] ?? 0, to: filter[2] ?? 0 });
}

/** Zeros on each side in a convolution of the kind that we have, otherwise null. */
function plainPadding(attributes: readonly OpAttribute[], [height, width]: readonly number[]): number | null {
  const value = (name: string): unknown => attributes.find((attribute) => attribute.name === name)?.value;
  const ones = (name: string): boolean => (value(name) as number[]).every((size) => size === 1); // integers, by the op
  const plain = value('data_format') === 'NHWC' && ones('strides') && ones('dilations');
  if (!plain || height !== 3 || width !== 3) return null;
  if (value('padding') === 'SAME') return 1;
  return value('padding') === 'VALID' ? 0 : null;
}

function withTiles(
  [n = 0, h = 0, w = 0]: readonly number[],
  { padding, from, to }: { readonly padding: number; readonly from: number; readonly to: number },
): OwnConvolution | null {
  const [height, width] = [h + 2 * padding - 2, w + 2 * padding - 2];
  if (to % lanes !== 0 || from < lanes || from % 2 !== 0 || tilesOf([n, height, width]) < leastTiles) return null;
  return { padding, shape: [n, height, width, to] };
}
