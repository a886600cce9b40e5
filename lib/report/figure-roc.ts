import type { EvaluationManifest } from '../../contract/manifests.ts';
import type { Study } from '../../contract/study.ts';
import type { FigureSpec } from './figure-spec.ts';
import { formatEstimate, formatNumber, formatUnit } from './format.ts';
import { palette } from './palette.ts';

const variants = ['real', 'synthetic'] as const;
const unit: number[] = [0, 1];
const fifths: number[] = [0, 0.2, 0.4, 0.6, 0.8, 1];

/** ROC curves of both models on the test set, with the diagonal of chance and the operating points. */
export function rocSpec({ models, test }: EvaluationManifest, { classes }: Study): FigureSpec {
  const label = (variant: (typeof variants)[number]): string =>
    `trained on ${variant} images, AUC ${formatUnit(models[variant].auc.value)}`;
  const curves = variants.flatMap((variant) =>
    models[variant].roc.map(({ falsePositiveRate, sensitivity }, order) => ({
      falsePositiveRate,
      sensitivity,
      order,
      model: label(variant),
    })),
  );
  const points = variants.map((variant) => {
    const { tp, fp, tn, fn } = models[variant].confusion;
    return {
      falsePositiveRate: fp / Math.max(1, fp + tn),
      sensitivity: tp / Math.max(1, tp + fn),
      model: label(variant),
    };
  });
  const x = {
    field: 'falsePositiveRate',
    type: 'quantitative',
    title: '1 - specificity (false positive rate)',
    scale: { domain: unit },
    axis: { values: fifths },
  } as const;
  const y = {
    field: 'sensitivity',
    type: 'quantitative',
    title: 'sensitivity (true positive rate)',
    scale: { domain: unit },
    axis: { values: fifths },
  } as const;
  const domain = variants.map(label);
  const color = {
    field: 'model',
    type: 'nominal',
    scale: { domain, range: [palette.real.light, palette.synthetic.light] },
    legend: { symbolType: 'stroke' },
  } as const;
  return {
    name: 'roc',
    title: 'ROC curves on the test set',
    caption: `${test.positive} ${classes.positive} and ${test.negative} ${classes.negative} real images. Dots: operating points at probability ${formatNumber(models.real.operatingPoint.threshold)} (real) and ${formatNumber(models.synthetic.operatingPoint.threshold)} (synthetic); thin line: chance.`,
    alt: `ROC curves. Trained on real images: AUC ${formatEstimate(models.real.auc)}. Trained on synthetic images: AUC ${formatEstimate(models.synthetic.auc)}.`,
    spec: {
      width: 430,
      height: 430,
      layer: [
        {
          data: { values: [0, 1].map((v) => ({ falsePositiveRate: v, sensitivity: v })) },
          mark: { type: 'line', strokeWidth: 1, color: palette.muted.light, strokeDash: [2, 3] },
          encoding: { x, y },
        },
        {
          data: { values: curves },
          mark: { type: 'line', strokeJoin: 'round' },
          encoding: {
            x,
            y,
            color,
            order: { field: 'order' },
            strokeDash: {
              field: 'model',
              type: 'nominal',
              scale: {
                domain,
                range: [
                  [1, 0],
                  [7, 3],
                ],
              },
            },
          },
        },
        {
          data: { values: points },
          mark: { type: 'point', filled: true, size: 80, opacity: 1 },
          encoding: { x, y, color },
        },
      ],
    },
  };
}
