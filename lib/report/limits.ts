import { describeKept, isLossMeasured } from './filter-words.ts';
import { formatCount } from './format.ts';
import type { ReportInputs } from './report-inputs.ts';

/** What was not looked into by trying other trainings. */
function limitOfTrainings({ study }: ReportInputs): string {
  if (study.repeats === 1)
    return 'Every interval and test speaks of these two fixed models. Another training run would give other models; that variation was not measured.';
  const generators = study.generator.conditional === true ? 'one generator of both classes' : 'one generator per class';
  return `Every interval and test speaks of the two models of repeat 0, unless it says otherwise. The spread over ${study.repeats} trainings is that of the classifiers alone: one split, ${generators} and one synthetic set served them all.`;
}

/** What the filter kept, and with whose eyes its price was seen. */
function limitOfFilter(inputs: ReportInputs): string {
  const { filter } = inputs.study;
  const kept = describeKept(inputs.study);
  if (kept === null) return `The filter (${filter.rule}) let every candidate pass, whatever the classifier says of it.`;
  const seen = isLossMeasured(inputs)
    ? `is measured in the features of ${filter.rule === 'ensemble' ? 'one of them, repeat 0,' : 'that same classifier'} only`
    : 'could not be measured';
  return `The filter (${filter.rule}) keeps ${kept}; what the synthetic set lost in variety by this ${seen}.`;
}

/** What a reader must not conclude from this study. */
export function listLimits(inputs: ReportInputs): readonly string[] {
  const { study, dataset, generators, classifiers } = inputs;
  const metric = generators.negative.floor.name;
  const limits = [
    'For research only. Not for clinical use: no figure here says how a model would do on patients.',
    'Test images come from the same source as the training images; other devices, hospitals and patients were not tried.',
    limitOfTrainings(inputs),
    dataset.splitUnit === 'group'
      ? 'Groups are near-duplicate clusters found by image comparison, not patients: two views of one patient that look different can lie on both sides of the split.'
      : 'The split is by image, so images of one patient, and near duplicates, can lie on both sides of it.',
    study.evaluation.operatingPoint === 'half'
      ? 'The operating point is the fixed probability 0.5; it was not tuned, and predictive values at another prevalence were not computed.'
      : 'The operating point of each model was chosen on its own validation images, synthetic ones for the synthetic-trained model: on other images it need not keep its promise, the less the fewer they are. Predictive values at another prevalence were not computed.',
  ];
  if (dataset.validationFrom === 'training')
    limits.push(
      'Validation images were also trained on: every validation figure, and a temperature or operating point fitted on them, speaks of images that the models had learned.',
    );
  if (study.generator.resumeFrom !== undefined)
    limits.push(
      `${study.generator.conditional === true ? 'The generator' : 'The generators'} started from trained weights. What these were trained on is not known here: had it held images of this test set, the synthetic-trained model would be flattered.`,
    );
  if (classifiers.real.pretrained?.official === null)
    limits.push(
      'The classifiers started from supplied weights. What these were trained on is not known here: had it held images of this test set, both models would be flattered.',
    );
  limits.push(
    metric === 'fid'
      ? 'The snapshot metric fid is FID in the 2015-12-05 Inception network, each training image of a class taken once and unmirrored, covariances with divisor n - 1. Published values come from other numbers of images, usually 50,000 of each, and cannot be compared with it. The network was trained on photographs.'
      : `The snapshot metric ${metric} is a Frechet distance in the features of this study's own real-trained classifier. It is not FID, cannot be compared with published values, and is circular after filtering by the same classifier.`,
    'With few images a Frechet distance is biased upwards: compare it with its floor and between equal counts only.',
  );
  limits.push(
    limitOfFilter(inputs),
    'No search for copies of training images among the synthetic ones was made: do not publish synthetic images as anonymous on the strength of this report.',
    `Resolution is ${formatCount(study.image.resolution)} px and images were made square by ${study.image.fit === 'crop' ? 'cropping the centre: detail and margins were lost' : 'padding with black: detail was lost'}.`,
    'Figures are reproducible to the byte on the same software, device and settings (see provenance), and within tolerances elsewhere.',
  );
  return limits;
}
