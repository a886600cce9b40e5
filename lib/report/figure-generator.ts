import type { GeneratorManifest, Snapshot, TickRecord } from '../../contract/manifests.ts';
import type { FigureSpec } from './figure-spec.ts';
import { formatCount, formatKimg, formatNumber } from './format.ts';
import { palette } from './palette.ts';

/** Range of the metric from which a logarithmic axis shows more. */
const logFrom = 10;

const kimgAxis = {
  field: 'kimg',
  type: 'quantitative',
  title: 'real images shown to D (kimg)',
  scale: { zero: true },
} as const;

/** 1, 2 and 5 times the powers of ten within a domain. */
function logTicks(domain: readonly number[]): number[] {
  const [lowest = 1, highest = 1] = domain;
  const decades = Array.from({ length: 24 }, (_, i) => 10 ** (i - 12));
  return decades
    .flatMap((decade) => [1, 2, 5].map((step) => Number((step * decade).toPrecision(1))))
    .filter((tick) => tick >= lowest && tick <= highest);
}

/** The part of a generator's manifest that its curve shows. */
export type MeasuredGenerator = Pick<GeneratorManifest, 'floor' | 'side' | 'className'> & {
  readonly snapshots: readonly Pick<Snapshot, 'nimg' | 'metric'>[];
};

/** Metric of every snapshot over the training, with its floor and the chosen one. */
export function snapshotMetricSpec(
  generator: MeasuredGenerator,
  chosen: Pick<Snapshot, 'nimg' | 'metric'>,
): FigureSpec {
  const { floor, side, className } = generator;
  const rows = generator.snapshots.flatMap(({ nimg, metric }) =>
    metric === null ? [] : [{ kimg: nimg / 1000, value: metric.value }],
  );
  const best = chosen.metric;
  const marked =
    best === null
      ? []
      : [{ kimg: chosen.nimg / 1000, value: best.value, label: `chosen: ${formatNumber(best.value)}` }];
  const floorRow = {
    kimg: 0,
    value: floor.value,
    label: `– – floor, two halves of the reals: ${formatNumber(floor.value)}`,
  };
  const isEarly = chosen.nimg / 1000 < Math.max(0, ...rows.map((row) => row.kimg)) / 2;
  const values = [...rows.map((row) => row.value), floor.value];
  const [lowest, highest] = [Math.min(...values), Math.max(...values)];
  const useLog = lowest > 0 && highest > logFrom * lowest;
  const domain: number[] = useLog ? [lowest / 1.6, highest * 1.3] : [Math.min(0, lowest), highest * 1.15 || 1];
  const y = {
    field: 'value',
    type: 'quantitative',
    title: `${floor.name}${useLog ? ' (log)' : ''}`,
    scale: { type: useLog ? 'log' : 'linear', domain, nice: false },
    axis: useLog ? { values: logTicks(domain) } : { tickCount: 5 },
  } as const;
  const text = { field: 'label', type: 'nominal' } as const;
  return {
    name: `snapshot-metric-${side}`,
    title: `Snapshots of ${className}: ${floor.name}`,
    caption: `${best === null ? '' : `${formatCount(best.fakes)} fakes against ${formatCount(best.reals)} reals; `}floor: ${formatCount(floor.reals)} against ${formatCount(floor.fakes)} reals. Lower is better; few images push both upwards.`,
    alt: `${floor.name} of ${rows.length} snapshots of ${className} over kimg. Chosen: ${best === null ? 'not measured' : formatNumber(best.value)} at ${formatKimg(chosen.nimg)}. Floor: ${formatNumber(floor.value)}.`,
    spec: {
      layer: [
        {
          data: { values: [floorRow] },
          mark: { type: 'rule', strokeWidth: 2, strokeDash: [6, 4], color: palette.real.light },
          encoding: { y },
        },
        {
          data: { values: [floorRow] },
          // In the upper right corner, which a falling curve leaves free.
          mark: { type: 'text', align: 'right', dx: -4, fontSize: 12, color: palette.real.light },
          encoding: { x: { value: 'width' }, y: { value: 12 }, text },
        },
        {
          data: { values: rows },
          mark: {
            type: 'line',
            color: palette.synthetic.light,
            point: { filled: true, size: 36, color: palette.synthetic.light },
          },
          encoding: { x: kimgAxis, y },
        },
        {
          data: { values: marked },
          mark: { type: 'point', filled: false, size: 190, strokeWidth: 2.5, opacity: 1, color: palette.accent.light },
          encoding: { x: kimgAxis, y },
        },
        {
          data: { values: marked },
          mark: {
            type: 'text',
            ...{ align: isEarly ? 'left' : 'right', dx: isEarly ? -2 : 6, dy: -16, fontSize: 12 },
            color: palette.accent.light,
          },
          encoding: { x: kimgAxis, y, text },
        },
      ],
    },
  };
}

/** What the last tick says of over-fitting, for a caption; empty where it was not measured. */
function overfittingOf(last: TickRecord | undefined): string {
  if (last === undefined || last.rt === null) return '';
  const strength = last.augmentP > 0 ? `, at augmentation strength ${formatNumber(last.augmentP)}` : '';
  return ` Over-fitting of D (mean sign of its scores of reals, 1 when it knows them by heart) ends at ${formatNumber(last.rt)}${strength}.`;
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
    caption: `Logistic losses of generator (G) and discriminator (D), means per tick, regularisation left out.${overfittingOf(last)}`,
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
