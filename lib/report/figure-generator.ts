import type { GeneratorManifest, Snapshot } from '../../contract/manifests.ts';
import type { FigureSpec } from './figure-spec.ts';
import { formatKimg, formatNumber } from './format.ts';
import { palette } from './palette.ts';

/** Range of the metric from which a logarithmic axis shows more. */
const logFrom = 10;

const kimgAxis = {
  field: 'kimg',
  type: 'quantitative',
  title: 'real images shown to D (kimg)',
  scale: { zero: true },
} as const;

/** Metric of every snapshot over the training, with its floor and the chosen one. */
export function snapshotMetricSpec(generator: GeneratorManifest, chosen: Snapshot): FigureSpec {
  const { floor, side, className } = generator;
  const rows = generator.snapshots.flatMap(({ nimg, metric }) =>
    metric === null ? [] : [{ kimg: nimg / 1000, value: metric.value, series: 'fakes against reals', nimg }],
  );
  const values = [...rows.map((row) => row.value), floor.value];
  const useLog = Math.min(...values) > 0 && Math.max(...values) > logFrom * Math.min(...values);
  const y = {
    field: 'value',
    type: 'quantitative',
    title: `${floor.name}, lower is better${useLog ? ' (log)' : ''}`,
    scale: useLog ? ({ type: 'log' } as const) : ({ zero: true } as const),
  } as const;
  const series = ['fakes against reals', 'floor: two halves of the reals', 'chosen snapshot'];
  const color = {
    type: 'nominal',
    scale: { domain: series, range: [palette.synthetic.light, palette.real.light, palette.accent.light] },
  } as const;
  const best = chosen.metric;
  return {
    name: `snapshot-metric-${side}`,
    title: `Snapshots of ${className}: ${floor.name}`,
    caption: `${floor.fakes} fakes per snapshot against ${floor.reals} reals for the floor. Only equal counts compare.`,
    alt: `${floor.name} of ${rows.length} snapshots of ${className} over kimg. Chosen: ${best === null ? 'not measured' : formatNumber(best.value)} at ${formatKimg(chosen.nimg)}. Floor: ${formatNumber(floor.value)}.`,
    spec: {
      layer: [
        {
          data: { values: [{ value: floor.value, series: series[1] }] },
          mark: { type: 'rule', strokeWidth: 2, strokeDash: [6, 4] },
          encoding: { y, color: { ...color, field: 'series' } },
        },
        {
          data: { values: rows },
          mark: { type: 'line', point: { filled: true, size: 36 } },
          encoding: { x: kimgAxis, y, color: { ...color, field: 'series' } },
        },
        {
          data: {
            values: rows.filter((row) => row.nimg === chosen.nimg).map((row) => ({ ...row, series: series[2] })),
          },
          mark: { type: 'point', filled: false, size: 190, strokeWidth: 2.5, opacity: 1 },
          encoding: { x: kimgAxis, y, color: { ...color, field: 'series' } },
        },
      ],
    },
  };
}

/** Losses of G and D per tick. */
export function generatorLossSpec({ losses, side, className }: GeneratorManifest): FigureSpec {
  const names = ['G', 'D'];
  const rows = losses.flatMap(({ nimg, lossG, lossD }) => [
    { kimg: nimg / 1000, loss: lossG, network: 'G' },
    { kimg: nimg / 1000, loss: lossD, network: 'D' },
  ]);
  const last = losses.at(-1);
  return {
    name: `generator-loss-${side}`,
    title: `Training losses of ${className}`,
    caption: 'Logistic losses of generator (G) and discriminator (D), means per tick, regularisation left out.',
    alt: `Losses of G and D of ${className} over ${losses.length} ticks${last === undefined ? '' : `, ending at ${formatNumber(last.lossG)} and ${formatNumber(last.lossD)}`}.`,
    spec: {
      data: { values: rows },
      mark: { type: 'line', point: losses.length < 2 },
      encoding: {
        x: kimgAxis,
        y: { field: 'loss', type: 'quantitative', title: 'loss (nats)', scale: { zero: true } },
        color: {
          field: 'network',
          type: 'nominal',
          scale: { domain: names, range: [palette.synthetic.light, palette.real.light] },
          legend: { direction: 'horizontal', symbolType: 'stroke' },
        },
        strokeDash: {
          field: 'network',
          type: 'nominal',
          scale: {
            domain: names,
            range: [
              [1, 0],
              [7, 3],
            ],
          },
        },
      },
    },
  };
}
