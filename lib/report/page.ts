import { formatInterval, formatLevel, formatUnit, withoutStop } from './format.ts';
import { renderFigures, type Figure } from './figures.ts';
import { markup, trustedHtml, type SafeHtml } from './html.ts';
import { datasetSection } from './page-dataset.ts';
import { auditSection, evaluationSection, mainTable } from './page-evaluation.ts';
import { gridsSection } from './page-grids.ts';
import { classifiersSection, filterSection, generatorsSection } from './page-models.ts';
import { section } from './page-parts.ts';
import { configurationSection, limitsSection, provenanceSection } from './page-provenance.ts';
import { pageStyle } from './page-style.ts';
import type { ReportInputs } from './report-inputs.ts';
import { buildResults, encodeResults } from './results.ts';
import type { Summary } from './summary.ts';

export interface RenderedReport {
  /** Self-contained page. */
  readonly html: string;
  /** Content of `results.json`. */
  readonly results: string;
  readonly figures: readonly { readonly name: string; readonly svg: string }[];
}

const contents = [
  ['summary', 'Summary'],
  ['results', 'Main table'],
  ['figures', 'Figures'],
  ['images', 'Images'],
  ['dataset', 'Dataset'],
  ['generators', 'Generators'],
  ['filter', 'Filter'],
  ['classifiers', 'Classifiers'],
  ['evaluation', 'Comparison'],
  ['audit', 'Audit'],
  ['provenance', 'Provenance'],
  ['limits', 'Limits'],
  ['configuration', 'Configuration'],
] as const;

function header({ study, dataset }: ReportInputs): SafeHtml {
  return markup`<header><div class="bar">
<p class="kicker">Synthetic-image study</p>
<h1>${dataset.name}: ${study.classes.negative} and ${study.classes.positive}</h1>
<p class="notice">For research only. Not for clinical use.</p>
<nav aria-label="Contents">${contents.map(([id, title]) => markup`<a href="#${id}">${title}</a> `)}</nav>
</div></header>\n`;
}

function tiles({ evaluation, study }: ReportInputs): SafeHtml | null {
  if (evaluation === null) return null;
  const { models, comparison } = evaluation;
  const difference = comparison.delong?.difference ?? null;
  const tile = (value: string, label: string): SafeHtml =>
    markup`<div class="tile"><b>${value}</b><span>${label}</span></div>`;
  const interval = (variant: 'real' | 'synthetic'): string => {
    const { ci } = models[variant].auc;
    return ci === null ? 'no interval' : `${formatLevel(ci.level)} interval ${formatInterval(ci)}`;
  };
  return markup`<div class="tiles">
${tile(formatUnit(models.real.auc.value), `AUC, trained on real images; ${interval('real')}`)}
${tile(formatUnit(models.synthetic.auc.value), `AUC, trained on synthetic images; ${interval('synthetic')}`)}
${
  difference === null
    ? tile('-', 'difference: undetermined')
    : tile(
        formatUnit(difference.value),
        `difference, real minus synthetic; ${difference.ci === null ? 'no interval' : `${formatLevel(difference.ci.level)} interval ${formatInterval(difference.ci)}`}`,
      )
}
${tile(formatUnit(study.evaluation.margin), 'margin: largest loss of AUC accepted, fixed beforehand')}
</div>`;
}

function verdict({ evaluation, study }: ReportInputs): SafeHtml {
  const result = evaluation?.comparison.nonInferiority ?? null;
  const margin = formatUnit(study.evaluation.margin);
  if (result === null)
    return markup`<p class="verdict">Non-inferiority at the margin of ${margin} AUC was not tested, so it was not shown.</p>`;
  return result.nonInferior
    ? markup`<p class="verdict yes">Non-inferiority at the margin of ${margin} AUC was shown.</p>`
    : markup`<p class="verdict">Non-inferiority at the margin of ${margin} AUC was not shown.</p>`;
}

function summarySection(inputs: ReportInputs, { sentences, warnings }: Summary): SafeHtml {
  return section(
    'summary',
    'Summary',
    verdict(inputs),
    tiles(inputs),
    sentences.map((sentence) => markup`<p>${sentence}</p>\n`),
    warnings.length === 0
      ? null
      : markup`<h3>Read this before using the figures</h3><ul class="warnings">${warnings.map(
          ({ level, text }) =>
            markup`<li class="${level}"><span class="tag">${level === 'serious' ? 'Serious' : 'Caution'}</span>${text}</li>\n`,
        )}</ul>`,
  );
}

function figureBox({ name, svg, title, caption }: Figure): SafeHtml {
  // The ROC figure is square and has no partner: it takes a row of its own.
  return markup`<figure${name === 'roc' ? trustedHtml(' class="wide"') : null}>${trustedHtml(svg)}<figcaption><b>${title}</b><span>${caption}</span></figcaption></figure>\n`;
}

function resultsSection(inputs: ReportInputs): SafeHtml {
  const { evaluation } = inputs;
  return section(
    'results',
    'Main table',
    evaluation === null
      ? markup`<p>No figures: ${withoutStop(inputs.filtered.degenerate ?? 'the second classifier could not be trained')}.</p>`
      : mainTable(evaluation, inputs),
    evaluation === null
      ? null
      : markup`<p class="soft">Grey: ${formatLevel(inputs.study.evaluation.ciLevel)} intervals. Positive is ${inputs.study.classes.positive}.</p>`,
  );
}

/**
 * The report: one self-contained HTML page, `results.json` and the figures as SVG files. The same inputs give the same
 * bytes on one release; nothing in them names a time, host, attempt, id or person.
 */
export async function renderReport(inputs: ReportInputs): Promise<RenderedReport> {
  const results = buildResults(inputs);
  const figures = await renderFigures(inputs);
  const page = markup`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer"><title>Synthetic-image study of ${inputs.dataset.name}</title>
<style>${trustedHtml(pageStyle)}</style></head><body>
${header(inputs)}<main>
${summarySection(inputs, results.summary)}${resultsSection(inputs)}
${section('figures', 'Figures', markup`<div class="figures">${figures.map(figureBox)}</div>`)}
${gridsSection(inputs)}${datasetSection(inputs)}${generatorsSection(inputs)}${filterSection(inputs)}
${classifiersSection(inputs)}${evaluationSection(inputs)}${auditSection(inputs)}
${provenanceSection(inputs)}${limitsSection(inputs)}${configurationSection(inputs)}
</main>
<footer>Made by echoforge ${inputs.dataset.fingerprint.release}. All figures are also in results.json. For research only. Not for clinical use.</footer>
</body></html>
`;
  return {
    html: page.safeHtml,
    results: encodeResults(results),
    figures: figures.map(({ name, svg }) => ({ name, svg })),
  };
}
