import { canonicalJson } from '../../contract/canonical-json.ts';
import type { EpochRecord, PretrainedWeights, Recovery } from '../../contract/manifests.ts';
import { WeightsError } from '../errors.ts';
import { readTensorFile, writeTensorFile } from '../engine/tensor-file.ts';
import { tf } from '../engine/tf.ts';
import type { Model } from './model.ts';
import type { ScheduleState } from './schedule.ts';
import { storedWeights } from './weight-file.ts';
import { assignWeights, firstOf, takeWeights, weightTensors, type WeightValues } from './weights.ts';

/**
 * The complete state of a classifier training in one tensor file: `weights/` (moving statistics included), `adam/`, the best
 * weights so far as `best/`, and in the metadata where the training stands and which training it is. Random streams need no
 * state: they follow from seed, epoch and position.
 */

export interface TrainingState {
  /** Complete epochs. */
  readonly epoch: number;
  /** Optimiser steps done in the epoch under way; all of them when only its validation is missing. */
  readonly position: number;
  /** Sum of the training loss over those steps. */
  readonly lossSum: number;
  readonly schedule: ScheduleState;
  readonly history: readonly EpochRecord[];
  readonly recoveries: readonly Recovery[];
  /** Log-odds of the validation images by the weights to publish, in their order; null before the first complete epoch. */
  readonly validationLogOdds: readonly number[] | null;
  /** What the training began with; null for random weights. */
  readonly pretrained: PretrainedWeights | null;
}

/** What two checkpoints must share to be of one training; flat, JSON-plain. */
export type TrainingIdentity = Readonly<Record<string, unknown>>;

export interface CheckpointParts {
  readonly model: Model;
  /**
   * Variables of the Adam of the phase that goes on after `epoch` complete epochs, by a name that is stable across processes.
   * A phase begins with fresh ones, so those of an earlier phase are not kept.
   */
  readonly adamAfter: (epoch: number) => ReadonlyMap<string, tf.Variable>;
  readonly identity: TrainingIdentity;
}

const format = 'echoforge-classifier-checkpoint';

export async function writeCheckpoint(
  file: string,
  parts: CheckpointParts,
  content: { readonly state: TrainingState; readonly best: WeightValues | null },
): Promise<void> {
  const { model, adamAfter, identity } = parts;
  const best = content.best === null ? {} : weightTensors(model, content.best, 'best/');
  const tensors: Record<string, tf.Tensor> = { ...best };
  for (const [name, variable] of model.variables) tensors[`weights/${name}`] = variable;
  for (const [name, variable] of adamAfter(content.state.epoch)) tensors[`adam/${name}`] = variable;
  const metadata = {
    format,
    formatVersion: '1',
    identity: canonicalJson(identity),
    state: canonicalJson(content.state),
  };
  try {
    await writeTensorFile(file, tensors, metadata);
  } finally {
    tf.dispose(best);
  }
}

/** Restores variables and Adam from `file`. Throws WeightsError when it belongs to another training or network. */
export async function readCheckpoint(
  file: string,
  parts: CheckpointParts,
): Promise<{ readonly state: TrainingState; readonly best: WeightValues | null }> {
  const { model, adamAfter, identity } = parts;
  const { tensors, metadata } = await readTensorFile(file);
  if (metadata.format !== format || metadata.formatVersion !== '1')
    throw new WeightsError(
      `${file} is no classifier checkpoint of version 1: its format is ${metadata.format ?? 'missing'}, version ${metadata.formatVersion ?? 'missing'}`,
    );
  checkIdentity(file, identity, metadata.identity);
  // writeCheckpoint put it there, and the format and identity were just checked.
  const written = JSON.parse(metadata.state ?? 'null') as Omit<TrainingState, 'recoveries'> & Partial<TrainingState>;
  const state = { ...written, recoveries: written.recoveries ?? [] }; // unknown to earlier releases
  const adam = adamAfter(state.epoch);
  const stored = storedWeights(tensors);
  const under = (prefix: string): typeof stored =>
    new Map([...stored].filter(([name]) => name.startsWith(prefix)).map(([name, t]) => [name.slice(prefix.length), t]));
  const weights = takeWeights(under('weights/'), model.plan.variables, { file });
  const moments = takeWeights(
    under('adam/'),
    [...adam].map(([name, { shape }]) => ({ name, shape })),
    { file },
  );
  const best = under('best/');
  const bestWeights = best.size === 0 ? null : takeWeights(best, model.plan.variables, { file });
  assignWeights(model, weights);
  for (const [name, variable] of adam) {
    const value = moments.get(name);
    if (value !== undefined) tf.tidy(() => variable.assign(tf.tensor(value, variable.shape)));
  }
  return { state, best: bestWeights };
}

function checkIdentity(file: string, expected: TrainingIdentity, stored: string | undefined): void {
  const found = JSON.parse(stored ?? '{}') as TrainingIdentity; // canonicalJson of the same type
  const text = (value: unknown): string => (value === undefined ? 'missing' : canonicalJson(value));
  const differences = [...new Set([...Object.keys(expected), ...Object.keys(found)])]
    .filter((key) => text(expected[key]) !== text(found[key]))
    .map((key) => `${key} is ${text(found[key])}, expected ${text(expected[key])}`);
  if (differences.length > 0)
    throw new WeightsError(
      `${file} belongs to another training: ${firstOf(differences)}; start this training without it, or restore the old study file`,
    );
}
