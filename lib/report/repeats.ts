import type { ClassifierManifest, Spread } from '../../contract/manifests.ts';
import { trainingName, type ClassifierVariant, type PerVariant } from '../../contract/names.ts';
import { spreadOf } from '../stats/spread.ts';
import type { ReportInputs } from './report-inputs.ts';

type Classifiers = ReportInputs['classifiers'];

/** Every training of a variant, repeat 0 first; empty where none was trained. */
export function trainingsOf(classifiers: Classifiers, variant: ClassifierVariant): readonly ClassifierManifest[] {
  const first = classifiers[variant];
  return first === null ? [] : [first, ...(classifiers.repeats?.[variant] ?? [])];
}

/** `classifier/real`, `classifier/real/1`, ... with what was trained. */
export function listTrainings(
  classifiers: Classifiers,
  variant: ClassifierVariant,
): readonly (readonly [step: string, manifest: ClassifierManifest])[] {
  return trainingsOf(classifiers, variant).map((manifest) => [`classifier/${trainingName(manifest)}`, manifest]);
}

/** Validation AUC of the epoch whose weights were kept; null when that epoch left no record. */
export const validationAucOf = ({ history, epoch }: ClassifierManifest): number | null =>
  history.find((record) => record.epoch === epoch)?.validationAuc ?? null;

/** Of the validation AUC over the trainings of each variant; null where there are fewer than two. */
export function validationSpreads(classifiers: Classifiers): PerVariant<Spread | null> {
  const spread = (variant: ClassifierVariant): Spread | null => {
    const aucs = trainingsOf(classifiers, variant)
      .map(validationAucOf)
      .filter((auc) => auc !== null);
    return aucs.length < 2 ? null : spreadOf(aucs);
  };
  return { real: spread('real'), synthetic: spread('synthetic') };
}
