import { describe, expect, it } from 'vitest';
import { filterSection } from '../../../lib/report/page-models.ts';
import { gridsSection } from '../../../lib/report/page-grids.ts';
import { summarize } from '../../../lib/report/summary.ts';
import { makeInputs } from './fixture-inputs.ts';

describe('the rule of the filter', () => {
  it.each([
    ['argmax', 'the likelier one (argmax)'],
    ['threshold', 'a probability of at least 0.7 (threshold)'],
    ['quantile', 'among the most probable 50.0% of all candidates (quantile)'],
    ['entropy', 'at most 0.5 bits of entropy (entropy)'],
  ])('%s is named in the summary and below the dropped images', async (rule, words) => {
    const inputs = await makeInputs({ filter: { rule, threshold: 0.7 } });
    const dropped = { ...inputs, grids: { ...inputs.grids, rejected: inputs.grids.reals } };
    for (const text of [summarize(inputs).sentences.join(' '), gridsSection(dropped).safeHtml]) {
      expect(text).toContain(words);
      if (rule !== 'argmax') expect(text).not.toMatch(/assigns? to the intended class|taken for the other class/);
    }
  });

  it('has a price that could not be measured, be it for want of kept images or of training images', async () => {
    const { study, filtered, ...inputs } = await makeInputs();
    const { negative, positive } = filtered.classes;
    const classes = { negative: { ...negative, loss: null }, positive: { ...positive, loss: null } };
    const page = filterSection({ ...inputs, study, filtered: { ...filtered, classes } }).safeHtml;
    expect(page).toContain('of neither class are there six kept images and six training images');
  });
});
