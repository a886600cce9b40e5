import { copyFile, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect } from 'vitest';
import type {
  ClassifierRecoveryEvent,
  EngineEvent,
  EngineProgress,
  FeatureFileEvent,
  LocalShard,
  TrainClassifierTask,
} from '../../contract/engine.ts';
import type { PerClass, Recovery } from '../../contract/manifests.ts';
import { defaults } from '../../contract/presets.ts';
import type { ClassifierConfig } from '../../contract/study.ts';
import { createModel, initialValues } from '../../lib/classifier/model.ts';
import { trainClassifier } from '../../lib/classifier/train.ts';
import { copyWeights, writeWeights } from '../../lib/classifier/weights.ts';
import { loadEngine } from '../../lib/engine/backend.ts';
import { simulatePhantom } from '../../lib/phantom/simulate.ts';
import { bytesOf, recordInto, shardOf } from './training-runner.ts';

/** Tiny trainings of the classifier on phantoms, without an engine process. */

/** Three epochs of four steps of four images. */
export const tinyConfig: ClassifierConfig = {
  ...defaults.classifier,
  ...{ width: 0.05, headUnits: 8, epochs: 3, batchSize: 4, bnMomentum: 0.9 },
  blocks: [1, 1, 1],
};
export const fp32 = { precision: 'fp32', execution: 'function' } as const;

export interface Part {
  readonly untilEpoch: number;
  /** Images trained on, over all epochs, after which the part is asked to stop. */
  readonly stopAt?: number;
  /** Ends right after the head pointer says that the training went back, and before anything came of it. */
  readonly killedGoingBack?: boolean;
}

export type Sets = Readonly<Record<'train' | 'validation', PerClass<readonly LocalShard[]>>>;

/** What the trainings of one test file share; there once its `beforeAll` ran. */
export interface TrainingRoom {
  /** Of its own, removed afterwards. */
  readonly dir: string;
  readonly sets: Sets;
  /** Weights for the tiny network. */
  readonly given: GivenWeights;
  /** A training of `sets`, `over` what is usual. */
  readonly task: (over?: Partial<TrainClassifierTask>) => TrainClassifierTask;
  /** {@link trainInParts} in a folder `name` of the room. */
  readonly train: (
    name: string,
    parts: readonly Part[],
    over?: Partial<TrainClassifierTask>,
    exchange?: Exchange,
  ) => ReturnType<typeof trainInParts>;
}

export type Exchange = (event: FeatureFileEvent) => Promise<void>;

/** Loads the engine and makes phantoms, so many of each class, and weights to start trunks from. */
export function trainingRoom(name: string, images: Readonly<Record<'train' | 'validation', number>>): TrainingRoom {
  const none = { negative: [], positive: [] };
  const made: { dir: string; sets: Sets; given: GivenWeights } = {
    ...{ dir: '', sets: { train: none, validation: none } },
    given: { file: '', values: new Map() },
  };
  beforeAll(async () => {
    await loadEngine();
    made.dir = await mkdtemp(join(tmpdir(), `echoforge-${name}-`));
    made.sets = await phantomSets(made.dir, images);
    made.given = await givenWeights(made.dir);
  });
  afterAll(() => rm(made.dir, { recursive: true, force: true }));
  const task: TrainingRoom['task'] = (over = {}) => taskOn(made.sets, over);
  const train: TrainingRoom['train'] = (folder, parts, over, exchange) =>
    trainInParts({ dir: join(made.dir, folder), task: task(over), ...(exchange ? { exchange } : {}) }, parts);
  return Object.assign(made, { task, train });
}

/** Training and validation phantoms of both classes, `train` and `validation` of each. */
async function phantomSets(
  dir: string,
  { train, validation }: { readonly train: number; readonly validation: number },
): Promise<Sets> {
  const phantoms = (side: 'negative' | 'positive', first: number, count: number) =>
    Array.from({ length: count }, (_, i) => simulatePhantom({ side, index: first + i, seed: 1, resolution: 32 }));
  const set = async (name: string, first: number, count: number): Promise<PerClass<readonly LocalShard[]>> => ({
    negative: [await shardOf(join(dir, name), 'negative', phantoms('negative', first, count))],
    positive: [await shardOf(join(dir, name), 'positive', phantoms('positive', first, count))],
  });
  return { train: await set('train', 0, train), validation: await set('validation', train, validation) };
}

