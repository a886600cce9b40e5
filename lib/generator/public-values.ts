/** Values between our layout and PyTorch's, without a loss. */

/**
 * [planes, from, to] to [to, from, planes], or back: HWIO kernels to OIHW, dense [in, out] to [out, in], NHWC to NCHW.
 * `flipped` turns a kernel by 180 degrees, that is, its planes in reverse.
 */
export function reordered(
  values: Float32Array,
  options: {
    readonly axes: readonly [planes: number, from: number, to: number];
    readonly flipped: boolean;
    readonly toPublic: boolean;
  },
): Float32Array {
  const { flipped, toPublic } = options;
  const [planes, from, to] = options.axes;
  const result = new Float32Array(values.length);
  for (let plane = 0; plane < planes; plane++)
    for (let i = 0; i < from; i++)
      for (let o = 0; o < to; o++) {
        const own = (plane * from + i) * to + o;
        const theirs = (o * from + i) * planes + (flipped ? planes - 1 - plane : plane);
        if (toPublic)
          result[theirs] = values[own] as number; // both below the product of the axes
        else result[own] = values[theirs] as number; // as above
      }
  return result;
}

/**
 * x + 1 (`up`) or x - 1 as float32, and what the rounding took away, which float32 holds exactly (Dekker 1971). The way back
 * is given that `remainder` and returns x to the bit.
 */
export function shiftedByOne(
  x: Float32Array,
  { up, remainder }: { readonly up: boolean; readonly remainder: Float32Array | null },
): { readonly values: Float32Array; readonly remainder: Float32Array } {
  const one = up ? 1 : -1;
  const values = x.map((value, i) => value + one + (remainder?.[i] ?? 0));
  return { values, remainder: x.map((value, i) => value - ((values[i] ?? 0) - one)) };
}
