import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { Context } from '@temporalio/activity';
import type { z } from 'zod';
import { canonicalJson } from '../contract/canonical-json.ts';
import { trainingFileKey, trainingHeadKey } from '../contract/keys.ts';
import type { Fingerprint } from '../contract/manifests.ts';
import type { BlobRef } from '../contract/refs.ts';
import type { ClassifierState, GeneratorState } from '../contract/training-state.ts';
import { downloadObject, hashFile, putBlobFile, putObjectFile } from '../lib/storage/blobs.ts';
import { advanceHead, claimHead } from '../lib/storage/training-head.ts';
import type { LocalDeps } from './local-inputs.ts';

type Common = Pick<GeneratorState & ClassifierState, 'checkpoint' | 'kept' | 'complete' | 'events'>;

/** One claimed training: its state, and the only ways to move it. */
export interface Training<S> {
  readonly name: string;
  readonly state: () => S;
  /** Downloads the checkpoint to go on from; null when there is none yet. */
  readonly fetchCheckpoint: (workDir: string) => Promise<string | null>;
  /** Blobs first, the pointer last, then retention. `next` makes the new state from the uploaded parts. */
  readonly commit: (
    event: { readonly checkpointFile: string; readonly eventsFile: string | null; readonly complete: boolean },
    position: Pick<Kept, 'at' | 'snapshot' | 'skipping'> & { readonly best: number | null },
    next: (common: Common) => Promise<S>,
  ) => Promise<void>;
  readonly move: (state: S) => Promise<void>;
  /** Moves to an earlier checkpoint, then deletes the files that the state no longer names. */
  readonly rollBack: (state: S, dropped: readonly BlobRef[]) => Promise<void>;
  /**
   * Downloads the checkpoint that was made first at `at` to `file`, and moves to `next` with it as the newest; later ones are
   * forgotten. Null goes back to the start, with none.
   */
  readonly goBack: (
    to: { readonly at: number | null; readonly file: string },
    next: (common: Pick<Common, 'checkpoint' | 'kept' | 'complete'>) => S,
  ) => Promise<void>;
}

/**
 * Claims a training for this attempt: from here on an older attempt that comes back cannot move it.
 * @throws ConfigurationError when the stored training has another configuration.
 */
export async function openTraining<S extends GeneratorState | ClassifierState>(
  { store }: LocalDeps,
  options: {
    readonly studyId: string;
    readonly name: string;
    readonly configSha256: string;
    readonly schema: z.ZodType<S>;
    readonly initial: S;
    readonly fingerprint: Fingerprint;
  },
): Promise<Training<S>> {
  const { studyId, name, configSha256, schema, initial, fingerprint } = options;
  const key = trainingHeadKey(studyId, name);
  const fileKey = (sha256: string): string => trainingFileKey(studyId, name, sha256);
  const owner = `${hostname()}/${process.pid}`;
  let claim = await claimHead({
    ...{ store, key, owner, configSha256, initial },
    nonce: randomBytes(8).toString('hex'),
    scheduledMs: Context.current().info.currentAttemptScheduledTimestampMs,
  });
  let state = nowOn(schema.parse(claim.state), fingerprint);

  const move = async (next: S): Promise<void> => {
    claim = await advanceHead(claim, next);
    state = next;
  };
  /** The pointer first, then the files that it names no more; one that is left behind by a kill costs space only. */
  const moveWithout = async (dropped: readonly BlobRef[], next: S): Promise<void> => {
    await move(next);
    for (const { sha256 } of dropped) await store.delete(fileKey(sha256)).catch(() => undefined);
  };
  return {
    name,
    state: () => state,
    move,
    rollBack: (earlier, dropped) => moveWithout(dropped, earlier),
    fetchCheckpoint: async (workDir) => {
      if (state.checkpoint === null) return null;
      const file = join(workDir, 'resume.safetensors');
      await downloadObject(store, { key: fileKey(state.checkpoint.sha256), ref: state.checkpoint, file });
      return file;
    },
    commit: async ({ checkpointFile, eventsFile, complete }, position, next) => {
      const checkpoint = await hashFile(checkpointFile);
      await putObjectFile(store, { key: fileKey(checkpoint.sha256), ref: checkpoint, file: checkpointFile });
      const events = [...state.events, ...(eventsFile === null ? [] : [await putBlobFile(store, eventsFile)])];
      const { best, ...made } = position;
      const latest = { ...made, file: checkpoint, events: events.length };
      const { kept, dropped } = planRetention([...state.kept, latest], best);
      await moveWithout(dropped, await next({ checkpoint, kept, complete, events }));
    },
    goBack: async ({ at, file }, next) => {
      const index = state.kept.findIndex((other) => other.at === at);
      const kept = state.kept.slice(0, index + 1);
      const checkpoint = kept.at(-1)?.file ?? null;
      if (checkpoint !== null) await downloadObject(store, { key: fileKey(checkpoint.sha256), ref: checkpoint, file });
      const later = state.kept.slice(index + 1).map((other) => other.file);
      const dropped = later.filter(({ sha256 }) => kept.every((other) => other.file.sha256 !== sha256));
      await moveWithout(dropped, next({ checkpoint, kept, complete: true }));
    },
  };
}

/** Records the fingerprint that goes on with the training, and that it changed if it did. */
function nowOn<S extends GeneratorState | ClassifierState>(state: S, fingerprint: Fingerprint): S {
  if (state.fingerprint === null) return { ...state, fingerprint };
  const names = Object.keys(fingerprint) as (keyof Fingerprint)[]; // the schema has exactly these keys
  const changed = names.filter((name) => canonicalJson(state.fingerprint?.[name]) !== canonicalJson(fingerprint[name]));
  if (changed.length === 0) return state;
  const at = 'nimg' in state ? `${state.nimg / 1000} kimg` : `epoch ${state.epoch}`;
  const what = changed.map((name) => `${name} ${state.fingerprint?.[name] ?? ''} -> ${fingerprint[name] ?? ''}`);
  return { ...state, fingerprint, fingerprintChanges: [...state.fingerprintChanges, `${at}: ${what.join(', ')}`] };
}

interface Kept {
  readonly at: number;
  readonly file: BlobRef;
  /** Ordinal of the snapshot that was made with this checkpoint, from 0; null when none was. */
  readonly snapshot: number | null;
  /** An update was skipped when it was last due: nothing to roll back to. */
  readonly skipping?: true;
  readonly events?: number;
}

/**
 * Checkpoints to keep: the last two, the last two with a snapshot that were made while no update was being skipped (a generator
 * may roll back to them, however often it was interrupted since), the first one where the training stands now (the others there were made on the way; a classifier goes
 * back to the first), the best by metric, every tenth snapshot.
 */
export function planRetention(files: readonly Kept[], best: number | null): { kept: Kept[]; dropped: BlobRef[] } {
  const whole = files.filter(({ snapshot, skipping = false }) => snapshot !== null && !skipping).slice(-2);
  const first = files.findIndex(({ at }) => at === files.at(-1)?.at);
  const last = new Set([...files.slice(-2), ...files.slice(first, first + 1), ...whole]);
  const kept = files.filter(
    (file) => last.has(file) || (file.snapshot !== null && (file.at === best || file.snapshot % 10 === 0)),
  );
  const names = new Set(kept.map(({ file }) => file.sha256));
  return { kept, dropped: files.map(({ file }) => file).filter(({ sha256 }) => !names.has(sha256)) };
}
