import { describe, expect, it } from 'vitest';
import { rowProducts, transpose } from '../../../lib/metrics/row-products.ts';

describe('rowProducts', () => {
  it.each([
    [1, 1, 1],
    [4, 4, 7],
    [5, 9, 3],
    [8, 3, 2],
  ])('multiplies %d rows with %d rows of %d', (n, m, d) => {
    const a = Float64Array.from({ length: n * d }, (_, i) => (i % 11) - 5);
    const b = Float64Array.from({ length: m * d }, (_, i) => (i % 7) - 3);
    const product = rowProducts({ a, n, b, m, d });
    for (let i = 0; i < n; i++)
      for (let j = 0; j < m; j++) {
        const wanted = [...a.slice(i * d, i * d + d)].reduce((sum, value, k) => sum + value * b[j * d + k]!, 0);
        expect(product[i * m + j]).toBe(wanted); // whole numbers: exact
      }
  });
  it.each([1, 4, 6, 9])('multiplies %d rows with themselves', (n) => {
    const a = Float64Array.from({ length: n * 3 }, (_, i) => (i % 11) - 5);
    expect(rowProducts({ a, n, b: a, m: n, d: 3 })).toEqual(rowProducts({ a, n, b: a.slice(), m: n, d: 3 }));
  });
  it('transposes', () => {
    expect([...transpose(Float64Array.of(1, 2, 3, 4, 5, 6), 2, 3)]).toEqual([1, 4, 2, 5, 3, 6]);
  });
});
