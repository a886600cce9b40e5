import { classSides, type ClassSide, type Split } from '../../contract/manifests.ts';
import { countUsable } from '../dataset/split.ts';
import { formatCount, plural } from './format.ts';
import { markup, type SafeHtml } from './html.ts';
import { folded, section, shortList, table } from './page-parts.ts';
import type { ReportInputs } from './report-inputs.ts';

const splits: readonly (readonly [Split, string])[] = [
  ['train', 'Training'],
  ['validation', 'Validation'],
  ['test', 'Test'],
];

/** Where the images came from, what was left out and why, and how they were split. */
export function datasetSection({ dataset, study }: ReportInputs): SafeHtml {
  const { counts, rejected, setAside, nearDuplicateGroups, classes } = dataset;
  const total = (side: ClassSide): number => countUsable(dataset, side);
  const inDuplicates = nearDuplicateGroups.reduce((all, group) => all + group.sources.length, 0);
  const used = total('negative') + total('positive');
  const shape = `${dataset.image.resolution} x ${dataset.image.resolution} px, ${dataset.image.channels === 1 ? 'grey' : 'RGB'}`;
  return section(
    'dataset',
    'Dataset',
    markup`<p>Dataset <strong>${dataset.name}</strong>: ${plural(used, 'usable image')} (${shape}, made square by ${dataset.image.fit === 'crop' ? 'cropping the centre' : 'padding'}), ${plural(rejected.length, 'file')} rejected, ${plural(setAside.length, 'image')} set aside as duplicates across classes. ${plural(dataset.groups, 'group')}; ${formatCount(inDuplicates)} images lie in ${plural(nearDuplicateGroups.length, 'near-duplicate group')} (normalised cross-correlation of at least ${study.prepare.nearDuplicateNcc}, mirrored or not). Split by <strong>${dataset.splitUnit}</strong>.${dataset.validationFrom === 'training' ? ' The validation images are drawn from the training images and stay among them: they were trained on, too, and count once in the total.' : ''}</p>`,
    table({
      label: 'Images per split and class',
      head: ['Split', ...classSides.map((side) => `${classes[side]} (${side})`), 'Total'],
      rows: [
        ...splits.map(([split, title]) => [
          title,
          ...classSides.map((side) => formatCount(counts[split][side])),
          formatCount(counts[split].negative + counts[split].positive),
        ]),
        ['All', ...classSides.map((side) => formatCount(total(side))), formatCount(used)],
      ],
    }),
    dataset.ignored.length === 0
      ? null
      : markup`<p>Folders left out by the study file: ${dataset.ignored.join(', ')}.</p>`,
    rejected.length === 0
      ? null
      : folded(
          `Rejected files (${formatCount(rejected.length)})`,
          shortList(rejected.map(({ source, reason }) => `${source}: ${reason}`)),
        ),
    setAside.length === 0
      ? null
      : folded(
          `Set aside (${formatCount(setAside.length)})`,
          shortList(setAside.map(({ source, groupId, reason }) => `${source} (group ${groupId}): ${reason}`)),
        ),
    nearDuplicateGroups.length === 0
      ? null
      : folded(
          `Near-duplicate groups (${formatCount(nearDuplicateGroups.length)})`,
          shortList(nearDuplicateGroups.map(({ groupId, sources }) => `${groupId}: ${sources.join(', ')}`)),
        ),
  );
}
