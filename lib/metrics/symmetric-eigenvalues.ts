/**
 * Eigenvalues (ascending) of a symmetric matrix [n, n], row-major, without eigenvectors: Householder reduction to
 * tridiagonal form, then implicit QL. O(n^3 * 2/3); float64. The lower triangle is read; the input is left as it was.
 *
 * Throws RangeError when QL does not converge, which finite input never showed. Source: Golub and Van Loan, Matrix
 * Computations, sections 8.3.1 and 8.3.3. The casts hide index checks in O(n^3) loops whose bounds are n.
 */
export function symmetricEigenvalues(matrix: Float64Array, n: number): Float64Array {
  if (matrix.length !== n * n)
    throw new RangeError(`symmetricEigenvalues requires ${n} x ${n} values, got ${matrix.length}`);
  const { diagonal, offDiagonal } = tridiagonalize(Float64Array.from(matrix), n);
  implicitQl(diagonal, offDiagonal);
  return diagonal.sort();
}

/** Destroys `a`. Column k below the diagonal is mirrored away by H = I - beta v v'; A - v w' - w v' updates the rest. */
function tridiagonalize(
  a: Float64Array,
  n: number,
): { readonly diagonal: Float64Array; readonly offDiagonal: Float64Array } {
  const diagonal = new Float64Array(n);
  const offDiagonal = new Float64Array(n); // offDiagonal[k] couples k and k + 1
  const v = new Float64Array(n);
  const w = new Float64Array(n);
  for (let k = 0; k < n - 1; k++) {
    diagonal[k] = a[k * n + k] as number;
    let tail = 0; // sum of squares below the first element of the column
    for (let i = k + 2; i < n; i++) tail += (v[i] = a[i * n + k] as number) ** 2;
    const first = a[(k + 1) * n + k] as number;
    if (tail === 0) {
      offDiagonal[k] = first;
      continue;
    }
    const norm = Math.sqrt(first * first + tail);
    const alpha = first > 0 ? -norm : norm; // away from `first`: no cancellation
    offDiagonal[k] = alpha;
    v[k + 1] = first - alpha;
    const beta = 2 / ((first - alpha) ** 2 + tail);
    reflect({ a, n, start: k + 1, v, w, beta });
  }
  if (n > 0) diagonal[n - 1] = a[n * n - 1] as number;
  return { diagonal, offDiagonal };
}

/** A := H A H on rows and columns from `start`; only the lower triangle is kept. */
function reflect(args: {
  readonly a: Float64Array;
  readonly n: number;
  readonly start: number;
  readonly v: Float64Array;
  readonly w: Float64Array;
  readonly beta: number;
}): void {
  const { a, n, start, v, w, beta } = args;
  w.fill(0, start);
  for (let i = start; i < n; i++) {
    // Row i of the lower triangle serves as row and as column: memory is read in order.
    const row = i * n;
    const vi = v[i] as number;
    let sum = (a[row + i] as number) * vi;
    for (let j = start; j < i; j++) {
      const value = a[row + j] as number;
      sum += value * (v[j] as number);
      w[j] = (w[j] as number) + value * vi;
    }
    w[i] = (w[i] as number) + sum;
  }
  let vw = 0;
  for (let i = start; i < n; i++) vw += (v[i] as number) * (w[i] = (w[i] as number) * beta);
  const half = (beta * vw) / 2;
  for (let i = start; i < n; i++) w[i] = (w[i] as number) - half * (v[i] as number);
  for (let i = start; i < n; i++) {
    const row = i * n;
    const vi = v[i] as number;
    const wi = w[i] as number;
    for (let j = start; j <= i; j++)
      a[row + j] = (a[row + j] as number) - vi * (w[j] as number) - wi * (v[j] as number);
  }
}

/** QL with implicit Wilkinson shifts; leaves the eigenvalues in `d`, unsorted. */
function implicitQl(d: Float64Array, e: Float64Array): void {
  const n = d.length;
  for (let l = 0; l < n; l++) {
    for (let iteration = 0; ; iteration++) {
      let m = l;
      for (; m < n - 1; m++) {
        const scale = Math.abs(d[m] as number) + Math.abs(d[m + 1] as number);
        if (Math.abs(e[m] as number) <= Number.EPSILON * scale) break;
      }
      if (m === l) break;
      if (iteration === 60) throw new RangeError(`symmetricEigenvalues did not converge at row ${l} of ${n}`);
      qlSweep(d, e, l, m);
    }
  }
}

/** One chase of the bulge from row m up to row l. */
function qlSweep(d: Float64Array, e: Float64Array, l: number, m: number): void {
  const dl = d[l] as number;
  const el = e[l] as number;
  const theta = ((d[l + 1] as number) - dl) / (2 * el);
  const root = Math.hypot(theta, 1);
  let g = (d[m] as number) - dl + el / (theta + (theta >= 0 ? root : -root));
  let s = 1;
  let c = 1;
  let p = 0;
  for (let i = m - 1; i >= l; i--) {
    const f = s * (e[i] as number);
    const b = c * (e[i] as number);
    const r = Math.hypot(f, g);
    e[i + 1] = r;
    if (r === 0) {
      // The matrix split here: undo the shift and start over on the smaller part.
      d[i + 1] = (d[i + 1] as number) - p;
      e[m] = 0;
      return;
    }
    s = f / r;
    c = g / r;
    g = (d[i + 1] as number) - p;
    const t = ((d[i] as number) - g) * s + 2 * c * b;
    p = s * t;
    d[i + 1] = g + p;
    g = c * t - b;
  }
  d[l] = (d[l] as number) - p;
  e[l] = g;
  e[m] = 0;
}
