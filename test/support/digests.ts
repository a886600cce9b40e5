import { expect } from 'vitest';
import { mixed } from '../../bench/reference/integer-recipe.ts';

/** Large tensors of a reference in a few numbers. */

/** Mean, root mean square, and four values at places that the name decides. */
export type Digest = readonly number[];
export type Digests = Readonly<Record<string, Digest>>;

export function digest(name: string, values: Float32Array): Digest {
  let sum = 0;
  let squares = 0;
  for (const value of values) {
    sum += value;
    squares += value * value;
  }
  const picks = [...mixed(`pick/${name}`, 4)].map((x) => values[x % values.length] ?? NaN);
  return [sum / values.length, Math.sqrt(squares / values.length), ...picks];
}

/** Largest difference of two digests as a share of the reference's root mean square. */
export function relativeDifference(ours: Digest, reference: Digest): number {
  const rms = reference[1] ?? NaN;
  const largest = Math.max(...reference.map((value, i) => Math.abs(value - (ours[i] ?? NaN))));
  // A tensor of zeros must be matched exactly.
  return rms === 0 ? largest : largest / rms;
}

/** Fails with the names and sizes of the largest differences. */
export function expectDigests(ours: ReadonlyMap<string, Digest>, reference: Digests, tolerance: number): void {
  expect([...ours.keys()].sort()).toEqual(Object.keys(reference).sort());
  const off = Object.entries(reference)
    .map(([name, digest]) => ({ name, by: relativeDifference(ours.get(name) ?? [], digest) }))
    .filter(({ by }) => !(by <= tolerance));
  expect(off).toEqual([]);
}

export function expectRows(ours: Float32Array, reference: readonly (readonly number[])[], tolerance: number): void {
  const expected = reference.flat();
  expect(ours).toHaveLength(expected.length);
  const largest = Math.max(...expected.map(Math.abs));
  const difference = Math.max(...expected.map((value, i) => Math.abs(value - (ours[i] ?? NaN))));
  expect(difference).toBeLessThanOrEqual(tolerance * largest);
}
