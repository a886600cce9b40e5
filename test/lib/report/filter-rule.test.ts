import { describe, expect, it } from 'vitest';
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
});
