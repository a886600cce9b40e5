import { createHash } from 'node:crypto';
import { canonicalJson } from '../contract/canonical-json.ts';
import { memoKey } from '../contract/keys.ts';
import type { ObjectStore } from '../lib/storage/object-store.ts';
import { readPointer, updatePointer } from '../lib/storage/pointer.ts';

export interface MemoUnit {
  readonly studyId: string;
  readonly identity: { readonly activity: string };
}

/**
 * Remembers the result of one finished unit (a shard, a measurement) of a study, so that a study that was reset or started
 * again does not compute it twice. `identity` holds all that the result depends on, the engine fingerprint included. The result
 * is plain data, with its keys in the order in which it is found again: files written of it have the same bytes either way.
 */
export async function memoized<T>(store: ObjectStore, unit: MemoUnit, compute: () => Promise<T>): Promise<T> {
  const known = await recalled(store, unit);
  if (known) return known.result as T; // what `compute` gave then
  const result = JSON.parse(canonicalJson(await compute())) as T; // plain data
  await updatePointer(store, keyOf(unit), () => ({ result }));
  return result;
}

/** What was remembered of a unit; null when nothing was. */
export async function recalled(store: ObjectStore, unit: MemoUnit): Promise<{ readonly result: unknown } | null> {
  return (await readPointer<{ result: unknown }>(store, keyOf(unit)))?.value ?? null;
}

const keyOf = ({ studyId, identity }: MemoUnit): string =>
  memoKey(studyId, createHash('sha256').update(canonicalJson(identity)).digest('hex'));
