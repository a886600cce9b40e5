/** Features of a set of images: one row per image, row-major. */
export interface FeatureMatrix {
  readonly rows: number;
  readonly columns: number;
  /** [rows, columns] */
  readonly values: Float32Array | Float64Array;
}

/** Checks sizes and values. Throws RangeError when lengths disagree or a feature is not finite. */
export function requireFeatures(features: FeatureMatrix, caller: string): void {
  const { rows, columns, values } = features;
  if (values.length !== rows * columns)
    throw new RangeError(`${caller} requires ${rows} x ${columns} features, got ${values.length} values`);
  const bad = values.findIndex((value) => !Number.isFinite(value));
  if (bad >= 0)
    throw new RangeError(
      `${caller} requires finite features, got ${values[bad]} in row ${Math.floor(bad / columns)}; is the network diverged?`,
    );
}

/** The rows with the given indices, in that order. */
export function takeRows({ columns, values }: FeatureMatrix, indices: readonly number[]): FeatureMatrix {
  const taken = new Float64Array(indices.length * columns);
  indices.forEach((row, i) => taken.set(values.subarray(row * columns, (row + 1) * columns), i * columns));
  return { rows: indices.length, columns, values: taken };
}
