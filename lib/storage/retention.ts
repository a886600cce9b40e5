import type { BlobRef } from '../../contract/refs.ts';
import type { ObjectStore } from './object-store.ts';

/** A checkpoint that the head of a training names. */
export interface KeptCheckpoint {
  /** Where it stands: nimg of a generator, epoch of a classifier. */
  readonly at: number;
  readonly file: BlobRef;
  /** Ordinal of the snapshot that was made with it, from 0; null when none was. */
  readonly snapshot: number | null;
}

export interface RetentionPlan<T extends KeptCheckpoint> {
  readonly kept: readonly T[];
  readonly dropped: readonly BlobRef[];
}

/**
 * Which checkpoints stay: the last two, the one that stands at `best` (lowest metric so far; null when not measured), and
 * every tenth snapshot's. `checkpoints` in the order in which they were made. A file that a kept and a dropped checkpoint
 * share stays.
 */
export function planRetention<T extends KeptCheckpoint>(
  checkpoints: readonly T[],
  best: number | null,
): RetentionPlan<T> {
  const stays = ({ at, snapshot }: T, i: number): boolean =>
    i >= checkpoints.length - 2 || (snapshot !== null && (at === best || snapshot % 10 === 0));
  const kept = checkpoints.filter(stays);
  const needed = new Set(kept.map(({ file }) => file.sha256));
  const dropped = new Map<string, BlobRef>();
  for (const { file } of checkpoints) if (!needed.has(file.sha256)) dropped.set(file.sha256, file);
  return { kept, dropped: [...dropped.values()] };
}

/**
 * Deletes the files that a plan drops; call it after the head that no longer names them is written. Only files that an
 * earlier head named are ever deleted: what a live attempt uploads now, no head has named yet, so nothing is listed and
 * nothing in flight can be hit. What a kill leaves undeleted costs space only, until the study is cleaned.
 */
export async function deleteDropped(
  store: ObjectStore,
  { dropped, keyOf }: { readonly dropped: readonly BlobRef[]; readonly keyOf: (sha256: string) => string },
): Promise<void> {
  for (const { sha256 } of dropped) await store.delete(keyOf(sha256));
}
