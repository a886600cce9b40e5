import { expect } from 'vitest';

/** Asserts |actual - wanted| <= tolerance * max(1, |wanted|). Default: 1e-11. */
export function expectClose(actual: number | null | undefined, wanted: number, tolerance = 1e-11): void {
  expect(actual).toBeTypeOf('number');
  expect(Math.abs(Number(actual) - wanted), `${actual} against ${wanted}`).toBeLessThanOrEqual(
    tolerance * Math.max(1, Math.abs(wanted)),
  );
}
