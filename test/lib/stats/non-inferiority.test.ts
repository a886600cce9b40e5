import { describe, expect, it } from 'vitest';
import { nonInferiority, smallestMargin } from '../../../lib/stats/non-inferiority.ts';
import { expectClose } from './expect-close.ts';

/** Hanley and McNeil 1982: standard error of an AUC with n images per class. */
function hanleyMcNeil(auc: number, n: number): number {
  const q1 = auc / (2 - auc);
  const q2 = (2 * auc ** 2) / (1 + auc);
  return Math.sqrt((auc * (1 - auc) + (n - 1) * (q1 - auc ** 2) + (n - 1) * (q2 - auc ** 2)) / n ** 2);
}

describe('nonInferiority', () => {
  // evaluation.md 3.2, aSAH of pROC: DeLong standard errors follow from the printed variances and Z.
  it.each([
    ['s100b against ndka', 0.611957994579946 - 0.731368563685637, -1.39077002573558, 0.05, 1.973118, 0.02424106],
    ['s100b against wfns', 0.823678861788618 - 0.731368563685637, 2.20898359144091, 0.1, 0.184014, 0.42700107],
  ])('gives the known z and p of %s', (_, difference, delongZ, margin, z, p) => {
    const result = nonInferiority({ difference, standardError: difference / delongZ, margin, alpha: 0.025 });
    expectClose(result.z, z, 5e-7);
    expectClose(result.p, p, 5e-7);
    expect(result.nonInferior).toBe(p < 0.025);
  });
  it('agrees with the upper limit of the loss against the margin', () => {
    const close = { standardError: 0.01, margin: 0.05, alpha: 0.025 };
    expect(nonInferiority({ ...close, difference: 0.0303 }).nonInferior).toBe(true); // 0.0303 + 1.95996 x 0.01 < 0.05
    expect(nonInferiority({ ...close, difference: 0.0305 }).nonInferior).toBe(false);
  });
  it('refuses a standard error of zero and a margin of zero', () => {
    expect(() => nonInferiority({ difference: 0, standardError: 0, margin: 0.05, alpha: 0.025 })).toThrow('got 0');
    expect(() => nonInferiority({ difference: 0, standardError: 0.1, margin: 0, alpha: 0.025 })).toThrow('margin');
  });
});

describe('smallestMargin', () => {
  // The power table of evaluation.md 3.1: AUC 0.92, one-sided 0.05; images per class, correlation of the AUCs, margin.
  it.each([
    [45, 0.3, 0.089],
    [45, 0.5, 0.075],
    [45, 0.7, 0.058],
    [150, 0.3, 0.049],
    [150, 0.5, 0.041],
    [150, 0.7, 0.032],
    [300, 0.3, 0.034],
    [300, 0.5, 0.029],
    [300, 0.7, 0.022],
  ])('reproduces the power table at %d per class, r %d', (n, r, margin) => {
    const standardError = hanleyMcNeil(0.92, n) * Math.sqrt(2 - 2 * r);
    expectClose(smallestMargin({ standardError, alpha: 0.05 }), margin, 6e-4);
  });
});
