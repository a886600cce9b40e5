import { mkdir, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TrainClassifierTask } from '../contract/engine.ts';
import { classSides, type PerClass } from '../contract/manifests.ts';
import { defaults } from '../contract/presets.ts';
import { ingestImages, type SourceImage } from '../lib/dataset/ingest.ts';
import { groupNearDuplicates } from '../lib/dataset/near-duplicates.ts';
import { splitGroups } from '../lib/dataset/split.ts';
import type { ImagesOptions } from './classifier-config.ts';

export type ImageSets = Pick<TrainClassifierTask, 'train' | 'validation'>;

/**
 * Shards of the images in `folder`, split as a study splits them, groups of near duplicates together; the test part is set
 * aside and never read.
 */
export async function prepareSets(
  options: Pick<ImagesOptions, 'negative' | 'positive'> & { readonly resolution: number },
  folder: string,
  dir: string,
): Promise<ImageSets> {
  const image = { resolution: options.resolution, channels: 1, fit: 'crop' } as const;
  const sources: SourceImage[] = [];
  for (const side of classSides)
    for (const name of (await readdir(join(folder, options[side]))).sort())
      sources.push({
        path: `${options[side]}/${name}`,
        side,
        bytes: () => readFile(join(folder, options[side], name)),
      });
  await mkdir(dir, { recursive: true });
  const ingest = (chosen: readonly SourceImage[], name: string) =>
    ingestImages({
      ...{ tarFile: join(dir, `${name}.tar`), indexFile: join(dir, `${name}.jsonl`) },
      ...{ sources: chosen, image, minSourcePx: defaults.prepare.minSourcePx },
    });
  const { signatures } = await ingest(sources, 'all');
  const { nearDuplicateNcc, hashDistance, crossClass } = defaults.prepare;
  const groups = await groupNearDuplicates(signatures, { ncc: nearDuplicateNcc, hashDistance });
  const groupOf = new Map(
    groups.flatMap(({ groupId, sources: own }) => own.map((source) => [source, groupId] as const)),
  );
  const { assignment } = splitGroups({
    images: signatures.map(({ source, side }) => ({ source, side, groupId: groupOf.get(source) ?? source })),
    ...{ split: defaults.split, crossClass, minImagesPerClass: 20, seed: 1 },
    classes: { negative: options.negative, positive: options.positive },
  });
  const shardsOf = async (split: 'train' | 'validation'): Promise<ImageSets['train']> => {
    const of = async (side: keyof PerClass<unknown>) => {
      const own = sources.filter((source) => source.side === side && assignment.get(source.path) === split);
      return [(await ingest(own, `${split}-${side}`)).shard];
    };
    return { negative: await of('negative'), positive: await of('positive') };
  };
  return { train: await shardsOf('train'), validation: await shardsOf('validation') };
}

export const countsOf = async ({ train, validation }: ImageSets): Promise<Record<string, number>> => {
  const lines = async ([shard]: ImageSets['train']['negative']): Promise<number> =>
    (await readFile(shard?.indexFile ?? '', 'utf8')).trim().split('\n').length;
  return {
    trainNegative: await lines(train.negative),
    trainPositive: await lines(train.positive),
    validationNegative: await lines(validation.negative),
    validationPositive: await lines(validation.positive),
  };
};
