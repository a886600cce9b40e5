import { classSides, type ClassSide } from '../../contract/manifests.ts';
import { describeRule } from '../synthesis/filter-rules.ts';
import { formatKimg, formatNumber } from './format.ts';
import { markup, type SafeHtml } from './html.ts';
import { imageFigure, section } from './page-parts.ts';
import type { ReportInputs, SnapshotGrid } from './report-inputs.ts';

/** Snapshot grids shown per class, so that a long training does not make the page too large to open. */
export const shownSnapshots = 8;

/** At most `limit` grids, evenly spread, always with the first, the last and the chosen one; training order kept. */
export function pickSnapshots(grids: readonly SnapshotGrid[], limit = shownSnapshots): readonly SnapshotGrid[] {
  if (grids.length <= limit) return grids;
  const chosen = grids.findIndex((grid) => grid.chosen);
  const places = new Set(chosen < 0 ? [] : [chosen]);
  const spread = limit - places.size;
  for (let i = 0; i < spread; i++) places.add(Math.round((i * (grids.length - 1)) / (spread - 1)));
  return grids.filter((_grid, place) => places.has(place));
}

function snapshotFigure(inputs: ReportInputs, side: ClassSide, grid: SnapshotGrid): SafeHtml {
  const metric = inputs.generators[side].snapshots.find((snapshot) => snapshot.nimg === grid.nimg)?.metric ?? null;
  const name = inputs.study.classes[side];
  return imageFigure({
    png: grid.png,
    chosen: grid.chosen,
    alt: `Grid of generated ${name} images at ${formatKimg(grid.nimg)}`,
    title: `${formatKimg(grid.nimg)}${grid.chosen ? ' (chosen)' : ''}`,
    caption: metric === null ? 'not measured' : `${metric.name} ${formatNumber(metric.value)}`,
  });
}

function classGrids(inputs: ReportInputs, side: ClassSide): SafeHtml {
  const { grids, study, filtered } = inputs;
  const name = study.classes[side];
  const shown = pickSnapshots(grids.fakes[side]);
  const chosen = shown.find((grid) => grid.chosen);
  const others = shown.filter((grid) => grid !== chosen);
  const dropped = grids.rejected?.[side] ?? null;
  return markup`<h3>${name}</h3><div class="figures">
${imageFigure({ png: grids.reals[side], alt: `Grid of real ${name} images`, title: 'Real images', caption: 'from the training set' })}
${chosen === undefined ? null : snapshotFigure(inputs, side, chosen)}
${
  grids.kept === null
    ? null
    : imageFigure({
        png: grids.kept[side],
        alt: `Grid of synthetic ${name} images that the filter kept`,
        title: 'Synthetic set: kept by the filter',
        caption: `psi ${study.synthesis.psi}, ${filtered.classes[side].kept} kept in all`,
      })
}${
    dropped === null
      ? null
      : imageFigure({
          png: dropped,
          alt: `Grid of synthetic ${name} images that the filter dropped`,
          title: 'Dropped by the filter',
          caption: `did not pass, the rule being that ${describeRule(filtered.filter)}`,
        })
  }</div>${
    others.length === 0
      ? null
      : markup`<details><summary>Other snapshots of ${name} (${others.length} shown)</summary><div class="figures">${others.map((grid) => snapshotFigure(inputs, side, grid))}</div></details>`
  }\n`;
}

/** Real images beside what the generators made of them. */
export function gridsSection(inputs: ReportInputs): SafeHtml {
  return section(
    'images',
    'Images',
    markup`<p>Look at them before believing any figure. Snapshot grids use the same latents throughout a training.</p>`,
    classSides.map((side) => classGrids(inputs, side)),
  );
}
