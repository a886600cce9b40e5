import { join } from 'node:path';
import type { CpuActivities } from '../contract/activities.ts';
import {
  classSides,
  type ClassSide,
  type DatasetImport,
  type DatasetManifest,
  type IngestedShard,
  type PerClass,
  type RefTo,
  type ShardEntry,
  type ShardRef,
  type Split,
} from '../contract/manifests.ts';
import type { BlobRef } from '../contract/refs.ts';
import { ingestImages } from '../lib/dataset/ingest.ts';
import { groupNearDuplicates, type DuplicateGroup } from '../lib/dataset/near-duplicates.ts';
import { planIngest } from '../lib/dataset/plan-ingest.ts';
import { readShard } from '../lib/dataset/shard.ts';
import { countSplits, splitGroups, splitsOf, type GroupedImage, type SplitResult } from '../lib/dataset/split.ts';
import { describeRuntime } from '../lib/fingerprint.ts';
import { getBlob, getManifest, putBlob, putManifest } from '../lib/storage/blobs.ts';
import { beating, withWorkDir } from './activity-support.ts';
import { fetchShards, jsonLines, parseJsonLines, uploadShard, type LocalDeps } from './local-inputs.ts';
import { createShardWriter, type ShardWriter } from './shard-writer.ts';

/** From an imported folder to a data set: prepared, grouped and split. */
export function createPreparationActivities(
  deps: LocalDeps,
): Pick<CpuActivities, 'planIngest' | 'ingestShard' | 'groupNearDuplicates' | 'splitDataset'> {
  const { store, workDir } = deps;
  return {
    planIngest: async ({ study, source }) => {
      const ranges = planIngest((await getManifest<DatasetImport>(store, source)).files, {
        classes: study.classes,
        shardImages: study.prepare.shardImages,
      });
      return { shards: ranges.length, files: ranges.reduce((sum, { files }) => sum + files.length, 0) };
    },

    ingestShard: async ({ study, source, shard }) =>
      await beating(
        async (details) =>
          await withWorkDir(workDir, async (dir) => {
            const { files } = await getManifest<DatasetImport>(store, source);
            const range = planIngest(files, {
              classes: study.classes,
              shardImages: study.prepare.shardImages,
            })[shard];
            if (!range) throw new RangeError(`ingest shard ${shard} does not exist`);
            const ingested = await ingestImages({
              sources: range.files.map(({ path, blob }) => ({
                path,
                side: range.side,
                bytes: () => getBlob(store, blob),
              })),
              image: study.image,
              minSourcePx: study.prepare.minSourcePx,
              tarFile: join(dir, 'images.tar'),
              indexFile: join(dir, 'images.jsonl'),
              onImage: (done) => details({ done, total: range.files.length }),
            });
            const { signatures, rejected } = ingested;
            const manifest = {
              kind: 'ingestedShard' as const,
              shard: await uploadShard(store, ingested.shard),
              signatures,
              rejected,
            };
            return await putManifest<IngestedShard>(store, manifest);
          }),
      ),

    groupNearDuplicates: async ({ study, shards }) =>
      await beating(async (details) => {
        const signatures: IngestedShard['signatures'][number][] = [];
        for (const ref of shards) signatures.push(...(await getManifest<IngestedShard>(store, ref)).signatures);
        const groups = await groupNearDuplicates(signatures, {
          ncc: study.prepare.nearDuplicateNcc,
          hashDistance: study.prepare.hashDistance,
          onImage: (done) => details({ done, total: signatures.length }),
        });
        return await putBlob(store, jsonLines(groups));
      }),

    splitDataset: async (input) =>
      await beating(async () => await withWorkDir(workDir, async (dir) => await splitDataset(deps, input, dir))),
  };
}

type SplitInput = Parameters<CpuActivities['splitDataset']>[0];

