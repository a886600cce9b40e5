import { describe, expect, it } from 'vitest';
import type { ValidationScore } from '../../../contract/manifests.ts';
import { calibrate, calibrationGaps, probabilityOf } from '../../../lib/classifier/calibration.ts';
import { createRng } from '../../../lib/random.ts';

/** Log-odds of twice the true ones: a model that is too sure of itself by a temperature of about 2. */
const scores = Array.from({ length: 2000 }, (_, i): ValidationScore => {
  const rng = createRng(1, 'scores', i);
  const trueLogOdds = 4 * (rng() - 0.5);
  return { side: rng() < 1 / (1 + Math.exp(-trueLogOdds)) ? 'positive' : 'negative', logOdds: 2 * trueLogOdds };
});

describe('calibrate', () => {
  it('finds by how much a model is too sure of itself, and says what that mends', () => {
    const { temperature, note, before, after } = calibrate(scores, { calibration: 'temperature' });
    expect(temperature).toBeGreaterThan(1.8);
    expect(temperature).toBeLessThan(2.2);
    expect(note).toBeNull();
    expect(after.logLoss).toBeLessThan(before.logLoss);
    expect(after.brier).toBeLessThan(before.brier);
  });
  it('leaves the log-odds of a study that asks for none', () => {
    const { temperature, note, before, after } = calibrate(scores, { calibration: 'none' });
    expect([temperature, note]).toEqual([1, null]);
    expect(after).toEqual(before);
  });
  it('leaves them too where no temperature fits, and says so', () => {
    const perfect: ValidationScore[] = [
      { side: 'negative', logOdds: -3 },
      { side: 'positive', logOdds: 2 },
    ];
    const { temperature, note } = calibrate(perfect, { calibration: 'temperature' });
    expect(temperature).toBe(1);
    expect(note).toContain('no temperature fits');
  });
});

describe('calibrationGaps', () => {
  it('close once the temperature is right, in both binnings', () => {
    const { temperature } = calibrate(scores, { calibration: 'temperature' });
    const gaps = calibrationGaps(scores, temperature);
    for (const binning of ['equal-width', 'equal-mass'] as const) {
      expect(gaps[binning].before).toBeGreaterThan(0.08);
      expect(gaps[binning].after).toBeLessThan(0.03);
    }
    expect(calibrationGaps(scores, 1)['equal-width'].after).toBe(gaps['equal-width'].before);
  });
});

describe('probabilityOf', () => {
  it('is one half at log-odds 0 at any temperature, and never leaves its side of it', () => {
    for (const temperature of [0.2, 1, 5]) {
      expect(probabilityOf(0, temperature)).toBe(0.5);
      expect(probabilityOf(0.01, temperature)).toBeGreaterThan(0.5);
      expect(probabilityOf(-0.01, temperature)).toBeLessThan(0.5);
    }
  });
  it('is the logistic function of the quotient, 0 and 1 at the ends', () => {
    expect(probabilityOf(Math.log(3), 1)).toBeCloseTo(0.75, 15);
    expect(probabilityOf(2 * Math.log(3), 2)).toBeCloseTo(0.75, 15);
    expect([probabilityOf(-1e4, 1), probabilityOf(1e4, 1)]).toEqual([0, 1]);
  });
});
