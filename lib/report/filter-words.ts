import { classSides } from '../../contract/manifests.ts';
import { decidingRule } from '../../contract/plan.ts';
import type { ReportInputs } from './report-inputs.ts';

/**
 * What the filter keeps, to follow "The filter keeps": a quantile and a low threshold also take fakes that the classifier calls
 * the other class. Null where the rule lets every candidate pass.
 */
export function describeKept({ filter }: ReportInputs['study']): string | null {
  const rule = decidingRule(filter);
  if (rule === 'quantile' && filter.quantile === 1) return null;
  const [judge, s, together] =
    filter.rule === 'ensemble'
      ? ['the real-trained classifiers', '', ' together']
      : ['the real-trained classifier', 's', ''];
  return rule === 'quantile' || (rule === 'threshold' && filter.threshold < 0.5)
    ? `images to which ${judge}${together} give${s} the higher probabilities of their class, recognised or not`
    : `images that ${judge} recognise${s}${together}`;
}

/** Whether what the filter cost in variety was measured, be it for one class. */
export const isLossMeasured = ({ filtered }: Pick<ReportInputs, 'filtered'>): boolean =>
  classSides.some((side) => filtered.classes[side].loss !== null);
