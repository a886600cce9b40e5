import { createHash } from 'node:crypto';
import { canonicalJson } from '../contract/canonical-json.ts';
import { memoKey } from '../contract/keys.ts';
import type { ObjectStore } from '../lib/storage/object-store.ts';
import { readPointer, updatePointer } from '../lib/storage/pointer.ts';

/**
 * Remembers the result of one finished unit (a shard, a measurement) of a study, so that a study that was reset or started
 * again does not compute it twice. `identity` holds all that the result depends on, the engine fingerprint included. The result
 * is plain data, with its keys in the order in which it is found again: files written of it have the same bytes either way.
 */
export async function memoized<T>(
  store: ObjectStore,
  { studyId, identity }: { readonly studyId: string; readonly identity: { readonly activity: string } },
  compute: () => Promise<T>,
): Promise<T> {
  const key = memoKey(studyId, createHash('sha256').update(canonicalJson(identity)).digest('hex'));
  const known = await readPointer<{ result: T }>(store, key);
  if (known) return known.value.result;
  const result = JSON.parse(canonicalJson(await compute())) as T; // plain data
  await updatePointer(store, key, () => ({ result }));
  return result;
}
