import { classSides, type ClassifierManifest, type GeneratorManifest } from '../../contract/manifests.ts';
import type { Study } from '../../contract/study.ts';
import { planPhases } from '../classifier/phases.ts';
import { describeRule } from '../synthesis/filter-rules.ts';
import { formatCount, formatKimg, formatNumber, formatPercent, formatUnit } from './format.ts';
import { markup, type SafeHtml } from './html.ts';
import { folded, hash, section, table } from './page-parts.ts';
import { validationPart } from './page-repeats.ts';
import type { ReportInputs } from './report-inputs.ts';
import { validationAucOf } from './repeats.ts';

/** Where transfer learning started, and what it kept; nothing to say of random weights. */
function describeStart({ start, config }: GeneratorManifest): string {
  if (start === undefined) return 'random weights';
  const networks = start.discriminator === 'taken' ? 'G and D' : 'G; D from random weights, which the file had none of';
  const frozen = (config.freezeD ?? 0) > 0 ? `; ${config.freezeD} blocks of D kept as they were` : '';
  return `${networks} of ${start.sha256.slice(0, 12)}${frozen}`;
}

/** Which R1 weight a sweep chose, and by what; nothing to say of one that the study file gives. */
function describeSweep({ gammaSweep }: GeneratorManifest): string {
  if (gammaSweep === undefined) return 'as the study file gives it';
  const { kimg, trials, chosen } = gammaSweep;
  const values = trials.map(({ gamma, metric, failure }) => {
    const value = metric === null ? (failure ?? 'not measured') : formatNumber(metric.value);
    return `${gamma}: ${value}`;
  });
  return `${chosen}, with the lowest metric after ${kimg} kimg each (${values.join('; ')})`;
}

/** What was trained, for how long, and how the snapshots were chosen. */
export function generatorsSection(inputs: ReportInputs): SafeHtml {
  const { study, generators, synthetic } = inputs;
  const { negative, positive } = generators;
  const { floor } = negative;
  const row = (name: string, pick: (side: 'negative' | 'positive') => string): string[] => [
    name,
    ...classSides.map(pick),
  ];
  return section(
    'generators',
    'Generators',
    markup`<p>${negative.config.conditional === true ? 'One conditional StyleGAN2 for both classes, each with its own snapshot' : 'One StyleGAN2 per class'} (config-${negative.config.config}) at ${study.image.resolution} px, ${formatCount(negative.parameters.g)} parameters in G and ${formatCount(negative.parameters.d)} in D. Snapshots were compared by <strong>${floor.name}</strong> (features of ${floor.name === 'fid' ? 'the 2015-12-05 Inception network' : "this study's real-trained classifier"}, weights ${hash(floor.weights)}); the lowest was chosen unless a person approved another. The floor is the same distance between two halves of the training images. Few images push any such distance upwards, and the halves are fewer than what a snapshot is measured on, so a snapshot may lie somewhat below the floor.</p>`,
    table({
      label: 'Generators',
      head: ['', study.classes.negative, study.classes.positive],
      rows: [
        row('Training images', (side) => formatCount(generators[side].images)),
        ...(negative.start === undefined && positive.start === undefined
          ? []
          : [row('Started from', (side) => describeStart(generators[side]))]),
        ...(negative.gammaSweep === undefined && positive.gammaSweep === undefined
          ? []
          : [row('R1 gamma', (side) => describeSweep(generators[side]))]),
        row('Shown to D', (side) => formatKimg(generators[side].nimg)),
        row('Snapshots', (side) => String(generators[side].snapshots.length)),
        row('Chosen snapshot', (side) => formatKimg(synthetic[side].snapshot.nimg)),
        row('Chosen by', (side) => (synthetic[side].chosenBy === 'lowest' ? 'lowest metric' : 'a person')),
        row(`${floor.name} of it`, (side) => {
          const { metric } = synthetic[side].snapshot;
          return metric === null
            ? 'not measured'
            : `${formatNumber(metric.value)} (${formatCount(metric.reals)} reals, ${formatCount(metric.fakes)} fakes)`;
        }),
        row('Floor', (side) => {
          const own = generators[side].floor;
          return `${formatNumber(own.value)} (${formatCount(own.reals)} against ${formatCount(own.fakes)} reals)`;
        }),
        row('Ended early', (side) => generators[side].stopped ?? 'no'),
        row('Truncation psi of the set', (side) => String(synthetic[side].psi)),
      ],
    }),
    positive.snapshots.length + negative.snapshots.length === 0
      ? null
      : folded(
          'All snapshots',
          table({
            label: 'All snapshots',
            head: ['Class', 'Shown to D', floor.name, 'Weights'],
            rows: classSides.flatMap((side) =>
              generators[side].snapshots.map(({ nimg, metric, weights }) => [
                study.classes[side],
                formatKimg(nimg),
                metric === null ? 'not measured' : formatNumber(metric.value),
                hash(weights.sha256),
              ]),
            ),
          }),
        ),
  );
}

