import { describeKept, isLossMeasured } from './filter-words.ts';
import type { ReportInputs } from './report-inputs.ts';

/**
 * The known faults of the reference recipe that preset `nakata` repeats step for step. Each is looked for in what this
 * study did, not in its preset's name, so that a changed setting clears it and a `sound` study cannot hide one.
 */
export interface RecipeFault {
  readonly name: string;
  readonly present: boolean;
  /** What it means here, present or not. */
  readonly detail: string;
}

type Judge = (inputs: ReportInputs) => Omit<RecipeFault, 'name'>;

const validationOnTraining: Judge = ({ dataset }) => {
  const present = dataset.validationFrom === 'training';
  return {
    present,
    detail: present
      ? 'The classifiers also trained on their validation images, so early stopping and the learning rate followed images that they had learned by heart, and every validation figure is flattered.'
      : 'Validation images were never trained on.',
  };
};

const lastEpochKept: Judge = ({ study }) => ({
  present: !study.classifier.restoreBest,
  detail: study.classifier.restoreBest
    ? 'The weights of the best validation epoch were kept.'
    : `The weights of the last epoch were kept, ${study.classifier.earlyStoppingPatience === 0 ? 'however far' : 'up to the stopping patience'} past the best one.`,
});

const inputRange: Judge = ({ study }) => ({
  present: study.classifier.inputScaling === 'unit',
  detail:
    study.classifier.inputScaling === 'unit'
      ? 'Pixels were scaled to 0..1, not to the -1..1 that the published network was trained on.'
      : 'Pixels were scaled to -1..1, as the published network expects.',
});

const imageLevelSplit: Judge = ({ dataset }) => ({
  present: dataset.splitUnit === 'image',
  detail:
    dataset.splitUnit === 'image'
      ? 'Images were split one by one: near duplicates and images of one patient can lie on both sides, which flatters every test figure.'
      : 'Groups of near duplicates were kept on one side of the split.',
});

const crossClassKept: Judge = ({ study }) => ({
  present: study.prepare.crossClass === 'keep',
  detail:
    study.prepare.crossClass === 'keep'
      ? 'Near duplicates that carry both labels were kept.'
      : 'Near duplicates that carry both labels were set aside.',
});

const singleRun: Judge = ({ study }) => ({
  present: study.repeats === 1,
  detail:
    study.repeats === 1
      ? 'Each model was trained once, with one seed. The seed is fixed and intervals are given, but they hold no training-to-training variation.'
      : `Each classifier was trained ${study.repeats} times, and the spread is given. ${study.generator.conditional === true ? 'The generator was' : 'The generators were'} not trained again.`,
});

const psiMismatch: Judge = ({ study }) => ({
  present: study.synthesis.psi !== 1,
  detail:
    study.synthesis.psi === 1
      ? 'Snapshots were compared at the truncation used for the synthetic set.'
      : `Snapshots were compared without truncation (psi 1), the synthetic set was drawn at psi ${study.synthesis.psi}: the chosen snapshot need not be the best there.`,
});

const easyImages: Judge = (inputs) => {
  const kept = describeKept(inputs.study);
  if (kept === null) return { present: false, detail: 'The filter let every candidate pass.' };
  const lost = isLossMeasured(inputs) ? 'is in the section on the filter' : 'could not be measured';
  return {
    present: true,
    detail: `The filter keeps ${kept}: easy ones. The coverage lost by this ${lost}; the reference never measured it.`,
  };
};

const randomTrunk: Judge = ({ study, classifiers }) => {
  const present = study.classifier.freeze !== 'none' && classifiers.real.pretrained === null;
  return {
    present,
    detail: present
      ? 'Most layers were frozen at random initial weights, because no pretrained weights were supplied. The reference used ImageNet weights.'
      : 'No layer was frozen at random weights.',
  };
};

const judges: readonly (readonly [name: string, judge: Judge])[] = [
  ['validation on training images', validationOnTraining],
  ['last epoch instead of the best', lastEpochKept],
  ['input range differs from pretraining', inputRange],
  ['split by image', imageLevelSplit],
  ['duplicates under both labels', crossClassKept],
  ['one run', singleRun],
  ['snapshot chosen at another psi', psiMismatch],
  ['filter keeps easy images', easyImages],
  ['random frozen trunk', randomTrunk],
];

/** Every known fault of the reference recipe, with whether this study has it. */
export function findRecipeFaults(inputs: ReportInputs): readonly RecipeFault[] {
  return judges.map(([name, judge]) => ({ name, ...judge(inputs) }));
}
