import { describe, expect, it } from 'vitest';
import { listLimits } from '../../../lib/report/limits.ts';
import { datasetSection } from '../../../lib/report/page-dataset.ts';
import { findRecipeFaults } from '../../../lib/report/recipe-faults.ts';
import { makeInputs } from './fixture-inputs.ts';

describe('validation on training images', () => {
  it('is a fault that the report names wherever the data set was divided so, and nowhere else', async () => {
    const inputs = await makeInputs();
    const trainedOn = { ...inputs, dataset: { ...inputs.dataset, validationFrom: 'training' as const } };
    const fault = (of: typeof inputs) =>
      findRecipeFaults(of).find(({ name }) => name === 'validation on training images');
    expect(fault(inputs)).toMatchObject({ present: false, detail: 'Validation images were never trained on.' });
    expect(fault(trainedOn)).toMatchObject({ present: true });
    expect(listLimits(inputs).join()).not.toContain('also trained on');
    expect(listLimits(trainedOn).join()).toContain('Validation images were also trained on');
    const total = (of: typeof inputs): number =>
      Number(/([\d,]+) usable images/.exec(datasetSection(of).safeHtml)?.[1]?.replaceAll(',', ''));
    const { negative, positive } = inputs.dataset.counts.validation;
    expect(total(inputs) - total(trainedOn)).toBe(negative + positive); // each image once
    expect(datasetSection(trainedOn).safeHtml).toContain('stay among them');
  });
});
