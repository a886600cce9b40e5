import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type {
  ClassifierCheckpointEvent,
  ClassifierRecoveryEvent,
  EngineContext,
  EngineEvent,
  EngineProgress,
  EngineSettings,
  FeatureFileEvent,
  GeneratorCheckpointEvent,
  LocalShard,
  TrainGeneratorTask,
} from '../../contract/engine.ts';
import type { ClassSide } from '../../contract/manifests.ts';
import { trainGenerator } from '../../lib/generator/train.ts';
import { writeShard } from '../../lib/dataset/shard.ts';
import { encodePng } from '../../lib/image/png.ts';
import type { RawImage } from '../../lib/image/raw-image.ts';

/** Engine tasks without an engine process: events are kept, files stay in a directory of their own. */

type CheckpointEvent = GeneratorCheckpointEvent | ClassifierCheckpointEvent;

export interface Recording {
  readonly context: EngineContext;
  readonly checkpoints: CheckpointEvent[];
}

/**
 * `stopWhen` asks the task to end at its next iteration, as pause and shutdown do. `take` is given each checkpoint while the
 * task waits, as a worker takes its files: a later one may have the same names. `exchange` is the store of features; without
 * one nothing is ever found there. `goBack` hands out the last complete checkpoint; without it a training goes back to its start.
 */
export async function recordInto(
  workDir: string,
  settings: EngineSettings,
  {
    stopWhen = () => false,
    take = () => Promise.resolve(),
    exchange = () => Promise.resolve(),
    goBack = () => Promise.resolve(),
    saveEveryMs,
  }: {
    readonly stopWhen?: (progress: EngineProgress) => boolean;
    readonly take?: (checkpoint: CheckpointEvent) => Promise<void>;
    readonly exchange?: (features: FeatureFileEvent) => Promise<void>;
    readonly goBack?: (recovery: ClassifierRecoveryEvent) => Promise<void>;
    readonly saveEveryMs?: number;
  } = {},
): Promise<Recording> {
  await mkdir(workDir, { recursive: true });
  const checkpoints: CheckpointEvent[] = [];
  const stop = new AbortController();
  const emit = async (event: EngineEvent): Promise<void> => {
    if (event.type === 'progress') {
      if (stopWhen(event)) stop.abort();
      return;
    }
    if (event.type === 'notice' || event.type === 'syntheticShard') return;
    if (event.type === 'classifierRecovery') {
      await goBack(event);
      return;
    }
    if (event.type === 'featureFile') {
      await exchange(event);
      return;
    }
    checkpoints.push(event);
    await take(event);
  };
  const saving = saveEveryMs === undefined ? {} : { saveEveryMs };
  return { checkpoints, context: { settings, workDir, signal: stop.signal, ...saving, emit } };
}

/** Trains a generator in a directory of its own until its end, or until asked to stop at `stopAt` images; its checkpoints. */
export async function recordGenerator(
  workDir: string,
  settings: EngineSettings,
  { task, stopAt = Infinity }: { readonly task: TrainGeneratorTask; readonly stopAt?: number },
): Promise<readonly GeneratorCheckpointEvent[]> {
  const { context, checkpoints } = await recordInto(workDir, settings, {
    stopWhen: ({ phase, done }) => phase === 'train' && done >= stopAt,
  });
  await trainGenerator(task, context);
  return checkpoints as GeneratorCheckpointEvent[]; // of a generator
}

/** One shard of images of one class. */
export async function shardOf(dir: string, side: ClassSide, images: readonly RawImage[]): Promise<LocalShard> {
  await mkdir(dir, { recursive: true });
  const members = await Promise.all(
    images.map(async (image, i) => ({
      entry: { member: `${i}.png`, side, source: `${side}/${i}.png`, groupId: null, seed: null },
      png: await encodePng(image),
    })),
  );
  return await writeShard({ tarFile: join(dir, `${side}.tar`), indexFile: join(dir, `${side}.jsonl`), members });
}

export const bytesOf = async (file: string): Promise<string> => (await readFile(file)).toString('base64');
