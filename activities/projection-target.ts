import { classSides, type DatasetManifest, type ShardEntry, type ShardRef } from '../contract/manifests.ts';
import type { BlobRef } from '../contract/refs.ts';
import type { Study } from '../contract/study.ts';
import { ToolInputError, type ToolInput } from '../contract/tools.ts';
import { readMember } from '../lib/dataset/shard.ts';
import { NotFoundError, RejectedImageError } from '../lib/errors.ts';
import { encodePng } from '../lib/image/png.ts';
import { prepareImage } from '../lib/image/prepare.ts';
import { getBlob, getManifest, hashBytes, putBlob } from '../lib/storage/blobs.ts';
import type { ObjectStore } from '../lib/storage/object-store.ts';
import { finishedStepRef } from './find-snapshot.ts';
import { parseJsonLines } from './local-inputs.ts';

const tool = 'projectImage';

/**
 * The image to project, prepared as the study prepares its images: one of its training or validation images by source, or any
 * other of the bucket. Of the test set only the index is read, to refuse what it lists.
 * @throws ToolInputError
 */
export async function projectionTarget(
  store: ObjectStore,
  { study, input }: { readonly study: Study; readonly input: ToolInput<'projectImage'> },
): Promise<{ readonly name: string; readonly png: BlobRef }> {
  const steps = { studyId: study.studyId, tool, step: 'dataset' };
  const dataset = await getManifest<DatasetManifest>(store, await finishedStepRef<DatasetManifest>(store, steps));
  const test = await listImages(
    store,
    classSides.flatMap((side) => dataset.test[side]),
  );
  const { image, object } = input;
  const refuseTest = (found: (one: ListedImage) => boolean, field: string, name: string): void => {
    if (test.some(found))
      throw new ToolInputError(tool, [
        `${field}: "${name}" is a test image of study ${study.studyId}; tools never look at those, name a training or validation image`,
      ]);
  };
  if (object !== null) {
    const png = await preparedObject(store, study, object);
    const { sha256 } = hashBytes(png);
    refuseTest(({ entry }) => entry.sha256 === sha256, 'object', object);
    return { name: object, png: await putBlob(store, png) };
  }
  const name = image ?? ''; // the schema asks for one of the two
  refuseTest(({ entry }) => entry.source === name, 'image', name);
  const { train, validation } = dataset.training;
  const seen = await listImages(
    store,
    classSides.flatMap((side) => [...train[side], ...validation[side]]),
  );
  const found = seen.find(({ entry }) => entry.source === name);
  if (found === undefined)
    throw new ToolInputError(tool, [
      `image: expected the source of a training or validation image, such as ${seen[0]?.entry.source ?? 'none'}, found "${name}"`,
    ]);
  const png = await readMember(await getBlob(store, found.shard.tar), found.entry.member);
  if (png === null) throw new NotFoundError(`${found.entry.member} in shard ${found.shard.tar.sha256}`);
  return { name, png: await putBlob(store, png) };
}

interface ListedImage {
  readonly entry: ShardEntry;
  readonly shard: ShardRef;
}

async function listImages(store: ObjectStore, shards: readonly ShardRef[]): Promise<ListedImage[]> {
  const listed: ListedImage[] = [];
  for (const shard of shards)
    for (const entry of parseJsonLines<ShardEntry>(await getBlob(store, shard.index))) listed.push({ entry, shard });
  return listed;
}

async function preparedObject(store: ObjectStore, study: Study, key: string): Promise<Uint8Array> {
  const refuse = (reason: string, cause: unknown): never => {
    throw Object.assign(new ToolInputError(tool, [`object: ${reason}`]), { cause });
  };
  try {
    const bytes = await store.get(key);
    return await encodePng(await prepareImage(bytes, { ...study.image, minSourcePx: study.prepare.minSourcePx }));
  } catch (error) {
    if (error instanceof NotFoundError)
      refuse(`expected the key of an image in the bucket, found none at "${key}"`, error);
    if (error instanceof RejectedImageError) refuse(`"${key}" cannot be used: ${error.message}`, error);
    throw error;
  }
}