/** Whose probability has to pass. */
const describeJudge = ({ filter, repeats }: Study): string =>
  filter.rule === 'ensemble'
    ? `the mean probability of the ${repeats} real-trained classifiers (ensemble)`
    : 'the real-trained classifier';

/** How many fakes the real-trained classifier accepted, and how many were drawn. */
export function filterSection({ study, filtered }: ReportInputs): SafeHtml {
  return section(
    'filter',
    'Filter',
    markup`<p>Rule: ${describeRule(filtered.filter)}, by ${describeJudge(study)}. ${
      filtered.degenerate === null
        ? 'As many images were kept of one class as of the other, drawn with a seed.'
        : markup`<strong class="bad">${filtered.degenerate}</strong>`
    }</p>`,
    table({
      label: 'Filter',
      head: ['Class', 'Candidates', 'Accepted', 'Acceptance', 'Kept', 'Search ended by'],
      rows: classSides.map((side) => {
        const { candidates, accepted, kept, ended } = filtered.classes[side];
        return [
          study.classes[side],
          formatCount(candidates),
          formatCount(accepted),
          candidates === 0 ? '-' : formatPercent(accepted / candidates),
          formatCount(kept),
          ended,
        ];
      }),
    }),
    lossTable({ study, filtered }),
  );
}

/** Equal numbers of fakes before and after, beside the training reals. */
function lossTable({ study, filtered }: Pick<ReportInputs, 'study' | 'filtered'>): SafeHtml {
  const rows = classSides.flatMap((side) => {
    const { loss } = filtered.classes[side];
    if (loss === null) return [];
    return (['before', 'after'] as const).map((when) => [
      `${study.classes[side]}, ${when} the filter`,
      formatCount(loss.fakes),
      formatNumber(loss[when].frechet),
      formatNumber(loss[when].kernel),
      formatPercent(loss[when].recall),
      formatPercent(loss[when].coverage),
    ]);
  });
  if (rows.length === 0)
    return markup`<p>What the filter cost in variety could not be measured: of neither class are there six kept images and six training images.</p>`;
  return markup`<p>What the filter cost: equally many fakes before it and of those it kept, beside the training images of the class. Recall is the share of training images among the fakes' neighbourhoods, coverage the share with a fake in their own. All of it is seen with the eyes of ${study.filter.rule === 'ensemble' ? 'repeat 0, one of the classifiers' : 'the classifier'} that filtered, which flatters what ${study.filter.rule === 'ensemble' ? 'they' : 'it'} kept.</p>${table(
    {
      label: 'What the filter cost',
      head: ['Fakes', 'Images', 'Frechet distance', 'Kernel distance', 'Recall', 'Coverage'],
      rows,
    },
  )}`;
}

function classifierColumn(manifest: ClassifierManifest | null, side: 'train' | 'validation'): string {
  if (manifest === null) return '-';
  const { negative, positive } = manifest.images[side];
  return `${formatCount(negative)} + ${formatCount(positive)}`;
}

