import { at } from './at.ts';
import { countClasses, type BinaryScores } from './binary-scores.ts';

/**
 * Temperature scaling: the one positive number by which log-odds are to be divided so that the probabilities made of them have
 * the least logarithmic loss on these images. Above 1 the model was too sure of itself, below 1 too modest. The order of the
 * images, their ROC curve and which class is likelier stay the same. Fit it on validation images, never on the test set.
 *
 * With b = 1 / temperature the loss is convex in b; bisection of its slope, -mean(s x / (1 + exp(s x b))), to the last bit.
 * Null when no positive temperature has the least loss: every image on its own side of one half (the loss falls for ever as
 * the temperature goes to 0), or scores no better than chance (it falls for ever as the temperature grows).
 *
 * Throws RangeError without images, or on scores that are not finite. Source: Guo et al. 2017, "On Calibration of Modern Neural
 * Networks", section 4.2.
 */
export function fitTemperature(logOdds: BinaryScores): number | null {
  countClasses(logOdds, 'fitTemperature');
  if (logOdds.scores.length === 0) throw new RangeError('fitTemperature requires at least one image');
  // Positive where the image is on its own side.
  const margins = logOdds.scores.map((score, i) => (at(logOdds.labels, i) === 1 ? score : -score));
  const slope = (b: number): number => -margins.reduce((sum, m) => sum + (m === 0 ? 0 : m / (1 + Math.exp(m * b))), 0);
  if (slope(0) >= 0 || margins.every((margin) => margin >= 0)) return null;
  let low = 0;
  let high = 1;
  while (slope(high) < 0) [low, high] = [high, 2 * high];
  for (;;) {
    const middle = (low + high) / 2;
    if (middle <= low || middle >= high) return 1 / high;
    if (slope(middle) < 0) low = middle;
    else high = middle;
  }
}
