import { access, rm } from 'node:fs/promises';
import path from 'node:path';
import type { EngineContext, TrainClassifierTask } from '../../contract/engine.ts';
import type { Recovery } from '../../contract/manifests.ts';
import { DivergedError } from '../errors.ts';
import type { TrainingState } from './checkpoint.ts';

/**
 * What happens when a loss is no longer finite, or exploded: back to the end of the last complete epoch, or to the start, with a
 * tenth of the learning rate, at most twice in a training. Never to a checkpoint in mid-epoch: where a training was paused must
 * not change its result.
 */

const maxRecoveries = 2;
/** As on a plateau. */
const rateDivisor = 10;

/** Nats per image, mean over a batch: log-odds of a thousand on the wrong side. At chance it is 0.7. */
export const explodedLoss = 1000;

/**
 * The task as it goes on after `error`, once the caller has recorded that.
 * @throws `error` when it says nothing of where, DivergedError when it happened too often
 */
export async function goBack(
  task: TrainClassifierTask,
  error: DivergedError,
  context: EngineContext,
): Promise<TrainClassifierTask> {
  const { at } = error;
  if (at === null) throw error;
  const { epoch, learningRate } = at;
  if (task.recoveries.length >= maxRecoveries)
    throw new DivergedError(
      `${error.message}. It had gone back before, ${task.recoveries.map(describe).join('; ')}. Look at the images and the weights that it starts from, too`,
      at,
    );
  // Rounded, so that people read 0.00001.
  const nextLearningRate = Number((learningRate / rateDivisor).toPrecision(12));
  const recovery = { epoch, loss: String(at.loss), learningRate, nextLearningRate };
  const recoveries = [...task.recoveries, recovery];
  await context.emit({ type: 'notice', level: 'warn', text: `the classifier went back ${describe(recovery)}` });
  const checkpointFile = path.join(context.workDir, 'classifier-last-complete.safetensors');
  await rm(checkpointFile, { force: true });
  await context.emit({ type: 'classifierRecovery', recoveries, checkpointFile });
  const complete = await access(checkpointFile).then(
    () => true,
    () => false,
  );
  return { ...task, recoveries, checkpointFile: complete ? checkpointFile : null };
}

const describe = ({ epoch, loss, learningRate, nextLearningRate }: Recovery): string =>
  `from epoch ${epoch} (loss ${loss} at learning rate ${learningRate}, then ${nextLearningRate})`;

/** A state from before the last recovery goes on at the rate that this chose. */
export function afterRecoveries(state: TrainingState, recoveries: readonly Recovery[]): TrainingState {
  const last = recoveries.at(-1);
  if (last === undefined || state.recoveries.length >= recoveries.length) return state;
  return { ...state, recoveries, schedule: { ...state.schedule, learningRate: last.nextLearningRate } };
}
