import {
  classSides,
  type ClassSide,
  type DatasetManifest,
  type PerClass,
  type Split,
} from '../../contract/manifests.ts';
import type { Study } from '../../contract/study.ts';
import { DatasetError } from '../errors.ts';
import { createRng, shuffled } from '../random.ts';

export interface GroupedImage {
  readonly source: string;
  readonly side: ClassSide;
  readonly groupId: string;
}

export interface SplitInput {
  readonly images: readonly GroupedImage[];
  readonly split: Study['split'];
  readonly crossClass: Study['prepare']['crossClass'];
  readonly minImagesPerClass: number;
  readonly classes: Study['classes'];
  readonly seed: number;
}

export interface SplitResult {
  readonly assignment: ReadonlyMap<string, Split>;
  /** Images assigned to training that also validate, by source: none where validation is held out. */
  readonly alsoValidation: ReadonlySet<string>;
  readonly setAside: DatasetManifest['setAside'];
}

/**
 * Divides the images of each class by share into train, validation and test; a near-duplicate group goes to one split as a
 * whole (unit `group`), or every image on its own (unit `image`, which leaks and is reported). Shares are counts of images,
 * rounded, at least one each; a group that would overfill a split goes to the next. With `validationFrom` training, validation
 * is a share of the training images, which stay in training.
 * @throws DatasetError when a class has too few images left.
 */
export function splitGroups(input: SplitInput): SplitResult {
  const { images, split, crossClass, seed } = input;
  const setAside = crossClass === 'drop' ? findCrossClass(images) : [];
  const dropped = new Set(setAside.map(({ source }) => source));
  const usable = images.filter(({ source }) => !dropped.has(source)).sort((a, b) => (a.source < b.source ? -1 : 1));
  requireEnough(usable, setAside.length, input);
  const units = unitsOf(usable, split.unit);
  const assignment = new Map<string, Split>();
  const alsoValidation = new Set<string>();
  const heldOut = split.validationFrom !== 'training';
  for (const side of classSides) {
    const own = units.filter(([first]) => first?.side === side);
    const images = own.reduce((sum, unit) => sum + unit.length, 0);
    const room = { test: shareOf(images, split.test), validation: heldOut ? shareOf(images, split.validation) : 0 };
    for (const unit of shuffled(own, createRng(seed, `split/${side}`))) {
      const target: Split = unit.length <= room.test ? 'test' : unit.length <= room.validation ? 'validation' : 'train';
      if (target !== 'train') room[target] -= unit.length;
      for (const { source } of unit) assignment.set(source, target);
    }
    if (heldOut) continue;
    const training = own.filter(([first]) => first && assignment.get(first.source) === 'train');
    let left = shareOf(training.flat().length, split.validation);
    for (const unit of shuffled(training, createRng(seed, `split/${side}/validation`))) {
      if (unit.length > left) continue;
      left -= unit.length;
      for (const { source } of unit) alsoValidation.add(source);
    }
  }
  const result = { assignment, alsoValidation, setAside };
  requireAllSplits(usable, result, input);
  return result;
}

const shareOf = (images: number, share: number): number =>
  share === 0 ? 0 : Math.max(1, Math.floor(images * share + 0.5));

/** Images that shall not be parted, in order of their first source. */
function unitsOf(images: readonly GroupedImage[], unit: Study['split']['unit']): GroupedImage[][] {
  if (unit === 'image') return images.map((image) => [image]);
  const groups = new Map<string, GroupedImage[]>();
  for (const image of images) groups.set(image.groupId, [...(groups.get(image.groupId) ?? []), image]);
  return [...groups.values()];
}

function findCrossClass(images: readonly GroupedImage[]): DatasetManifest['setAside'] {
  const sides = new Map<string, Set<ClassSide>>();
  for (const { groupId, side } of images) sides.set(groupId, (sides.get(groupId) ?? new Set()).add(side));
  return images
    .filter(({ groupId }) => sides.get(groupId)?.size === 2)
    .map(({ source, groupId }) => ({ source, groupId, reason: 'near duplicate of an image of the other class' }))
    .sort((a, b) => (a.groupId === b.groupId ? (a.source < b.source ? -1 : 1) : a.groupId < b.groupId ? -1 : 1));
}

function requireEnough(
  usable: readonly GroupedImage[],
  setAside: number,
  { minImagesPerClass, classes, images }: SplitInput,
): void {
  for (const side of classSides) {
    const count = usable.filter((image) => image.side === side).length;
    const found = images.filter((image) => image.side === side).length;
    if (count < minImagesPerClass)
      throw new DatasetError(
        `class "${classes[side]}" has ${count} usable images (${found} before ${setAside} cross-class near duplicates ` +
          `were set aside), at least ${minImagesPerClass} are needed (prepare.minImagesPerClass); add images, or look at the rejected ones`,
      );
  }
}

function requireAllSplits(usable: readonly GroupedImage[], divided: Divided, { classes, split }: SplitInput): void {
  const splits: Split[] = ['train', ...(split.validation > 0 ? (['validation'] as const) : []), 'test'];
  for (const side of classSides) {
    const own = usable.filter((image) => image.side === side);
    for (const wanted of splits)
      if (!own.some(({ source }) => splitsOf(source, divided).includes(wanted)))
        throw new DatasetError(
          `class "${classes[side]}" has no image for ${wanted}: ${own.length} images in groups too large to divide by ` +
            `shares of ${split.validation} and ${split.test}; raise prepare.nearDuplicateNcc or add images`,
        );
  }
}

type Divided = Pick<SplitResult, 'assignment' | 'alsoValidation'>;

/** Where an image belongs: nowhere when it was set aside, in two splits when it trains and validates. */
export function splitsOf(source: string, { assignment, alsoValidation }: Divided): readonly Split[] {
  const split = assignment.get(source);
  if (split === undefined) return [];
  return alsoValidation.has(source) ? [split, 'validation'] : [split];
}

/** Images per split and class. */
export function countSplits(images: readonly GroupedImage[], divided: Divided): Record<Split, PerClass<number>> {
  const count = (split: Split, side: ClassSide): number =>
    images.filter((image) => image.side === side && splitsOf(image.source, divided).includes(split)).length;
  const perClass = (split: Split): PerClass<number> => ({
    negative: count(split, 'negative'),
    positive: count(split, 'positive'),
  });
  return { train: perClass('train'), validation: perClass('validation'), test: perClass('test') };
}

/** Images of a class in all splits, each once. */
export const countUsable = (
  { counts, validationFrom }: Pick<DatasetManifest, 'counts' | 'validationFrom'>,
  side: ClassSide,
): number => counts.train[side] + (validationFrom === 'training' ? 0 : counts.validation[side]) + counts.test[side];
