import type { EvaluationManifest, RepeatedEvaluation, Spread } from '../../contract/manifests.ts';
import { formatInterval, formatLevel, formatSpread, formatUnit } from './format.ts';
import { markup, type HtmlPart, type SafeHtml } from './html.ts';
import { table } from './page-parts.ts';
import type { ReportInputs } from './report-inputs.ts';
import { trainingsOf, validationAucOf, validationSpreads } from './repeats.ts';

/** Below it a standard deviation says little. */
const fewTrainings = 5;

const nameOf = (repeat: number): string => (repeat === 0 ? '0, the one tested' : String(repeat));

const spreadRows = (columns: readonly (Spread | null)[]): HtmlPart[][] => {
  const row = (name: string, pick: (spread: Spread) => string): HtmlPart[] => [
    name,
    ...columns.map((spread) => (spread === null ? '' : pick(spread))),
  ];
  return [
    row('Mean', ({ mean }) => formatUnit(mean)),
    row('Standard deviation', ({ sd }) => formatUnit(sd)),
    row('Range', ({ min, max }) => `${formatUnit(min)} to ${formatUnit(max)}`),
  ];
};

const verdictOf = (nonInferior: boolean | null): string =>
  nonInferior === null ? 'undetermined' : nonInferior ? 'non-inferior' : 'not shown';

/** The test figures of every training, their spread, and what it does to the comparison; nothing where each was trained once. */
export function repeatsPart({ repeats }: EvaluationManifest, { study }: ReportInputs): SafeHtml | null {
  if (repeats === undefined) return null;
  const { models, comparison } = repeats;
  const count = comparison.pairs.length;
  const rows = comparison.pairs.map(({ difference, nonInferior }, repeat): HtmlPart[] => {
    const [real, synthetic] = [models.real.repeats[repeat], models.synthetic.repeats[repeat]];
    return [
      nameOf(repeat),
      ...[real?.auc, synthetic?.auc].map((auc) => (auc === undefined ? '-' : formatUnit(auc))),
      markup`${formatUnit(difference.value)} <span class="soft nowrap">${difference.ci === null ? 'no interval' : formatInterval(difference.ci)}</span>`,
      verdictOf(nonInferior),
      ...[real?.accuracy, synthetic?.accuracy].map((accuracy) => (accuracy === undefined ? '-' : formatUnit(accuracy))),
    ];
  });
  const { real, synthetic } = models;
  return markup`<h3>Spread between trainings</h3>
<p>Each classifier was trained ${count} times on the same images, with other random streams only.${count < fewTrainings ? ` ${count} are few: take the standard deviations as rough.` : ''} The tests above are those of repeat 0, as fixed beforehand; pairs are made by number, share one test set, and their verdicts are no further tests. All synthetic-trained ones learned from one filtered set: how much another generator would change was not measured.</p>
${table({
  label: 'Spread between trainings',
  head: [
    'Repeat',
    'AUC, real',
    'AUC, synthetic',
    'AUC real - AUC synthetic (paired DeLong)',
    `Margin ${formatUnit(study.evaluation.margin)}`,
    'Accuracy, real',
    'Accuracy, synthetic',
  ],
  rows: [
    ...rows,
    ...spreadRows([real.auc, synthetic.auc, comparison.difference, null, real.accuracy, synthetic.accuracy]),
  ],
})}
<p>${describeMeanDifference(repeats)}</p>`;
}

/** One sentence, for the section and for the summary. */
export function describeMeanDifference({ comparison }: RepeatedEvaluation): string {
  const { pairs, difference, ci } = comparison;
  const interval =
    ci === null
      ? 'it has no interval'
      : `${formatLevel(ci.level)} interval ${formatInterval(ci)} by ${ci.method}, so over other test images and other trainings`;
  return `Over ${pairs.length} trainings of each, the difference of the AUCs, real minus synthetic, was on average ${formatSpread(difference)}; ${interval}.`;
}

/** Validation AUC of every training; nothing where each was trained once. */
export function validationPart({ classifiers, generators, study }: ReportInputs): SafeHtml | null {
  if (classifiers.repeats === undefined) return null;
  const [real, synthetic] = [trainingsOf(classifiers, 'real'), trainingsOf(classifiers, 'synthetic')];
  const spreads = validationSpreads(classifiers);
  // FID is seen with the eyes of a network of its own.
  const measured =
    generators.negative.floor.name === 'fid' ? 'measured what the filter cost' : 'measured the generators';
  const cells = (manifest: (typeof real)[number] | undefined): string[] => {
    if (manifest === undefined) return ['-', '-'];
    const auc = validationAucOf(manifest);
    return [auc === null ? '-' : formatUnit(auc), String(manifest.epoch)];
  };
  return markup`<h3>Repeats</h3>
<p>Trainings that differ in their random streams alone, on their validation images. Repeat 0 of the real-trained ones ${measured}${study.filter.rule === 'ensemble' ? ', and all of them' : ' and'} filtered the synthetic images.</p>
${table({
  label: 'Validation of every training',
  head: ['Repeat', 'Validation AUC, real', 'Epoch kept', 'Validation AUC, synthetic', 'Epoch kept'],
  rows: [
    ...real.map((manifest, repeat) => [nameOf(repeat), ...cells(manifest), ...cells(synthetic[repeat])]),
    ...spreadRows([spreads.real, null, spreads.synthetic, null]),
  ],
})}`;
}
