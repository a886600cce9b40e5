import { describe, expect, it } from 'vitest';
import { listLimits } from '../../../lib/report/limits.ts';
import { datasetSection } from '../../../lib/report/page-dataset.ts';
import { findRecipeFaults } from '../../../lib/report/recipe-faults.ts';
import { makeInputs } from './fixture-inputs.ts';

describe('what a study was made of', () => {
  it('lost its margins where images were cropped, and detail only where they were padded', async () => {
    const limits = async (fit: string): Promise<string> =>
      listLimits(await makeInputs({ image: { resolution: 64, fit } })).join();
    expect(await limits('crop')).toContain('by cropping the centre: detail and margins were lost');
    expect(await limits('pad')).toContain('by padding with black: detail was lost');
  });

  it('names the weights of the last epoch, however far past the best one where nothing stopped early', async () => {
    const detail = async (classifier: object): Promise<string | undefined> =>
      findRecipeFaults(await makeInputs({ classifier: { restoreBest: false, ...classifier } })).find(
        ({ name }) => name === 'last epoch instead of the best',
      )?.detail;
    expect(await detail({})).toContain('up to the stopping patience past the best one');
    expect(await detail({ earlyStoppingPatience: 0 })).toContain('however far past the best one');
  });
});

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
