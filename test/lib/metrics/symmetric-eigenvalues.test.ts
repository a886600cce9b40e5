import { EigenvalueDecomposition, Matrix } from 'ml-matrix';
import { describe, expect, it } from 'vitest';
import { createRng } from '../../../lib/random.ts';
import { symmetricEigenvalues } from '../../../lib/metrics/symmetric-eigenvalues.ts';
import { expectClose } from '../stats/expect-close.ts';
import { fixture } from './fixtures/fixture.ts';

describe('symmetricEigenvalues', () => {
  it('agrees with NumPy', () => {
    const values = symmetricEigenvalues(Float64Array.from(fixture.eigenvalues.matrix), 17);
    values.forEach((value, i) => expectClose(value, fixture.eigenvalues.values[i]!, 1e-13));
  });
  it('agrees with ml-matrix on a Gram matrix of rank 20 and size 60', () => {
    const rng = createRng(1, 'eigenvalues');
    const factor = new Matrix(Array.from({ length: 60 }, () => Array.from({ length: 20 }, () => rng() - 0.5)));
    const gram = factor.mmul(factor.transpose());
    const wanted = new EigenvalueDecomposition(gram, { assumeSymmetric: true }).realEigenvalues.sort((a, b) => a - b);
    symmetricEigenvalues(Float64Array.from(gram.to1DArray()), 60).forEach((value, i) =>
      expectClose(value, wanted[i]!, 1e-12),
    );
  });
  it.each([
    ['nothing', [], []],
    ['one value', [3], [3]],
    ['zeros', [0, 0, 0, 0], [0, 0]],
    ['a diagonal', [3, 0, 0, 0, -1, 0, 0, 0, 2], [-1, 2, 3]],
    ['equal eigenvalues', [2, 1, 1, 1, 2, 1, 1, 1, 2], [1, 1, 4]],
    ['a zero diagonal', [0, 1, 1, 0], [-1, 1]],
  ])('knows %s', (_, matrix, wanted) => {
    const values = symmetricEigenvalues(Float64Array.from(matrix), wanted.length);
    expect(values).toHaveLength(wanted.length);
    wanted.forEach((value, i) => expectClose(values[i], value, 1e-14));
  });
  it('leaves its input as it was and refuses another size', () => {
    const matrix = Float64Array.of(2, 1, 1, 2);
    symmetricEigenvalues(matrix, 2);
    expect([...matrix]).toEqual([2, 1, 1, 2]);
    expect(() => symmetricEigenvalues(matrix, 3)).toThrow('3 x 3 values, got 4');
  });
});
