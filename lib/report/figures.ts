import * as vega from 'vega';
import { compile, type TopLevelSpec } from 'vega-lite';
import { classSides } from '../../contract/manifests.ts';
import { acceptanceSpec } from './figure-acceptance.ts';
import { historyAucSpec, historyLossSpec } from './figure-history.ts';
import { generatorLossSpec, snapshotMetricSpec } from './figure-generator.ts';
import { repeatsSpec } from './figure-repeats.ts';
import { rocSpec } from './figure-roc.ts';
import type { FigureSpec } from './figure-spec.ts';
import { escapeHtml } from './html.ts';
import { palette } from './palette.ts';
import type { ReportInputs } from './report-inputs.ts';

export interface Figure extends Omit<FigureSpec, 'spec'> {
  readonly svg: string;
}

const ink = palette.text.light;

const config = {
  aria: false,
  background: 'transparent',
  font: 'sans-serif',
  view: { stroke: null },
  axis: {
    labelColor: ink,
    titleColor: ink,
    labelFontSize: 12,
    titleFontSize: 13,
    titleFontWeight: 'normal',
    titlePadding: 8,
    gridColor: palette.grid.light,
    domainColor: palette.axis.light,
    tickColor: palette.axis.light,
    labelOverlap: true,
    labelFlush: false,
  },
  legend: {
    orient: 'top',
    direction: 'vertical',
    title: null,
    labelColor: ink,
    labelFontSize: 12,
    labelLimit: 380,
    symbolSize: 260,
    symbolStrokeWidth: 2.5,
    offset: 6,
  },
  line: { strokeWidth: 2 },
} as const;

/** Without this, text is measured with whatever fonts a canvas package finds, and the bytes would follow the machine. */
function measureTextByEstimate(): void {
  const { textMetrics } = vega as unknown as { textMetrics: { canvas(use: boolean): void } }; // exported, but not in vega's typings
  textMetrics.canvas(false);
}

/** Draws one figure as SVG; the same figure gives the same bytes, whatever was drawn before in this process. */
export async function renderFigure(figure: FigureSpec): Promise<Figure> {
  const { spec, ...words } = figure;
  measureTextByEstimate();
  // The spread of two checked specs: vega-lite's type cannot express it.
  const sized = { width: 430, height: 300, autosize: { type: 'fit', contains: 'padding' }, ...spec, config };
  const view = new vega.View(vega.parse(compile(sized as TopLevelSpec).spec), { renderer: 'none' });
  try {
    const drawn = await view.toSVG();
    // Ids come from a process-wide counter: number them from 1 in each figure, and keep figures of one page apart.
    const ids = [...new Set([...drawn.matchAll(/ id="([^"]+)"/g)].map((match) => match[1] ?? ''))];
    const named = ids.reduce(
      (svg, id, i) =>
        svg
          .replaceAll(`id="${id}"`, `id="${figure.name}-${i + 1}"`)
          .replaceAll(`url(#${id})`, `url(#${figure.name}-${i + 1})`),
      drawn,
    );
    const label = escapeHtml(figure.alt);
    const svg = named.replace(/^<svg [^>]*?(viewBox="[^"]+")>/, (_root, viewBox: string) => {
      return `<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="${label}" ${viewBox}>`;
    });
    return { ...words, svg };
  } finally {
    view.finalize();
  }
}

/** The figures of a study, in the order of the page. Those without data are absent. */
export function listFigures(inputs: ReportInputs): readonly FigureSpec[] {
  const { study, generators, synthetic, filtered, classifiers, evaluation } = inputs;
  const trained = [classifiers.real, classifiers.synthetic].filter((manifest) => manifest !== null);
  return [
    ...(evaluation === null ? [] : [rocSpec(evaluation, study)]),
    ...(evaluation?.repeats ? [repeatsSpec(evaluation.repeats, study.evaluation.margin)] : []),
    ...classSides.map((side) => snapshotMetricSpec(generators[side], synthetic[side].snapshot)),
    ...classSides
      .filter((side) => generators[side].losses.length > 0)
      .map((side) => generatorLossSpec(generators[side])),
    ...classSides.map((side) => acceptanceSpec(side, study.classes[side], filtered.classes[side])),
    ...trained
      .filter((manifest) => manifest.history.length > 0)
      .flatMap((manifest) => [historyLossSpec(manifest), historyAucSpec(manifest)]),
  ];
}

/** Every figure of a study, drawn one after the other. */
export async function renderFigures(inputs: ReportInputs): Promise<readonly Figure[]> {
  const figures: Figure[] = [];
  for (const spec of listFigures(inputs)) figures.push(await renderFigure(spec));
  return figures;
}
