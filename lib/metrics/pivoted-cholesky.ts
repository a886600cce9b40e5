/**
 * Transposed factor of a covariance that may be singular: S [d, d] = F' F with F [rank, d]. Pivots are taken in falling
 * order and stop at d * 2.2e-16 of the largest variance, so dead features (variance 0) and fewer images than features are
 * no special case. O(rank^2 d). Source: Higham 2002, Accuracy and Stability, section 10.3.
 *
 * The casts hide index checks in loops whose bounds are d and rank.
 */
export function pivotedCholesky(
  covariance: Float64Array,
  d: number,
): { readonly factor: Float64Array; readonly rank: number } {
  const left = Float64Array.from({ length: d }, (_, i) => covariance[i * d + i] as number); // variance not yet explained
  const cut = d * Number.EPSILON * left.reduce((max, value) => Math.max(max, value), 0);
  const factor = new Float64Array(d * d);
  const used = new Uint8Array(d);
  let rank = 0;
  for (; rank < d; rank++) {
    let pivot = -1;
    for (let i = 0; i < d; i++) if (!used[i] && (pivot < 0 || (left[i] as number) > (left[pivot] as number))) pivot = i;
    if (!((left[pivot] as number) > cut)) break;
    used[pivot] = 1;
    const root = Math.sqrt(left[pivot] as number);
    const row = factor.subarray(rank * d, (rank + 1) * d);
    row.set(covariance.subarray(pivot * d, (pivot + 1) * d));
    for (let k = 0; k < rank; k++) {
      const above = factor.subarray(k * d, (k + 1) * d);
      const weight = above[pivot] as number;
      for (let i = 0; i < d; i++) row[i] = (row[i] as number) - weight * (above[i] as number);
    }
    for (let i = 0; i < d; i++) {
      // Rows that were pivots before are explained in full; what rounding leaves there is not structure.
      row[i] = used[i] && i !== pivot ? 0 : (row[i] as number) / root;
      left[i] = (left[i] as number) - (row[i] as number) ** 2;
    }
  }
  return { factor: factor.subarray(0, rank * d), rank };
}
