import { describe, expect, it } from 'vitest';
import { listFigures, renderFigure } from '../../../lib/report/figures.ts';
import { evaluationSection } from '../../../lib/report/page-evaluation.ts';
import { classifiersSection, filterSection } from '../../../lib/report/page-models.ts';
import { findRecipeFaults } from '../../../lib/report/recipe-faults.ts';
import { listLimits } from '../../../lib/report/limits.ts';
import type { ReportInputs } from '../../../lib/report/report-inputs.ts';
import { buildResults } from '../../../lib/report/results.ts';
import { findWarnings, listFingerprints } from '../../../lib/report/warnings.ts';
import { spreadOf } from '../../../lib/stats/spread.ts';
import { makeInputs, makeRepeatedInputs } from './fixture-inputs.ts';

const pageOf = (inputs: ReportInputs): string =>
  evaluationSection(inputs).safeHtml + classifiersSection(inputs).safeHtml;
const warningsOf = (inputs: ReportInputs): string =>
  findWarnings(inputs)
    .map(({ text }) => text)
    .join('\n');

describe('the report of a study whose classifiers were trained several times', () => {
  it('shows every training on test and on validation, with mean, standard deviation and range', async () => {
    const inputs = await makeRepeatedInputs();
    const page = pageOf(inputs);
    const auc = inputs.evaluation?.repeats?.models.real.auc;
    if (auc === undefined) throw new Error('the fixture has repeats');
    expect(page).toContain('Each classifier was trained 3 times on the same images');
    expect(page).toContain('3 are few: take the standard deviations as rough');
    expect(page).toContain(`<td>${auc.sd.toFixed(3)}</td>`);
    expect(page).toContain(`<td>${auc.min.toFixed(3)} to ${auc.max.toFixed(3)}</td>`);
    expect(page).toContain('aria-label="Validation of every training"');
    expect(page.match(/0, the one tested/g)).toHaveLength(2);
  });

  it('draws the loss of AUC of every pair and of the mean beside the margin, and nothing where each was trained once', async () => {
    const spec = listFigures(await makeRepeatedInputs()).find(({ name }) => name === 'repeats');
    if (spec === undefined) throw new Error('expected a figure of the repeats');
    const { svg } = await renderFigure(spec);
    for (const label of ['repeat 0', 'repeat 2', 'mean']) expect(svg).toContain(`>${label}</text>`);
    expect(spec.alt).toMatch(/^AUC real minus AUC synthetic of 3 pairs of trainings: .*; margin 0\.050\.$/);
    expect(listFigures(await makeInputs()).map(({ name }) => name)).not.toContain('repeats');
  });

  it('states the mean difference with its interval in the summary, and keeps the tests to repeat 0', async () => {
    const [once, often] = [buildResults(await makeInputs()), buildResults(await makeRepeatedInputs())];
    const said = often.summary.sentences.filter((sentence) => !once.summary.sentences.includes(sentence));
    expect(said).toHaveLength(1);
    expect(said[0]).toMatch(
      /^Over 3 trainings of each, .* interval .* by percentile bootstrap of groups and trainings/,
    );
    expect(often.evaluation?.comparison).toEqual(once.evaluation?.comparison);
  });

  it('carries all of it in results.json, and nothing of it where each was trained once', async () => {
    const inputs = await makeRepeatedInputs();
    const { classifiers, evaluation } = buildResults(inputs);
    expect(classifiers.repeats?.real.map(({ repeat }) => repeat)).toEqual([1, 2]);
    const kept = [inputs.classifiers.real, ...(inputs.classifiers.repeats?.real ?? [])].map(
      ({ history, epoch }) => history[epoch - 1]?.validationAuc ?? NaN,
    );
    expect(classifiers.validationAuc?.real).toEqual(spreadOf(kept));
    expect(evaluation?.repeats?.models.synthetic.repeats).toHaveLength(3);
    const once = buildResults(await makeInputs());
    expect(Object.keys(once.classifiers)).toEqual(['real', 'synthetic']);
    expect(once.evaluation).not.toHaveProperty('repeats');
  });

  it('knows no second classifier where the filter kept nothing, and still shows those trained on reals', async () => {
    const inputs = await makeRepeatedInputs();
    const { classifiers } = inputs;
    const repeats = { real: classifiers.repeats?.real ?? [], synthetic: [] };
    const none = { ...inputs, evaluation: null, classifiers: { ...classifiers, synthetic: null, repeats } };
    expect(pageOf(none)).toContain('Validation of every training');
    expect(buildResults(none).classifiers.validationAuc).toMatchObject({ synthetic: null });
  });

  it('warns where the verdict hangs on the training, or a claim over trainings is not supported', async () => {
    const text = warningsOf(await makeRepeatedInputs([2.2, 5, 5]));
    expect(text).not.toContain('hangs on the training');
    const mixed = await makeRepeatedInputs();
    const repeats = mixed.evaluation?.repeats;
    const comparison = mixed.evaluation?.comparison;
    if (!mixed.evaluation || !repeats || !comparison?.nonInferiority) throw new Error('the fixture has all of them');
    const shown = { ...comparison, nonInferiority: { ...comparison.nonInferiority, nonInferior: true } };
    const pairs = repeats.comparison.pairs.map((pair, r) => ({ ...pair, nonInferior: r === 0 }));
    const told = (upper: number): string =>
      warningsOf({
        ...mixed,
        evaluation: {
          ...mixed.evaluation!,
          comparison: shown,
          repeats: {
            ...repeats,
            comparison: { ...repeats.comparison, pairs, ci: { lower: 0, upper, level: 0.95, method: 'bootstrap' } },
          },
        },
      });
    expect(told(0.04)).toContain('it was shown with repeat 0, which counts, and shown in 1 of 3 pairs');
    expect(told(0.04)).not.toContain('mean loss of AUC may be');
    expect(told(0.05)).toContain('mean loss of AUC may be 0.050 (95% interval), no less than the margin of 0.050');
  });

  it('says who filtered: one classifier, or all of them together', async () => {
    const inputs = await makeRepeatedInputs();
    const filter = { ...inputs.study.filter, rule: 'ensemble', ensembleRule: 'threshold' } as const;
    const together = { ...inputs, study: { ...inputs.study, filter }, filtered: { ...inputs.filtered, filter } };
    expect(filterSection(inputs).safeHtml).toContain('(argmax), by the real-trained classifier.');
    const page = filterSection(together).safeHtml;
    expect(page).toContain('a probability of at least 0.9 (threshold), by the mean probability of the 3 real-trained');
    expect(page).toContain('with the eyes of repeat 0, one of the classifiers that filtered');
    expect(classifiersSection(together).safeHtml).toContain('all of them filtered the synthetic images');
    expect(listLimits(together).join()).toContain('recognise together');
    const sentences = buildResults(together).summary.sentences.join(' ');
    expect(sentences).toContain('the first classifier and its 2 repeats together say that the intended class has a');
  });

  it('says that repeat 0 measured the generators only where their metric is that of its features', async () => {
    const inputs = await makeRepeatedInputs();
    const { negative, positive } = inputs.generators;
    const floor = { ...negative.floor, name: 'fid' };
    const byFid = { ...inputs, generators: { negative: { ...negative, floor }, positive: { ...positive, floor } } };
    const page = (of: ReportInputs): string => classifiersSection(of).safeHtml;
    expect(page(inputs)).toContain('measured the generators and filtered the synthetic images');
    expect(page(byFid)).toContain('measured what the filter cost and filtered the synthetic images');
  });

  it('names what a weak classifier decides: alone, with its repeats, with or without the metric', async () => {
    const inputs = await makeRepeatedInputs();
    const { evaluation, study, generators } = inputs;
    if (!evaluation) throw new Error('the fixture has an evaluation');
    const { real } = evaluation.models;
    const models = { ...evaluation.models, real: { ...real, auc: { ...real.auc, value: 0.6 } } };
    const weak = { ...inputs, evaluation: { ...evaluation, models } };
    const filter = { ...study.filter, rule: 'ensemble' as const };
    const floor = { ...generators.negative.floor, name: 'fid' };
    const byFid = { ...generators, negative: { ...generators.negative, floor } };
    expect(warningsOf(weak)).toContain('the filter and the snapshot metric rest on it.');
    expect(warningsOf({ ...weak, generators: byFid })).toContain('and the filter rests on it.');
    const together = { ...weak, study: { ...study, filter } };
    expect(warningsOf(together)).toContain('the snapshot metric rests on it, and the filter on it and its repeats.');
    expect(warningsOf({ ...together, generators: byFid })).toContain('the filter rests on it and its repeats.');
  });

  it('names what the repeats share, clears the fault of the single run, and lists their fingerprints', async () => {
    const inputs = await makeRepeatedInputs();
    expect(listLimits(inputs).join()).toContain('one generator per class and one synthetic set served them all');
    const generator = { ...inputs.study.generator, conditional: true };
    const both = listLimits({ ...inputs, study: { ...inputs.study, generator } }).join();
    expect(both).toContain('one generator of both classes and one synthetic set served them all');
    const once = findRecipeFaults({ ...inputs, study: { ...inputs.study, generator } }).map(({ detail }) => detail);
    expect(once.join()).toContain('The generator was not trained again');
    const run = (of: ReportInputs) => findRecipeFaults(of).find(({ name }) => name === 'one run')?.present;
    expect(run(inputs)).toBe(false);
    expect(run(await makeInputs())).toBe(true);
    expect(listFingerprints(inputs).map(({ step }) => step)).toContain('classifier/synthetic/2');
  });
});
