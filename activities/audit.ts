import {
  classSides,
  type DatasetManifest,
  type FilteredSetManifest,
  type LeakageAudit,
  type PerClass,
  type ShardRef,
  type TrainingImages,
} from '../contract/manifests.ts';
import { auditLeakage, type AuditedImage, type TrainedOn } from '../lib/dataset/leakage.ts';
import { readShard } from '../lib/dataset/shard.ts';
import { thumbnail } from '../lib/image/perceptual-hash.ts';
import { decodePng } from '../lib/image/png.ts';
import { fetchShards, type LocalDeps } from './local-inputs.ts';

/** Reads every stored shard that a model was trained or tested on, and looks for test images among the others. */
export async function auditEvaluation(
  deps: LocalDeps,
  {
    dataset,
    filtered,
    ncc,
  }: { readonly dataset: DatasetManifest; readonly filtered: FilteredSetManifest; readonly ncc: number },
): Promise<LeakageAudit> {
  const trainedOn = async ({ train, validation }: TrainingImages): Promise<TrainedOn> => ({
    train: await load(deps, train),
    validation: await load(deps, validation),
  });
  return await auditLeakage({
    real: await trainedOn(dataset.training),
    test: await load(deps, dataset.test),
    synthetic: await trainedOn(filtered.training),
    ncc,
  });
}

async function load(deps: LocalDeps, shards: PerClass<readonly ShardRef[]>): Promise<AuditedImage[]> {
  const images: AuditedImage[] = [];
  for (const side of classSides)
    for (const shard of shards[side])
      for (const local of await fetchShards(deps, [shard]))
        for (const { entry, png } of await readShard(local))
          images.push({ entry, thumbnail: thumbnail(await decodePng(png)) });
  return images;
}