function originOf({ pretrained }: ClassifierManifest): string {
  if (pretrained === null) return 'from random initial weights';
  const { format, sha256, official } = pretrained;
  return official === null
    ? `from supplied weights (${format}, sha256 ${sha256}; no file that Keras publishes)`
    : `from ${official}`;
}

const beforeAndAfter = (before: number, after: number): string => `${formatUnit(before)}, ${formatUnit(after)}`;

function calibrationNote(manifest: ClassifierManifest | null): string | null {
  if (manifest === null || manifest.calibration.note === null) return null;
  return ` The ${manifest.variant}-trained model has 1: ${manifest.calibration.note}.`;
}

/** When which layers were trained; nothing to say of a single phase. */
function describePhases({ config, history }: ClassifierManifest): string {
  const [first, second] = planPhases(config);
  if (first === undefined || second === undefined) return '';
  if (history.length <= second.fromEpoch) return ` Only the head was trained, at a rate of ${first.learningRate}.`;
  const then = second.freeze === 'none' ? 'the whole network' : 'it and the top of the trunk, from mixed_7a on,';
  return ` The head was trained alone for ${second.fromEpoch} epochs at a rate of ${first.learningRate}, then ${then} at ${second.learningRate}; the normalisation kept the statistics that the weights came with.`;
}

/** Both trainings of the same network. */
export function classifiersSection(inputs: ReportInputs): SafeHtml {
  const { classifiers, calibrationGaps, study } = inputs;
  const both = [classifiers.real, classifiers.synthetic];
  const row = (name: string, pick: (manifest: ClassifierManifest) => string): string[] => [
    name,
    ...both.map((manifest) => (manifest === null ? '-' : pick(manifest))),
  ];
  const { real } = classifiers;
  return section(
    'classifiers',
    'Classifiers',
    markup`<p>InceptionResNetV2 with ${formatCount(real.parameters)} parameters, ${real.inputSize} px input, ${originOf(real)}; the same network, settings and schedule for both.${describePhases(real)}</p>`,
    table({
      label: 'Classifiers',
      head: ['', 'Trained on real images', 'Trained on synthetic images'],
      rows: [
        [
          `Training images (${study.classes.negative} + ${study.classes.positive})`,
          ...both.map((manifest) => classifierColumn(manifest, 'train')),
        ],
        ['Validation images', ...both.map((manifest) => classifierColumn(manifest, 'validation'))],
        row('Epochs run', ({ history }) => String(history.length)),
        row('Epoch kept', ({ epoch }) => String(epoch)),
        row('Validation AUC there', (manifest) => {
          const auc = validationAucOf(manifest);
          return auc === null ? '-' : formatUnit(auc);
        }),
        row('Temperature of its probabilities', ({ config, calibration }) =>
          config.calibration === 'none' ? 'none, as the study file asks' : formatNumber(calibration.temperature),
        ),
        row('Brier score on validation, without and with it', ({ calibration: { before, after } }) =>
          beforeAndAfter(before.brier, after.brier),
        ),
        row('Log loss on validation (nats), without and with it', ({ calibration: { before, after } }) =>
          beforeAndAfter(before.logLoss, after.logLoss),
        ),
        ...(['equal-width', 'equal-mass'] as const).map((binning) => [
          `Expected calibration error on validation (10 ${binning} bins), without and with it`,
          ...[calibrationGaps.real, calibrationGaps.synthetic].map((gaps) =>
            gaps === null ? '-' : beforeAndAfter(gaps[binning].before, gaps[binning].after),
          ),
        ]),
        ['Weights', ...both.map((manifest) => (manifest === null ? '-' : hash(manifest.weights.sha256)))],
      ],
    }),
    markup`<p>A temperature divides the log-odds of a model before they become probabilities. It is fitted on the validation images of that model, never on the test set, and changes neither the order of images, hence no AUC, nor which class is likelier.${both.map(calibrationNote)}</p>`,
    validationPart(inputs),
  );
}
