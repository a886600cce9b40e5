import { describe, expect, it } from 'vitest';
import { listLimits } from '../../../lib/report/limits.ts';
import { filterSection } from '../../../lib/report/page-models.ts';
import { gridsSection } from '../../../lib/report/page-grids.ts';
import { findRecipeFaults } from '../../../lib/report/recipe-faults.ts';
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

  it.each([
    [{ rule: 'argmax' }, 'images that the real-trained classifier recognises'],
    [{ rule: 'threshold' }, 'images that the real-trained classifier recognises'],
    [
      { rule: 'threshold', threshold: 0.3 },
      'classifier gives the higher probabilities of their class, recognised or not',
    ],
    [{ rule: 'quantile' }, 'classifier gives the higher probabilities of their class, recognised or not'],
    [{ rule: 'quantile', quantile: 1 }, null],
  ])('%o keeps what limits and faults say: %s', async (filter, words) => {
    const inputs = await makeInputs({ filter });
    const limits = listLimits(inputs).join(' ');
    const fault = findRecipeFaults(inputs).find(({ name }) => name === 'filter keeps easy images');
    expect(fault?.present).toBe(words !== null);
    expect(limits).toContain(words ?? 'let every candidate pass');
    expect(fault?.detail).toContain(words ?? 'let every candidate pass');
    if (words?.includes('recognises') !== true) expect(`${limits} ${fault?.detail ?? ''}`).not.toContain('recognises');
  });

  it('has a price that could not be measured, be it for want of kept images or of training images', async () => {
    const { study, filtered, ...inputs } = await makeInputs();
    const { negative, positive } = filtered.classes;
    const classes = { negative: { ...negative, loss: null }, positive: { ...positive, loss: null } };
    const unmeasured = { ...inputs, study, filtered: { ...filtered, classes } };
    const page = filterSection(unmeasured).safeHtml;
    expect(page).toContain('of neither class are there six kept images and six training images');
    expect(listLimits(unmeasured).join()).toContain('lost in variety by this could not be measured');
    const faults = findRecipeFaults(unmeasured).map(({ detail }) => detail);
    expect(faults.join()).toContain('The coverage lost by this could not be measured');
  });
});