async function splitDataset(
  deps: LocalDeps,
  { study, shards, groups: groupsRef }: SplitInput,
  dir: string,
): Promise<RefTo<DatasetManifest>> {
  const { store } = deps;
  const ingested: IngestedShard[] = [];
  for (const ref of shards) ingested.push(await getManifest<IngestedShard>(store, ref));
  const groups = await readGroups(deps, groupsRef);
  const images = ingested.flatMap(({ signatures }) =>
    signatures.map(({ source, side }): GroupedImage => ({ source, side, groupId: groups.of(source) })),
  );
  const divided = splitGroups({
    images,
    split: study.split,
    crossClass: study.prepare.crossClass,
    minImagesPerClass: study.prepare.minImagesPerClass,
    classes: study.classes,
    seed: study.seed,
  });
  const splits = await writeSplits(deps, {
    ingested,
    divided,
    groupOf: groups.of,
    dir,
    shardImages: study.prepare.shardImages,
  });
  return await putManifest<DatasetManifest>(store, {
    kind: 'dataset',
    name: study.dataset.name,
    classes: study.classes,
    ignored: [...study.ignore].sort(),
    image: study.image,
    splitUnit: study.split.unit,
    ...(study.split.validationFrom === 'training' && { validationFrom: study.split.validationFrom }),
    training: { train: splits.train, validation: splits.validation },
    test: splits.test,
    counts: countSplits(images, divided),
    groups: groups.all.length,
    nearDuplicateGroups: groups.all
      .filter(({ sources }) => sources.length > 1)
      .sort((a, b) => b.sources.length - a.sources.length || (a.groupId < b.groupId ? -1 : 1)),
    setAside: divided.setAside,
    rejected: ingested.flatMap(({ rejected }) => rejected),
    fingerprint: describeRuntime(),
  });
}

async function readGroups(
  { store }: LocalDeps,
  ref: BlobRef,
): Promise<{ readonly all: DuplicateGroup[]; readonly of: (source: string) => string }> {
  const all = parseJsonLines<DuplicateGroup>(await getBlob(store, ref));
  const byGroup = new Map(all.flatMap(({ groupId, sources }) => sources.map((source) => [source, groupId] as const)));
  const of = (source: string): string => {
    const groupId = byGroup.get(source);
    if (groupId === undefined) throw new Error(`${source} is in no near-duplicate group`);
    return groupId;
  };
  return { all, of };
}

interface WriteSplitsInput {
  readonly ingested: readonly IngestedShard[];
  readonly divided: SplitResult;
  readonly groupOf: (source: string) => string;
  readonly dir: string;
  readonly shardImages: number;
}

/** Copies every image from its ingest shard to the shards of its splits and class, in the order of the sources. */
async function writeSplits(
  deps: LocalDeps,
  { ingested, divided, groupOf, dir, shardImages }: WriteSplitsInput,
): Promise<Record<Split, PerClass<readonly ShardRef[]>>> {
  const writer = (split: Split, side: ClassSide): ShardWriter =>
    createShardWriter(deps, { dir, name: `${split}-${side}`, shardImages });
  const perClass = (split: Split): Record<ClassSide, ShardWriter> => ({
    negative: writer(split, 'negative'),
    positive: writer(split, 'positive'),
  });
  const writers = { train: perClass('train'), validation: perClass('validation'), test: perClass('test') };
  for (const { shard } of ingested)
    for (const local of await fetchShards(deps, [shard]))
      for (const { entry, png } of await readShard(local)) {
        const { member, side, source } = entry;
        const groupId = groupOf(sourceOf(entry));
        for (const split of splitsOf(sourceOf(entry), divided))
          await writers[split][side].add({ entry: { member, side, source, groupId, seed: null }, png });
      }
  const finish = async (split: Split): Promise<PerClass<readonly ShardRef[]>> => {
    const [negative, positive] = classSides.map((side) => writers[split][side].finish());
    return { negative: (await negative) ?? [], positive: (await positive) ?? [] };
  };
  return { train: await finish('train'), validation: await finish('validation'), test: await finish('test') };
}

function sourceOf({ source, member }: ShardEntry): string {
  if (source === null) throw new Error(`${member} has no source: it is not a real image`);
  return source;
}
