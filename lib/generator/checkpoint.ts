import { createHash } from 'node:crypto';
import { canonicalJson } from '../../contract/canonical-json.ts';
import type { TrainGeneratorTask } from '../../contract/engine.ts';
import { assignTensors, readTensorFile, writeTensorFile } from '../engine/tensor-file.ts';
import type { tf } from '../engine/tf.ts';
import { WeightsError } from '../errors.ts';
import type { Adaptation } from './adaptation.ts';
import { hasSkips, noSkips, type Skips } from './skips.ts';
import type { TrainingState } from './state.ts';

/**
 * Files of a training. A checkpoint is its complete state: networks, moving averages, both optimisers, counters. Random
 * streams and the data position follow from `nimg`. A snapshot holds what makes images: averaged weights and wAvg.
 */

const checkpointKind = 'echoforge.generator-checkpoint.1';
export const snapshotKind = 'echoforge.generator-snapshot.1';

/** Sums of the running tick, so that a record does not depend on where a training was interrupted. */
export interface TickSums {
  /** Sum and number of values since the last tick end, by metric. */
  readonly sums: Readonly<Record<string, readonly [sum: number, count: number]>>;
  /** Means of the last tick: repeated by a tick too short to hold a lazy regulariser. */
  readonly last: Readonly<Record<string, number>>;
}

export interface TrainingPosition {
  readonly nimg: number;
  readonly tick: TickSums;
  /** Null where D sees the images themselves. */
  readonly adaptation: Adaptation | null;
  readonly skips: Skips;
}

/** Hash of what must not change between segments; a training may be extended and cut otherwise. */
export function trainingHash(task: Pick<TrainGeneratorTask, 'config' | 'image' | 'seed' | 'side'>): string {
  const { totalKimg, segmentTicks, ...config } = task.config;
  const { image, seed, side } = task;
  return createHash('sha256').update(canonicalJson({ config, image, seed, side })).digest('hex');
}

/** Writes the complete state; equal states make equal bytes. */
export async function saveCheckpoint(
  file: string,
  options: { readonly state: TrainingState; readonly position: TrainingPosition; readonly hash: string },
): Promise<void> {
  const { state, position, hash } = options;
  const tensors = Object.fromEntries(state.variables.map((v) => [v.name, v]));
  await writeTensorFile(file, tensors, {
    kind: checkpointKind,
    training: hash,
    nimg: String(position.nimg),
    tick: canonicalJson(position.tick),
    ...(position.adaptation && { adaptation: canonicalJson(position.adaptation) }),
    ...(hasSkips(position.skips) && { skips: canonicalJson(position.skips) }),
  });
}

/** Metadata with its kind checked. */
async function readKind(file: string, kind: string): ReturnType<typeof readTensorFile> {
  const stored = await readTensorFile(file);
  const found = stored.metadata['kind'] ?? 'none';
  if (found !== kind) throw new WeightsError(`${file} is of kind "${found}", expected "${kind}"`);
  return stored;
}

function parsePosition(file: string, metadata: Readonly<Record<string, string>>): TrainingPosition {
  const nimg = Number(metadata['nimg']);
  const tick = metadata['tick'];
  if (!Number.isInteger(nimg) || nimg < 0 || tick === undefined)
    throw new WeightsError(`${file} does not say how far its training was; use an earlier checkpoint`);
  const { adaptation, skips } = metadata;
  return {
    nimg,
    tick: JSON.parse(tick) as TickSums, // written by saveCheckpoint
    adaptation: adaptation === undefined ? null : (JSON.parse(adaptation) as Adaptation), // as above
    skips: skips === undefined ? noSkips : (JSON.parse(skips) as Skips), // as above
  };
}

/**
 * Fills the state from a checkpoint and returns where it stands.
 * @throws WeightsError when the file belongs to another training or network, naming the difference
 */
export async function loadCheckpoint(
  file: string,
  options: { readonly state: TrainingState; readonly hash: string },
): Promise<TrainingPosition> {
  const { tensors, metadata } = await readKind(file, checkpointKind);
  assignTensors(options.state.variables, tensors, `checkpoint ${file}`);
  const found = metadata['training'];
  if (found !== options.hash)
    throw new WeightsError(
      `checkpoint ${file} is of the training ${found ?? 'unknown'}, expected ${options.hash}: its configuration, image settings, seed or class differ; give the changed study another studyId`,
    );
  return parsePosition(file, metadata);
}

/** Writes the averaged generator with wAvg: everything that sampling needs. */
export async function saveSnapshot(
  file: string,
  options: { readonly state: TrainingState; readonly nimg: number; readonly hash: string },
): Promise<void> {
  const { state, nimg, hash } = options;
  await writeTensorFile(
    file,
    { ...Object.fromEntries(state.gs), wAvg: state.wAvg },
    { kind: snapshotKind, training: hash, nimg: String(nimg) },
  );
}

/**
 * Fills a generator from a snapshot.
 * @throws WeightsError when the file does not hold this generator
 */
export async function loadSnapshot(
  file: string,
  target: { readonly weights: ReadonlyMap<string, tf.Variable>; readonly wAvg: tf.Variable },
): Promise<void> {
  const { tensors } = await readKind(file, snapshotKind);
  const variables = new Map([...target.weights, ['wAvg', target.wAvg] as const]);
  // Stored under the names of the network; the variables carry a prefix of their own.
  const renamed = new Map([...tensors].map(([name, tensor]) => [variables.get(name)?.name ?? name, tensor] as const));
  assignTensors([...variables.values()], renamed, `snapshot ${file}`);
}
