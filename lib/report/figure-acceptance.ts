import type { ClassSide, FilteredClass } from '../../contract/manifests.ts';
import type { FigureSpec } from './figure-spec.ts';
import { formatCount, formatPercent } from './format.ts';
import { palette } from './palette.ts';

/** Histogram of the probability of the intended class: all candidates of one class, and among them those that were kept. */
export function acceptanceSpec(side: ClassSide, className: string, filtered: FilteredClass): FigureSpec {
  const { histogram, keptHistogram, accepted, candidates, kept } = filtered;
  const width = 1 / histogram.length;
  const rows = histogram.flatMap((images, bin) => {
    const inside = keptHistogram[bin] ?? 0;
    const bounds = { from: Number((bin * width).toFixed(6)), to: Number(((bin + 1) * width).toFixed(6)) };
    return [
      { ...bounds, images: inside, verdict: 'kept' },
      { ...bounds, images: images - inside, verdict: 'not kept' },
    ];
  });
  const rate = candidates === 0 ? 'no candidates' : `${formatPercent(accepted / candidates)} accepted`;
  return {
    name: `acceptance-${side}`,
    title: `Filter of ${className} fakes: ${rate}`,
    caption: `${formatCount(accepted)} of ${formatCount(candidates)} candidates passed the rule, ${formatCount(kept)} were kept. Whole bars are the fakes before the filter, their lower parts those after it.`,
    alt: `Histogram of the probability of ${className} over ${formatCount(candidates)} fakes: ${rate}. Counts per tenth: ${histogram.join(', ')}; kept: ${keptHistogram.join(', ')}.`,
    spec: {
      data: { values: rows },
      mark: { type: 'bar', stroke: null, binSpacing: 1 },
      encoding: {
        x: {
          field: 'from',
          bin: { binned: true, step: width },
          type: 'quantitative',
          title: `probability of ${className}`,
          scale: { domain: [0, 1] },
          axis: { values: [0, 0.2, 0.4, 0.6, 0.8, 1] },
        },
        x2: { field: 'to' },
        y: { field: 'images', type: 'quantitative', title: 'fakes (images)', axis: { tickMinStep: 1 } },
        color: {
          field: 'verdict',
          type: 'nominal',
          scale: { domain: ['not kept', 'kept'], range: [palette.muted.light, palette.accent.light] },
          legend: { direction: 'horizontal', symbolType: 'square' },
        },
        order: { field: 'verdict', sort: 'ascending' },
      },
    },
  };
}
