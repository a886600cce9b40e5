import type { ClassSide, FilteredClass } from '../../contract/manifests.ts';
import type { FigureSpec } from './figure-spec.ts';
import { formatCount, formatPercent } from './format.ts';
import { palette } from './palette.ts';

/** Histogram of the probability that the filter gives the intended class, over all candidates of one class. */
export function acceptanceSpec(side: ClassSide, className: string, filtered: FilteredClass): FigureSpec {
  const { histogram, accepted, candidates } = filtered;
  const width = 1 / histogram.length;
  const rows = histogram.map((images, bin) => ({
    from: Number((bin * width).toFixed(6)),
    to: Number(((bin + 1) * width).toFixed(6)),
    images,
    verdict: (bin + 0.5) * width > 0.5 ? 'accepted' : 'dropped',
  }));
  const rate = candidates === 0 ? 'no candidates' : `${formatPercent(accepted / candidates)} accepted`;
  return {
    name: `acceptance-${side}`,
    title: `Filter of ${className} fakes: ${rate}`,
    caption: `${formatCount(accepted)} of ${formatCount(candidates)} candidates have the intended class as the more probable one for the real-trained classifier.`,
    alt: `Histogram of the probability of ${className} over ${formatCount(candidates)} fakes: ${rate}. Counts per tenth: ${histogram.join(', ')}.`,
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
          scale: { domain: ['dropped', 'accepted'], range: [palette.muted.light, palette.accent.light] },
          legend: { direction: 'horizontal', symbolType: 'square' },
        },
      },
    },
  };
}
