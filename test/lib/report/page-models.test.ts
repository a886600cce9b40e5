import { describe, expect, it } from 'vitest';
import { listLimits } from '../../../lib/report/limits.ts';
import { classifiersSection, generatorsSection } from '../../../lib/report/page-models.ts';
import { summarize } from '../../../lib/report/summary.ts';
import { buildResults } from '../../../lib/report/results.ts';
import { findWarnings } from '../../../lib/report/warnings.ts';
import { makeInputs } from './fixture-inputs.ts';

const official = { format: 'keras-h5', sha256: 'ab', official: 'the ImageNet file of Keras' } as const;

/** The section on the classifiers of a study with this `classifier`. */
async function pageOf(classifier: Record<string, unknown>): Promise<string> {
  const inputs = await makeInputs({ classifier });
  const pretrained = classifier['weights'] === undefined ? null : official;
  const real = { ...inputs.classifiers.real, pretrained };
  return classifiersSection({ ...inputs, classifiers: { ...inputs.classifiers, real } }).safeHtml;
}

describe('the section on the classifiers', () => {
  it('says in which phases a pretrained trunk was trained', async () => {
    const page = await pageOf({ weights: 'weights/x.h5', headEpochs: 4 });
    expect(page).toContain(
      'The head was trained alone for 4 epochs at a rate of 0.001, then it and the top of the trunk',
    );
    expect(page).toContain('at 0.0001; the normalisation kept the statistics');
    const whole = await pageOf({ weights: 'weights/x.h5', fineTuneLayers: 'all' });
    expect(whole).toContain('then the whole network at 0.0001');
    const headOnly = await pageOf({ weights: 'weights/x.h5', headEpochs: 14 });
    expect(headOnly).toContain('Only the head was trained, at a rate of 0.001');
  });
  it('gives the temperature, and the errors on validation without and with it', async () => {
    const page = await pageOf({});
    expect(page).toMatch(/Temperature of its probabilities.*<td>1\.8<\/td>/);
    expect(page).toMatch(/Brier score on validation.*<td>0\.141, 0\.131<\/td>/);
    expect(page).toMatch(/Log loss on validation.*<td>0\.531, 0\.419<\/td>/);
    expect(page).toMatch(/calibration error on validation \(10 equal-width bins\).*<td>0\.092, 0\.061<\/td>/);
    expect(page).toMatch(/calibration error on validation \(10 equal-mass bins\).*<td>0\.087, 0\.054<\/td>/);
    const inputs = await makeInputs({});
    expect(buildResults(inputs).calibrationGaps).toEqual(inputs.calibrationGaps); // the page promises all figures there
    expect(await pageOf({ calibration: 'none' })).toContain('<td>none, as the study file asks</td>');
  });
  it('warns of what supplied weights may have seen, unless Keras published them', async () => {
    const inputs = await makeInputs({ classifier: { weights: 'weights/x.h5' } });
    const limits = (pretrained: typeof official | (Omit<typeof official, 'official'> & { official: null }) | null) =>
      listLimits({
        ...inputs,
        classifiers: { ...inputs.classifiers, real: { ...inputs.classifiers.real, pretrained } },
      });
    expect(limits({ ...official, official: null }).join()).toContain(
      'had it held images of this test set, both models',
    );
    for (const known of [official, null]) expect(limits(known).join()).not.toContain('both models would be flattered');
  });
  it('says nothing of phases where there was one', async () => {
    expect(await pageOf({})).not.toContain('The head was trained');
    expect(await pageOf({ weights: 'weights/x.h5', headEpochs: 0 })).not.toContain('The head was trained');
  });
});

describe('the section on the generators', () => {
  it('says what they started from, what was fresh and what frozen; nothing of it without transfer', async () => {
    const sha256 = 'ab12'.repeat(16);
    const inputs = await makeInputs({ generator: { resumeFrom: sha256, freezeD: 2 } });
    const { negative, positive } = inputs.generators;
    const generators = {
      negative: { ...negative, start: { sha256, discriminator: 'taken' as const } },
      positive: { ...positive, start: { sha256, discriminator: 'fresh' as const } },
    };
    const page = generatorsSection({ ...inputs, generators }).safeHtml;
    expect(page).toMatch(/Started from.*<td>G and D of ab12ab12ab12; 2 blocks of D kept as they were<\/td>/);
    expect(page).toContain('G; D from random weights, which the file had none of');
    expect(listLimits({ ...inputs, generators }).join()).toContain('The generators started from trained weights');
    const short = (of: typeof inputs): string =>
      findWarnings(of)
        .map(({ text }) => text)
        .join();
    expect(short({ ...inputs, generators })).toContain('benign saw 96 kimg after the weights that it started from');
    expect(short({ ...inputs, generators })).not.toContain('Expect poor images');
    expect(short(inputs)).toContain('benign saw 96 kimg; published results need thousands. Expect poor images.');
    const plain = await makeInputs({});
    expect(generatorsSection(plain).safeHtml).not.toContain('Started from');
    expect(listLimits(plain).join()).not.toContain('started from trained weights');
  });
  it('says whether a class has a network of its own', async () => {
    const page = async (generator: object): Promise<string> => {
      const inputs = await makeInputs({ generator });
      return `${generatorsSection(inputs).safeHtml} ${JSON.stringify(summarize(inputs))}`;
    };
    const both = await page({ conditional: true });
    expect(both).toContain('One conditional StyleGAN2 for both classes, each with its own snapshot (config-e)');
    expect(both).toContain('one conditional StyleGAN2 generator of both classes was trained');
    expect(await page({})).toContain('One StyleGAN2 per class (config-e)');
  });

  it('says which R1 weight a sweep chose, with the metric of every trial', async () => {
    const inputs = await makeInputs({});
    const { negative } = inputs.generators;
    const trial = { nimg: 64, failure: null };
    const trials = [
      { ...trial, gamma: 0.5, metric: { ...negative.floor, value: 41.25 } },
      { ...trial, gamma: 2, metric: { ...negative.floor, value: 33 } },
      { gamma: 8, nimg: null, metric: null, failure: 'lossG is NaN' },
    ];
    const swept = { ...negative, gammaSweep: { kimg: 100, trials, chosen: 2 } };
    const page = generatorsSection({ ...inputs, generators: { ...inputs.generators, negative: swept } }).safeHtml;
    expect(page).toContain('2, with the lowest metric after 100 kimg each (0.5: 41.25; 2: 33; 8: lossG is NaN)');
    expect(page).toContain('<td>as the study file gives it</td>');
    expect(generatorsSection(inputs).safeHtml).not.toContain('R1 gamma');
  });
});
