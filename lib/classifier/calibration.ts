import type { Calibration, CalibrationError, ValidationScore } from '../../contract/manifests.ts';
import type { ClassifierConfig } from '../../contract/study.ts';
import type { BinaryScores } from '../stats/binary-scores.ts';
import { brier } from '../stats/brier.ts';
import { ece, type EceBinning } from '../stats/ece.ts';
import { logLoss } from '../stats/log-loss.ts';
import { fitTemperature } from '../stats/temperature.ts';

/** What makes log-odds of a trained classifier probabilities, fitted on its validation images alone. Needs no TensorFlow. */

/** Probability of the positive class: the softmax of two logits, of which only the difference counts, over a temperature. */
export function probabilityOf(logOdds: number, temperature: number): number {
  return 1 / (1 + Math.exp(-logOdds / temperature));
}

/**
 * The temperature of the published weights, and how far off their probabilities were on validation without and with it.
 * Throws RangeError without scores.
 */
export function calibrate(
  scores: readonly ValidationScore[],
  { calibration }: Pick<ClassifierConfig, 'calibration'>,
): Calibration {
  const input = {
    scores: scores.map(({ logOdds }) => logOdds),
    labels: labelsOf(scores),
  };
  const fitted = calibration === 'temperature' ? fitTemperature(input) : 1;
  const temperature = fitted ?? 1;
  return {
    temperature,
    note:
      fitted === null
        ? 'no temperature fits: the validation images are told apart without an error, or no better than by chance'
        : null,
    before: errorsAt(input, 1),
    after: errorsAt(input, temperature),
  };
}

/** Expected calibration errors on validation, without and with the temperature. */
export type CalibrationGaps = Readonly<Record<EceBinning, { readonly before: number; readonly after: number }>>;

/** Throws RangeError without scores. */
export function calibrationGaps(scores: readonly ValidationScore[], temperature: number): CalibrationGaps {
  const labels = labelsOf(scores);
  const at = (divisor: number, binning: EceBinning): number =>
    ece({ scores: scores.map(({ logOdds }) => probabilityOf(logOdds, divisor)), labels }, { binning });
  const both = (binning: EceBinning) => ({ before: at(1, binning), after: at(temperature, binning) });
  return { 'equal-width': both('equal-width'), 'equal-mass': both('equal-mass') };
}

const labelsOf = (scores: readonly ValidationScore[]): number[] =>
  scores.map(({ side }) => (side === 'positive' ? 1 : 0));

function errorsAt({ scores, labels }: BinaryScores, temperature: number): CalibrationError {
  const probabilities = scores.map((logOdds) => probabilityOf(logOdds, temperature));
  return {
    brier: brier({ scores: probabilities, labels }),
    logLoss: logLoss({ scores: scores.map((logOdds) => logOdds / temperature), labels }),
  };
}
