import type { FigureSpec } from './figure-spec.ts';
import { formatNumber } from './format.ts';
import { palette } from './palette.ts';

/** Distance to the target over the steps of a projection; `table` is its `loss.csv`. */
export function projectionLossSpec(table: string, target: string): FigureSpec {
  const rows = table
    .trim()
    .split('\n')
    .slice(1)
    .map((line) => {
      const [step = 0, distance = 0] = line.split(',').map(Number);
      return { step, distance };
    });
  const [first, last] = [rows[0]?.distance ?? 0, rows.at(-1)?.distance ?? 0];
  const useLog = rows.every(({ distance }) => distance > 0);
  return {
    name: 'projection-loss',
    title: `Projection of ${target}`,
    caption:
      'Mean squared difference of pixels over all scales, at the w of each step with its noise. Lower is nearer.',
    alt: `Distance to ${target} over ${rows.length} steps: from ${formatNumber(first)} to ${formatNumber(last)}.`,
    spec: {
      data: { values: rows },
      mark: { type: 'line', color: palette.synthetic.light },
      encoding: {
        x: { field: 'step', type: 'quantitative', title: 'step', scale: { zero: true, nice: false } },
        y: {
          field: 'distance',
          type: 'quantitative',
          title: `multi-scale pixel distance${useLog ? ' (log)' : ''}`,
          scale: { type: useLog ? 'log' : 'linear' },
        },
      },
    },
  };
}
