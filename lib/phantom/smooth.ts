/** Separable Gaussian blur of a square field; `across` and `along` are standard deviations in px; edges are repeated. */
export function smooth(
  field: Float64Array,
  size: number,
  { across, along }: { readonly across: number; readonly along: number },
): Float64Array {
  return convolve(convolve(field, size, kernel(across), 'across'), size, kernel(along), 'along');
}

function kernel(sigma: number): Float64Array {
  const radius = Math.max(1, Math.ceil(3 * sigma));
  const weights = Float64Array.from({ length: 2 * radius + 1 }, (_, i) =>
    Math.exp(-((i - radius) ** 2) / (2 * sigma * sigma)),
  );
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return weights.map((weight) => weight / total);
}

function convolve(field: Float64Array, size: number, weights: Float64Array, axis: 'across' | 'along'): Float64Array {
  const radius = (weights.length - 1) / 2;
  const result = new Float64Array(field.length);
  for (let row = 0; row < size; row++)
    for (let column = 0; column < size; column++) {
      let sum = 0;
      for (let k = -radius; k <= radius; k++) {
        const at = Math.max(0, Math.min(size - 1, (axis === 'across' ? column : row) + k));
        sum +=
          (weights[k + radius] as number) * (field[axis === 'across' ? row * size + at : at * size + column] as number); // inside
      }
      result[row * size + column] = sum;
    }
  return result;
}
