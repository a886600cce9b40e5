import type { ClassifierModel, GeneratorModel, LocalShard } from '../contract/engine.ts';
import type { ClassifierManifest, ClassSide, RefTo, ShardRef } from '../contract/manifests.ts';
import type { BlobRef } from '../contract/refs.ts';
import type { Study } from '../contract/study.ts';
import { getManifest, putBlobFile } from '../lib/storage/blobs.ts';
import type { BlobCache } from '../lib/storage/local-blobs.ts';
import type { ObjectStore } from '../lib/storage/object-store.ts';

/** Between the store and the files that the engine process and the preparation work on. */

export interface LocalDeps {
  readonly store: ObjectStore;
  /** Verified copies of blobs on this machine. */
  readonly cache: BlobCache;
  readonly workDir: string;
}

export async function fetchShards({ store, cache }: LocalDeps, shards: readonly ShardRef[]): Promise<LocalShard[]> {
  const local: LocalShard[] = [];
  for (const { tar, index } of shards)
    local.push({ tarFile: await cache.fetch(store, tar), indexFile: await cache.fetch(store, index) });
  return local;
}

export async function uploadShard(
  store: ObjectStore,
  shard: LocalShard & { readonly images: number },
): Promise<ShardRef> {
  const tar = await putBlobFile(store, shard.tarFile);
  return { tar, index: await putBlobFile(store, shard.indexFile), images: shard.images };
}

export async function fetchClassifier(
  { store, cache }: LocalDeps,
  classifier: RefTo<ClassifierManifest>,
  channels: 1 | 3,
): Promise<ClassifierModel> {
  const { config, inputSize, weights, calibration } = await getManifest<ClassifierManifest>(store, classifier);
  const { temperature } = calibration;
  return { config, inputSize, channels, temperature, weightsFile: await cache.fetch(store, weights) };
}

export async function fetchGenerator(
  { store, cache }: LocalDeps,
  { generator, image }: Study,
  { weights, side }: { readonly weights: BlobRef; readonly side: ClassSide },
): Promise<GeneratorModel> {
  const label = generator.conditional === true ? { label: side } : {};
  return { config: generator, image, weightsFile: await cache.fetch(store, weights), ...label };
}

export const jsonLines = (rows: readonly unknown[]): Buffer =>
  Buffer.from(rows.map((row) => `${JSON.stringify(row)}\n`).join(''));

/** The caller knows what the lines are: it wrote them through {@link jsonLines}. */
export const parseJsonLines = <T>(bytes: Uint8Array): T[] =>
  Buffer.from(bytes)
    .toString('utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as T);