const taskOn = (sets: Sets, over: Partial<TrainClassifierTask>): TrainClassifierTask => ({
  ...{ config: tinyConfig, inputSize: 75, channels: 1, seed: 1, stream: 'classifier/real' },
  ...{ train: sets.train, validation: sets.validation },
  ...{ pretrainedFile: null, checkpointFile: null, recoveries: [], untilEpoch: 3 },
  ...over,
});

/**
 * The last checkpoint, the weights that would be published, the history; after parts that each begin from a file. Remembers
 * between parts what a head pointer does.
 */
export async function trainInParts(
  {
    dir,
    task,
    exchange,
  }: {
    readonly dir: string;
    readonly task: TrainClassifierTask;
    readonly exchange?: Exchange;
  },
  parts: readonly Part[],
): Promise<Record<string, unknown>> {
  let checkpointFile: string | null = null;
  let lastComplete: string | null = null;
  let recoveries: readonly Recovery[] = [];
  let outcome: Record<string, unknown> = {};
  const take = async (event: EngineEvent): Promise<void> => {
    if (event.type !== 'classifierCheckpoint') return;
    checkpointFile = event.checkpointFile;
    if (event.complete) lastComplete = checkpointFile;
    const { epoch, history, weightsEpoch, complete } = event;
    const weights = await bytesOf(event.weightsFile);
    const validation = event.validationFile === null ? null : await bytesOf(event.validationFile);
    const checkpoint = await bytesOf(event.checkpointFile);
    outcome = { epoch, history, weightsEpoch, complete, weights, validation, checkpoint };
  };
  const goBack = async (event: ClassifierRecoveryEvent): Promise<void> => {
    ({ recoveries } = event);
    if (lastComplete !== null) await copyFile(lastComplete, event.checkpointFile);
    checkpointFile = lastComplete;
  };
  for (const [i, { untilEpoch, stopAt = Infinity, killedGoingBack = false }] of parts.entries()) {
    const stopWhen = ({ phase, done }: EngineProgress): boolean => phase === 'train' && done >= stopAt;
    const killed = new Error('killed going back');
    const kill = async (event: ClassifierRecoveryEvent): Promise<void> => {
      await goBack(event);
      throw killed;
    };
    const options = { stopWhen, take, goBack: killedGoingBack ? kill : goBack, ...(exchange ? { exchange } : {}) };
    const { context } = await recordInto(`${dir}-${i}`, fp32, options);
    const training = trainClassifier({ ...task, checkpointFile, recoveries, untilEpoch }, context);
    if (killedGoingBack) await expect(training).rejects.toBe(killed);
    else await training;
  }
  return { ...outcome, recoveries };
}

/** Weights in a file, and what they are. */
export interface GivenWeights {
  readonly file: string;
  readonly values: ReadonlyMap<string, Float32Array>;
}

/** Weights of the tiny network, to start trunks from. */
export async function givenWeights(dir: string, seed = 5): Promise<GivenWeights> {
  const options = { name: 'given', config: tinyConfig, inputSize: 75, channels: 1 as const };
  const model = createModel(options, (spec) => initialValues(spec, { seed, stream: 'given' }));
  const file = join(dir, `given-${seed}.safetensors`);
  const values = copyWeights(model);
  await writeWeights(file, model, values);
  model.dispose();
  return { file, values };
}

/** A store of features: files by key in a directory, and how many were written. */
export function featureFiles(dir: string): { exchange: Exchange; written: string[] } {
  const written: string[] = [];
  const exchange: Exchange = async ({ stage, key, file }) => {
    const stored = join(dir, `stored-${key}`);
    if (stage === 'written') {
      await copyFile(file, stored);
      written.push(stored);
    } else if (written.includes(stored)) await copyFile(stored, file);
  };
  return { exchange, written };
}
