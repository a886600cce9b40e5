import type { Estimate, EvaluationManifest, ModelEvaluation } from '../../contract/manifests.ts';
import type { Study } from '../../contract/study.ts';
import { formatCount, formatInterval, formatLevel, formatNumber, formatP, formatUnit, withoutStop } from './format.ts';
import { markup, type HtmlPart, type SafeHtml } from './html.ts';
import { section, table } from './page-parts.ts';
import { repeatsPart } from './page-repeats.ts';
import type { ReportInputs } from './report-inputs.ts';

const cell = ({ value, ci }: Estimate): SafeHtml =>
  markup`<span class="nowrap"><strong>${formatUnit(value)}</strong></span> ${
    ci === null
      ? markup`<span class="soft">no interval</span>`
      : markup`<span class="soft nowrap">${formatInterval(ci)}</span>`
  }`;

const method = (estimate: Estimate): string => estimate.ci?.method ?? 'no interval';

/** The table a reader looks for first: both models, every measure, every interval and its method. */
export function mainTable({ models }: EvaluationManifest, { study }: ReportInputs): SafeHtml {
  const { real, synthetic } = models;
  const row = (name: string, pick: (model: ModelEvaluation) => Estimate): HtmlPart[] => [
    name,
    cell(pick(real)),
    cell(pick(synthetic)),
    method(pick(real)) === method(pick(synthetic))
      ? method(pick(real))
      : `${method(pick(real))}; synthetic: ${method(pick(synthetic))}`,
  ];
  return table({
    label: 'Main results',
    head: [
      'Measure',
      'Trained on real images',
      'Trained on synthetic images',
      `Method of the ${formatLevel(study.evaluation.ciLevel)} interval`,
    ],
    rows: [
      row('AUC', (model) => model.auc),
      row('AUC, resampled by group', (model) => model.aucGrouped),
      row(`Sensitivity (${study.classes.positive} found)`, (model) => model.sensitivity),
      row(`Specificity (${study.classes.negative} cleared)`, (model) => model.specificity),
      row('Accuracy', (model) => model.accuracy),
      row('F1', (model) => model.f1),
      ['Brier score, lower is better', formatUnit(real.brier), formatUnit(synthetic.brier), ''],
    ],
  });
}

function confusionTable(model: ModelEvaluation, { study }: ReportInputs): SafeHtml {
  const { tp, fp, tn, fn } = model.confusion;
  const { negative, positive } = study.classes;
  return markup`<div><h3>Trained on ${model.variant} images, called ${positive} from probability ${formatNumber(model.operatingPoint.threshold)}</h3>${table(
    {
      label: `Confusion matrix, trained on ${model.variant} images`,
      head: ['Truth', `called ${negative}`, `called ${positive}`],
      rows: [
        [
          negative,
          markup`<span class="good">${formatCount(tn)}</span>`,
          markup`<span class="bad">${formatCount(fp)}</span>`,
        ],
        [
          positive,
          markup`<span class="bad">${formatCount(fn)}</span>`,
          markup`<span class="good">${formatCount(tp)}</span>`,
        ],
      ],
    },
  )}</div>`;
}

/** Which rule fixed the thresholds, in words. */
export function describeOperatingPoint({ operatingPoint, targetSensitivity }: Study['evaluation']): string {
  switch (operatingPoint) {
    case 'half':
      return 'An image is called positive from probability 0.5 on, which nothing was tuned to.';
    case 'youden':
      return 'An image is called positive from the probability that had the largest Youden index (sensitivity + specificity - 1) on the validation images of its model, before the test set was opened.';
    case 'sensitivity':
      return `An image is called positive from the highest probability that reached a sensitivity of ${targetSensitivity} on the validation images of its model, before the test set was opened.`;
  }
}

function operatingPointTable({ models }: EvaluationManifest): SafeHtml {
  return table({
    label: 'Operating points',
    head: ['Model', 'Threshold', 'Validation images', 'Sensitivity there', 'Specificity there'],
    rows: (['real', 'synthetic'] as const).map((variant) => {
      const { threshold, validation } = models[variant].operatingPoint;
      return [
        `Trained on ${variant} images`,
        formatNumber(threshold),
        formatCount(validation.images),
        formatUnit(validation.sensitivity),
        formatUnit(validation.specificity),
      ];
    }),
  });
}

