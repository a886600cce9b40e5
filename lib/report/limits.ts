import type { ReportInputs } from './report-inputs.ts';
import { formatCount } from './format.ts';

/** What a reader must not conclude from this study. */
export function listLimits(inputs: ReportInputs): readonly string[] {
  const { study, dataset, generators } = inputs;
  const metric = generators.negative.floor.name;
  const limits = [
    'For research only. Not for clinical use: no figure here says how a model would do on patients.',
    'Test images come from the same source as the training images; other devices, hospitals and patients were not tried.',
    study.repeats === 1
      ? 'Every interval and test speaks of these two fixed models. Another training run would give other models; that variation was not measured.'
      : `Every interval and test speaks of the two models of repeat 0, unless it says otherwise. The spread over ${study.repeats} trainings is that of the classifiers alone: one split, one generator per class and one synthetic set served them all.`,
    dataset.splitUnit === 'group'
      ? 'Groups are near-duplicate clusters found by image comparison, not patients: two views of one patient that look different can lie on both sides of the split.'
      : 'The split is by image, so images of one patient, and near duplicates, can lie on both sides of it.',
    study.evaluation.operatingPoint === 'half'
      ? 'The operating point is the fixed probability 0.5; it was not tuned, and predictive values at another prevalence were not computed.'
      : 'The operating point of each model was chosen on its own validation images, which are few, and synthetic for the synthetic-trained model: on other images it need not keep its promise. Predictive values at another prevalence were not computed.',
  ];
  if (dataset.validationFrom === 'training')
    limits.push(
      'Validation images were also trained on: every validation figure, and a temperature or operating point fitted on them, speaks of images that the models had learned.',
    );
  if (study.generator.resumeFrom !== undefined)
    limits.push(
      'The generators started from trained weights. What these were trained on is not known here: had it held images of this test set, the synthetic-trained model would be flattered.',
    );
  limits.push(
    metric === 'fid'
      ? 'The snapshot metric fid is FID in the 2015-12-05 Inception network, each training image of a class taken once and unmirrored, covariances with divisor n - 1. Published values come from other numbers of images, usually 50,000 of each, and cannot be compared with it. The network was trained on photographs.'
      : `The snapshot metric ${metric} is a Frechet distance in the features of this study's own real-trained classifier. It is not FID, cannot be compared with published values, and is circular after filtering by the same classifier.`,
    'With few images a Frechet distance is biased upwards: compare it with its floor and between equal counts only.',
  );
  limits.push(
    study.filter.rule === 'ensemble'
      ? 'The filter (ensemble) keeps images that the real-trained classifiers recognise together; what the synthetic set lost in variety by this is measured in the features of one of them, repeat 0, only.'
      : `The filter (${study.filter.rule}) keeps images that the real-trained classifier recognises; what the synthetic set lost in variety by this is measured in the features of that same classifier only.`,
    'No search for copies of training images among the synthetic ones was made: do not publish synthetic images as anonymous on the strength of this report.',
    `Resolution is ${formatCount(study.image.resolution)} px and images were made square by ${study.image.fit === 'crop' ? 'cropping the centre' : 'padding'}: detail and margins were lost.`,
    'Figures are reproducible to the byte on the same software, device and settings (see provenance), and within tolerances elsewhere.',
  );
  return limits;
}
