import type { FeatureFileEvent } from '../contract/engine.ts';
import { blobKey, featuresKey } from '../contract/keys.ts';
import type { BlobRef } from '../contract/refs.ts';
import type { Study } from '../contract/study.ts';
import { downloadBlob, putBlobFile } from '../lib/storage/blobs.ts';
import type { ObjectStore } from '../lib/storage/object-store.ts';
import { readPointer, updatePointer } from '../lib/storage/pointer.ts';

/**
 * Takes features from the store to where the engine wants them, or over from it: the blob first, then the pointer. Whoever
 * computes the same key computes the same bytes, so it does not matter whose pointer stands.
 */
export async function exchangeFeatures(
  store: ObjectStore,
  { studyId, reuse }: Pick<Study, 'studyId' | 'reuse'>,
  { stage, key, file }: FeatureFileEvent,
): Promise<void> {
  const pointer = featuresKey(key, reuse ? null : studyId);
  if (stage === 'written') {
    const ref = await putBlobFile(store, file);
    await updatePointer<BlobRef>(store, pointer, () => ref);
    return;
  }
  const known = await readPointer<BlobRef>(store, pointer);
  if (known !== null && (await store.head(blobKey(known.value.sha256))) !== null)
    await downloadBlob(store, known.value, file);
}