function comparisonTable({ comparison }: EvaluationManifest, { study }: ReportInputs): SafeHtml {
  const { mcnemar, delong, nonInferiority } = comparison;
  const { margin, alpha, ciLevel } = study.evaluation;
  const undetermined = markup`<span class="soft">undetermined, see the notes</span>`;
  const interval = delong?.difference.ci ?? null;
  return table({
    label: 'Comparison of the two models',
    head: ['Question', 'Result', 'Figures'],
    rows: [
      [
        `AUC real - AUC synthetic (paired DeLong)`,
        delong === null ? undetermined : cell(delong.difference),
        delong === null
          ? ''
          : `standard error ${formatUnit(delong.standardError)}, z ${delong.z.toFixed(3)}, two-sided p ${formatP(delong.p)}${interval === null ? '' : `, ${formatLevel(ciLevel)} interval by ${interval.method}`}`,
      ],
      [
        `Is the loss of AUC smaller than the margin ${formatUnit(margin)}?`,
        nonInferiority === null
          ? undetermined
          : nonInferiority.nonInferior
            ? markup`<strong class="good">non-inferior</strong>`
            : markup`<strong class="bad">non-inferiority not shown</strong>`,
        nonInferiority === null
          ? ''
          : `z ${nonInferiority.z.toFixed(3)}, one-sided p ${formatP(nonInferiority.p)} at level ${alpha}; smallest margin this test set could have shown (80% power, equally good models): ${formatUnit(nonInferiority.smallestMargin)}`,
      ],
      [
        'Do the two decide differently? (McNemar)',
        `exact p ${formatP(mcnemar.exact)}, mid-p ${formatP(mcnemar.midP)}`,
        `only the real-trained one right: ${formatCount(mcnemar.realOnlyCorrect)}; only the synthetic-trained one right: ${formatCount(mcnemar.syntheticOnlyCorrect)}`,
      ],
    ],
  });
}

/** Confusion matrices, paired tests and notes. */
export function evaluationSection(inputs: ReportInputs): SafeHtml {
  const { evaluation } = inputs;
  if (evaluation === null)
    return section(
      'evaluation',
      'Evaluation and comparison',
      markup`<p>There was no second classifier to evaluate: ${withoutStop(inputs.filtered.degenerate ?? 'the filter kept too few images')}. The test set was not opened.</p>`,
    );
  const { models, comparison } = evaluation;
  return section(
    'evaluation',
    'Evaluation and comparison',
    markup`<p>Both models scored the same real test images, which no training, filter or choice of this study was given. Positive is ${inputs.study.classes.positive}. The margin was fixed in the study file before the test set was opened. "Not significantly different" does not mean "as good": only the non-inferiority line speaks of that.</p>`,
    comparisonTable(evaluation, inputs),
    comparison.notes.length === 0 ? null : markup`<ul>${comparison.notes.map((note) => markup`<li>${note}</li>`)}</ul>`,
    markup`<p>${describeOperatingPoint(inputs.study.evaluation)} The validation images of the synthetic-trained model are synthetic.</p>`,
    operatingPointTable(evaluation),
    markup`<div class="figures">${confusionTable(models.real, inputs)}${confusionTable(models.synthetic, inputs)}</div>`,
    repeatsPart(evaluation, inputs),
  );
}

/** What the leakage audit looked for and found. */
export function auditSection({ evaluation }: ReportInputs): SafeHtml {
  if (evaluation === null)
    return section('audit', 'Leakage audit', markup`<p>Not run: the test set was never opened.</p>`);
  const { audit } = evaluation;
  return section(
    'audit',
    'Leakage audit',
    audit.passed
      ? markup`<p class="good">All checks passed.</p>`
      : markup`<p class="bad"><strong>At least one check failed: the test figures cannot be trusted.</strong></p>`,
    table({
      label: 'Leakage audit',
      head: ['Check', 'Result', 'Detail'],
      rows: audit.checks.map(({ name, passed, detail }) => [
        name,
        passed ? markup`<span class="good">passed</span>` : markup`<strong class="bad">failed</strong>`,
        detail,
      ]),
    }),
  );
}
