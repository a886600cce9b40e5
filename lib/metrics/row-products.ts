/**
 * Float64 product of every row of `a` [n, d] with every row of `b` [m, d]: a b' as [n, m]. Every product of this room is
 * brought to this form, because both operands are then read along memory. 4 x 4 register blocks; of a product with itself
 * (`a` and `b` the same array) only one triangle is computed.
 *
 * The casts hide the index check: with it this loop takes 4.5 times as long (docs/measurements.md).
 */
export function rowProducts(args: {
  readonly a: Float64Array;
  readonly n: number;
  readonly b: Float64Array;
  readonly m: number;
  readonly d: number;
}): Float64Array {
  const { a, n, b, m, d } = args;
  const out = new Float64Array(n * m);
  const symmetric = a === b && n === m;
  for (let i = 0; i < n; i += 4)
    for (let j = 0; j < (symmetric ? i + 1 : m); j += 4)
      if (i + 4 <= n && j + 4 <= m) block4x4({ a, b, d, i, j, m, out });
      else
        for (let row = i; row < Math.min(i + 4, n); row++)
          for (let column = j; column < Math.min(j + 4, m); column++)
            out[row * m + column] = dot(a, row * d, b, column * d, d);
  if (symmetric) for (let i = 0; i < n; i++) for (let j = i + 1; j < n; j++) out[i * n + j] = out[j * n + i] as number; // inside n * n
  return out;
}

function dot(a: Float64Array, aStart: number, b: Float64Array, bStart: number, d: number): number {
  let sum = 0;
  for (let k = 0; k < d; k++) sum += (a[aStart + k] as number) * (b[bStart + k] as number);
  return sum;
}

function block4x4(args: {
  readonly a: Float64Array;
  readonly b: Float64Array;
  readonly d: number;
  readonly i: number;
  readonly j: number;
  readonly m: number;
  readonly out: Float64Array;
}): void {
  const { a, b, d, i, j, m, out } = args;
  const a0 = i * d;
  const a1 = a0 + d;
  const a2 = a1 + d;
  const a3 = a2 + d;
  const b0 = j * d;
  const b1 = b0 + d;
  const b2 = b1 + d;
  const b3 = b2 + d;
  // Sixteen sums in local variables: an array would live in memory.
  let [s00, s01, s02, s03, s10, s11, s12, s13] = [0, 0, 0, 0, 0, 0, 0, 0];
  let [s20, s21, s22, s23, s30, s31, s32, s33] = [0, 0, 0, 0, 0, 0, 0, 0];
  for (let k = 0; k < d; k++) {
    const y0 = b[b0 + k] as number;
    const y1 = b[b1 + k] as number;
    const y2 = b[b2 + k] as number;
    const y3 = b[b3 + k] as number;
    const x0 = a[a0 + k] as number;
    s00 += x0 * y0;
    s01 += x0 * y1;
    s02 += x0 * y2;
    s03 += x0 * y3;
    const x1 = a[a1 + k] as number;
    s10 += x1 * y0;
    s11 += x1 * y1;
    s12 += x1 * y2;
    s13 += x1 * y3;
    const x2 = a[a2 + k] as number;
    s20 += x2 * y0;
    s21 += x2 * y1;
    s22 += x2 * y2;
    s23 += x2 * y3;
    const x3 = a[a3 + k] as number;
    s30 += x3 * y0;
    s31 += x3 * y1;
    s32 += x3 * y2;
    s33 += x3 * y3;
  }
  out.set([s00, s01, s02, s03], i * m + j);
  out.set([s10, s11, s12, s13], (i + 1) * m + j);
  out.set([s20, s21, s22, s23], (i + 2) * m + j);
  out.set([s30, s31, s32, s33], (i + 3) * m + j);
}

/** [n, d] to [d, n]. */
export function transpose(a: Float64Array, n: number, d: number): Float64Array {
  const out = new Float64Array(a.length);
  for (let i = 0; i < n; i++) for (let k = 0; k < d; k++) out[k * n + i] = a[i * d + k] as number; // both inside n * d
  return out;
}
