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
  readonly setAside: DatasetManifest['setAside'];
}

/**
 * Divides the images of each class by share into train, validation and test; a near-duplicate group goes to one split as a
 * whole (unit `group`), or every image on its own (unit `image`, which leaks and is reported). Shares are counts of images,
 * rounded, at least one each; a group that would overfill a split goes to the next.
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
  for (const side of classSides) {
    const own = units.filter(([first]) => first?.side === side);
    const images = own.reduce((sum, unit) => sum + unit.length, 0);
    const room = { test: shareOf(images, split.test), validation: shareOf(images, split.validation) };
    for (const unit of shuffled(own, createRng(seed, `split/${side}`))) {
      const target: Split = unit.length <= room.test ? 'test' : unit.length <= room.validation ? 'validation' : 'train';
      if (target !== 'train') room[target] -= unit.length;
      for (const { source } of unit) assignment.set(source, target);
    }
  }
  requireAllSplits(usable, assignment, input);
  return { assignment, setAside };
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

function requireAllSplits(
  usable: readonly GroupedImage[],
  assignment: ReadonlyMap<string, Split>,
  { classes, split }: SplitInput,
): void {
  const splits: Split[] = ['train', ...(split.validation > 0 ? (['validation'] as const) : []), 'test'];
  for (const side of classSides) {
    const own = usable.filter((image) => image.side === side);
    for (const wanted of splits)
      if (!own.some(({ source }) => assignment.get(source) === wanted))
        throw new DatasetError(
          `class "${classes[side]}" has no image for ${wanted}: ${own.length} images in groups too large to divide by ` +
            `shares of ${split.validation} and ${split.test}; raise prepare.nearDuplicateNcc or add images`,
        );
  }
}

/** Images per split and class. */
export function countSplits(
  images: readonly GroupedImage[],
  assignment: ReadonlyMap<string, Split>,
): Record<Split, PerClass<number>> {
  const count = (split: Split, side: ClassSide): number =>
    images.filter((image) => image.side === side && assignment.get(image.source) === split).length;
  const perClass = (split: Split): PerClass<number> => ({
    negative: count(split, 'negative'),
    positive: count(split, 'positive'),
  });
  return { train: perClass('train'), validation: perClass('validation'), test: perClass('test') };
}
