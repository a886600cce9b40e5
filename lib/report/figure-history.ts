import type { ClassifierManifest } from '../../contract/manifests.ts';
import type { FigureSpec } from './figure-spec.ts';
import { formatNumber, formatUnit } from './format.ts';
import { palette } from './palette.ts';

interface Curve {
  readonly series: string;
  readonly color: string;
  readonly dash: readonly number[];
  readonly values: readonly number[];
}

/** Curves over epochs, with a rule at the epoch whose weights were kept. */
function epochsSpec(
  manifest: ClassifierManifest,
  { curves, title, domain }: { curves: readonly Curve[]; title: string; domain?: [number, number] },
): FigureSpec['spec'] {
  const rows = curves.flatMap(({ series, values }) =>
    values.map((value, i) => ({ epoch: manifest.history[i]?.epoch ?? i + 1, value, series })),
  );
  const names = curves.map((curve) => curve.series);
  const x = {
    field: 'epoch',
    type: 'quantitative',
    title: 'epoch',
    scale: { zero: false, nice: false },
    axis: { tickMinStep: 1, format: 'd', grid: false },
  } as const;
  return {
    layer: [
      {
        data: { values: [{ epoch: manifest.epoch }] },
        mark: { type: 'rule', strokeWidth: 1.5, strokeDash: [2, 3], color: palette.axis.light },
        encoding: { x },
      },
      {
        data: { values: rows },
        mark: { type: 'line', point: { filled: true, size: 22 } },
        encoding: {
          x,
          y: {
            field: 'value',
            type: 'quantitative',
            title,
            scale: domain === undefined ? { zero: true } : { domain },
          },
          color: {
            field: 'series',
            type: 'nominal',
            scale: { domain: names, range: curves.map((curve) => curve.color) },
            legend: { direction: 'horizontal', symbolType: 'stroke' },
          },
          strokeDash: {
            field: 'series',
            type: 'nominal',
            scale: { domain: names, range: curves.map((curve) => [...curve.dash]) },
          },
        },
      },
    ],
  };
}

/** Training and validation loss of one classifier per epoch. */
export function historyLossSpec(manifest: ClassifierManifest): FigureSpec {
  const { history, variant, epoch } = manifest;
  const kept = history.find((record) => record.epoch === epoch);
  return {
    name: `classifier-loss-${variant}`,
    title: `Classifier on ${variant} images: loss`,
    caption: `Cross-entropy per epoch; dotted line: epoch ${epoch}, whose weights were kept.`,
    alt: `Training and validation loss of the ${variant}-trained classifier over ${history.length} epochs; epoch ${epoch} was kept${kept === undefined ? '' : `, validation loss ${formatNumber(kept.validationLoss)}`}.`,
    spec: epochsSpec(manifest, {
      title: 'cross-entropy (nats)',
      curves: [
        {
          series: 'training',
          color: palette.muted.light,
          dash: [7, 3],
          values: history.map((record) => record.trainLoss),
        },
        {
          series: 'validation',
          color: palette[variant].light,
          dash: [1, 0],
          values: history.map((record) => record.validationLoss),
        },
      ],
    }),
  };
}

/** Validation AUC and accuracy of one classifier per epoch. */
export function historyAucSpec(manifest: ClassifierManifest): FigureSpec {
  const { history, variant, epoch } = manifest;
  const kept = history.find((record) => record.epoch === epoch);
  return {
    name: `classifier-auc-${variant}`,
    title: `Classifier on ${variant} images: validation`,
    caption: `Area under the ROC curve and accuracy on validation images; dotted line: epoch ${epoch}, whose weights were kept.`,
    alt: `Validation AUC and accuracy of the ${variant}-trained classifier over ${history.length} epochs; epoch ${epoch} was kept${kept === undefined ? '' : `, AUC ${formatUnit(kept.validationAuc)}`}.`,
    spec: epochsSpec(manifest, {
      title: 'share or area',
      domain: [0, 1],
      curves: [
        {
          series: 'AUC',
          color: palette[variant].light,
          dash: [1, 0],
          values: history.map((record) => record.validationAuc),
        },
        {
          series: 'accuracy',
          color: palette.muted.light,
          dash: [7, 3],
          values: history.map((record) => record.validationAccuracy),
        },
      ],
    }),
  };
}
