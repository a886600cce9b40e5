import type { RepeatedEvaluation } from '../../contract/manifests.ts';
import type { FigureSpec } from './figure-spec.ts';
import { formatSpread, formatUnit } from './format.ts';
import { palette } from './palette.ts';

/** Forest plot: loss of AUC in every pair of trainings and on average, with intervals, beside the margin. */
export function repeatsSpec({ comparison }: RepeatedEvaluation, margin: number): FigureSpec {
  const { pairs, difference, ci } = comparison;
  const row = (
    training: string,
    value: number,
    interval: { readonly lower: number; readonly upper: number } | null,
  ): Record<string, string | number> => ({
    training,
    value,
    ...(interval && { from: interval.lower, to: interval.upper }),
  });
  const rows = pairs.map(({ difference: { value, ci: own } }, repeat) => row(`repeat ${repeat}`, value, own));
  const mean = row('mean', difference.mean, ci);
  const order = [...rows, mean].map(({ training }) => training);
  const y = { field: 'training', type: 'nominal', title: null, sort: order, scale: { domain: order } } as const;
  const x = { field: 'value', type: 'quantitative', title: 'AUC real - AUC synthetic' } as const;
  const interval = { x: { ...x, field: 'from' }, x2: { field: 'to' }, y };
  const line = (value: number, color: string, strokeDash: number[]): Record<string, unknown> => ({
    data: { values: [{ value }] },
    mark: { type: 'rule', color, strokeDash, strokeWidth: 1.5 },
    encoding: { x },
  });
  const marks = (
    values: Record<string, string | number>[],
    color: string,
    shape: string,
  ): Record<string, unknown>[] => [
    {
      data: { values: values.filter(({ from }) => from !== undefined) },
      mark: { type: 'rule', color, strokeWidth: 2.5 },
      encoding: interval,
    },
    { data: { values }, mark: { type: 'point', filled: true, size: 90, opacity: 1, color, shape }, encoding: { x, y } },
  ];
  return {
    name: 'repeats',
    title: 'Loss of AUC in every pair of trainings',
    caption: `Dots: repeat r of both classifiers, with DeLong intervals; diamond: mean, over groups of test images and trainings. Dashed line: margin ${formatUnit(margin)}. The study's test is that of repeat 0.`,
    alt: `AUC real minus AUC synthetic of ${pairs.length} pairs of trainings: ${pairs.map((pair) => formatUnit(pair.difference.value)).join(', ')}; mean ${formatSpread(difference)}; margin ${formatUnit(margin)}.`,
    spec: {
      layer: [
        line(0, palette.muted.light, [2, 3]),
        line(margin, palette.accent.light, [6, 4]),
        ...marks(rows, palette.real.light, 'circle'),
        ...marks([mean], palette.synthetic.light, 'diamond'),
      ],
    } as unknown as FigureSpec['spec'], // layers built from parts: vega-lite's type cannot follow
  };
}
