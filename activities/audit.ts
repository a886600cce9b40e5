import {
  classSides,
  type DatasetManifest,
  type FilteredSetManifest,
  type LeakageAudit,
  type PerClass,
  type ShardRef,
} from '../contract/manifests.ts';
import { auditLeakage, type AuditedImage } from '../lib/dataset/leakage.ts';
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
  const { training } = dataset;
  return await auditLeakage({
    training: [...(await load(deps, training.train)), ...(await load(deps, training.validation))],
    test: await load(deps, dataset.test),
    synthetic: [...(await load(deps, filtered.training.train)), ...(await load(deps, filtered.training.validation))],
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
