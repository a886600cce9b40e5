import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { EngineContext, EnginePhase, TrainClassifierOutput, TrainClassifierTask } from '../../contract/engine.ts';
import type { EpochRecord, PretrainedWeights, ValidationScore } from '../../contract/manifests.ts';
import { loadEngine } from '../engine/backend.ts';
import { startSaveClock, type SaveClock } from '../engine/save-clock.ts';
import { DivergedError } from '../errors.ts';
import { encodeEventFile } from '../tensorboard/event-file.ts';
import { cacheFeatures } from './feature-cache.ts';
import { readCheckpoint, writeCheckpoint, type TrainingState } from './checkpoint.ts';
import { afterRecoveries, goBack } from './recovery.ts';
import { advanceSchedule, startPhase, startSchedule } from './schedule.ts';
import { createTraining, type Training, type Validation } from './training.ts';
import { loadTrainingSets, type TrainingSets } from './training-images.ts';
import { copyWeights, loadPretrainedTrunk, writeWeights, type WeightValues } from './weights.ts';

/** Where a training stands, beside the variables of its network. */
interface Progress {
  readonly state: TrainingState;
  /** Weights of the best validation epoch; null before the first, or when the last weights count. */
  readonly best: WeightValues | null;
}

/**
 * Trains a classifier until `untilEpoch`, its last epoch, early stopping, or abort. Every epoch ends in a complete checkpoint
 * event; an abort leaves one in mid-epoch, and a training that resumes there ends in the same bytes as one that was never
 * stopped (one engine fingerprint, CPU).
 *
 * An epoch is floor(images / batchSize) batches, at least one, of a fresh shuffle (batches.ts). Loss: softmax cross-entropy
 * with label smoothing and class weights; Adam with Keras' defaults; ReduceLROnPlateau and early stopping on the validation
 * loss (schedule.ts). On a pretrained trunk the head is trained first and alone (phases.ts). `freeze: nakata` and its
 * trainable variables: evaluation.md 1.6.
 *
 * A loss that is not finite, or exploded, sends the training back at a lower rate (recovery.ts).
 *
 * Throws DatasetError (a class without images, other channels), WeightsError (a checkpoint or pretrained file that does not
 * belong here), DivergedError (a loss that diverged for the third time).
 */
export async function trainClassifier(
  task: TrainClassifierTask,
  context: EngineContext,
): Promise<TrainClassifierOutput> {
  await report(context, 'load', 0, 1);
  await loadEngine();
  const sets = await loadTrainingSets(task);
  let attempt = task;
  for (;;)
    try {
      return await trainOn(sets, attempt, context);
    } catch (error) {
      if (!(error instanceof DivergedError)) throw error;
      attempt = await goBack(attempt, error, context);
    }
}

/** From the checkpoint of `task`, or the start. */
async function trainOn(
  sets: TrainingSets,
  task: TrainClassifierTask,
  context: EngineContext,
): Promise<TrainClassifierOutput> {
  const training = createTraining(task, context.settings, sets);
  try {
    let progress = await begin(training, context);
    const clock = startSaveClock(context.saveEveryMs);
    await report(context, 'trace', 0, 1);
    while (!isFinished(training, progress.state) && progress.state.epoch < task.untilEpoch) {
      const from = progress.state;
      if (!(await provideFeatures(training, context, from.epoch))) break;
      const next = await runEpoch(training, progress, { context, clock });
      progress = next.progress;
      const advanced = progress.state.epoch > from.epoch || progress.state.position > from.position;
      const finite = !advanced || training.isFinite();
      if (next.complete && !finite) throw lostWeights(progress.state);
      // In mid-epoch there is nothing to be kept of them: the next attempt finds out at the same step.
      if (advanced && finite) await commit(training, context, progress, next.complete);
      clock.restart();
      if (context.signal.aborted) break;
    }
    return {
      epoch: progress.state.epoch,
      finished: isFinished(training, progress.state),
      parameters: training.model.plan.parameters,
      pretrained: progress.state.pretrained,
      images: { train: sets.train.counts, validation: sets.validation.counts },
    };
  } finally {
    training.dispose();
  }
}

async function begin({ task, model, parts }: Training, context: EngineContext): Promise<Progress> {
  if (task.checkpointFile !== null) {
    const { state, best } = await readCheckpoint(task.checkpointFile, parts);
    const going = afterRecoveries(state, task.recoveries);
    return { state: going, best: best ?? bestSoFar(task, state, () => copyWeights(model)) };
  }
  const pretrained = task.pretrainedFile === null ? null : await loadPretrainedTrunk(model, task.pretrainedFile);
  await context.emit({ type: 'notice', level: pretrained?.official ? 'info' : 'warn', text: origin(pretrained) });
  const schedule = startSchedule(task.config.learningRate);
  const nothing = { epoch: 0, position: 0, lossSum: 0, history: [], recoveries: [], validationLogOdds: null };
  return { state: afterRecoveries({ ...nothing, schedule, pretrained }, task.recoveries), best: null };
}

function lostWeights({ epoch, history }: TrainingState): DivergedError {
  const learningRate = history.at(-1)?.learningRate ?? Number.NaN;
  const at = { epoch, loss: Number.NaN, learningRate };
  return new DivergedError(
    `weights of the classifier are not finite after epoch ${epoch}, at rate ${learningRate}`,
    at,
  );
}

/** Gives the phase under way the features that it trains on, and a later one its images back; false when stopped on the way. */
async function provideFeatures(training: Training, context: EngineContext, epoch: number): Promise<boolean> {
  const { cache } = training.phaseAfter(epoch);
  if (cache === null) training.useFeatures(null);
  else if (!training.hasFeatures()) {
    const features = await cacheFeatures(training, context, cache);
    if (features === null) return false;
    training.useFeatures(features);
  }
  return true;
}

function origin(pretrained: PretrainedWeights | null): string {
  if (pretrained === null)
    return 'the classifier starts from random weights: no classifier.weights were given, so expect less than published figures';
  const { format, sha256, official } = pretrained;
  if (official !== null) return `the classifier starts from ${official}`;
  const md5 = format === 'keras-h5' ? ', whose MD5 is that of no file that Keras publishes' : '';
  return `the classifier starts from the ${format} file with sha256 ${sha256}${md5}; what it was trained on is for you to know`;
}

/** The current weights where they are the best ones: right after the best epoch. */
function bestSoFar(task: TrainClassifierTask, state: TrainingState, current: () => WeightValues): WeightValues | null {
  const { epoch, position, schedule } = state;
  return task.config.restoreBest && epoch > 0 && position === 0 && schedule.bestEpoch === epoch ? current() : null;
}

function isFinished({ task }: Training, { epoch, schedule }: TrainingState): boolean {
  return epoch >= task.config.epochs || schedule.stopped;
}

/** The rest of one epoch and its validation; incomplete when aborted, or due to be saved, on the way. */
async function runEpoch(
  training: Training,
  progress: Progress,
  { context, clock }: { readonly context: EngineContext; readonly clock: SaveClock },
): Promise<{ readonly progress: Progress; readonly complete: boolean }> {
  const { task, sets, stepsPerEpoch } = training;
  const { batchSize, epochs } = task.config;
  const { epoch, schedule } = progress.state;
  const { learningRate } = schedule;
  let { position, lossSum } = progress.state;
  const stopped = (): { progress: Progress; complete: false } => ({
    progress: { ...progress, state: { ...progress.state, position, lossSum } },
    complete: false,
  });
  const from = position;
  while (position < stepsPerEpoch) {
    if (context.signal.aborted || (position > from && clock.isDue())) return stopped();
    lossSum += training.trainBatch({ epoch, position, learningRate });
    position += 1;
    await report(context, 'train', (epoch * stepsPerEpoch + position) * batchSize, epochs * stepsPerEpoch * batchSize);
  }
  const validation = await training.validate({ epoch, learningRate }, async (done) => {
    await report(context, 'measure', done, sets.validation.images.length);
    return !context.signal.aborted;
  });
  if (validation === null) return stopped();
  return { progress: endEpoch(training, progress, { trainLoss: lossSum / stepsPerEpoch, validation }), complete: true };
}

function endEpoch(
  { task, model, phases, phaseAfter }: Training,
  { state, best }: Progress,
  { trainLoss, validation }: { readonly trainLoss: number; readonly validation: Validation },
): Progress {
  const epoch = state.epoch + 1;
  const { earlyStoppingPatience: earlyStopping } = phaseAfter(state.epoch);
  const ended = advanceSchedule(
    state.schedule,
    { epoch, validationLoss: validation.loss },
    { plateau: task.config.plateauPatience, earlyStopping },
  );
  const next = phases.find(({ fromEpoch }) => fromEpoch === epoch);
  const schedule = next === undefined ? ended : startPhase(ended, next);
  const record: EpochRecord = {
    epoch,
    learningRate: state.schedule.learningRate,
    trainLoss,
    validationLoss: validation.loss,
    validationAccuracy: validation.accuracy,
    validationAuc: validation.auc,
  };
  const { pretrained, recoveries } = state;
  const isPublished = !task.config.restoreBest || schedule.bestEpoch === epoch;
  const validationLogOdds = isPublished ? validation.logOdds : state.validationLogOdds;
  const history = [...state.history, record];
  const after = { epoch, position: 0, lossSum: 0, schedule, history, recoveries, validationLogOdds, pretrained };
  return { state: after, best: bestSoFar(task, after, () => copyWeights(model)) ?? best };
}

/** Writes checkpoint, weights to publish and TensorBoard events, and hands them over. */
async function commit(
  training: Training,
  context: EngineContext,
  { state, best }: Progress,
  complete: boolean,
): Promise<void> {
  await report(context, 'checkpoint', 0, 1);
  const { model, parts } = training;
  const at = `${String(state.epoch).padStart(4, '0')}${complete ? '' : `-${state.position}`}`;
  const file = (name: string): string => path.join(context.workDir, name);
  const checkpointFile = file(`classifier-checkpoint-${at}.safetensors`);
  const weightsFile = file(`classifier-weights-${at}.safetensors`);
  // Right after the best epoch the weights are the best ones; they are stored once.
  const bestIsCurrent = complete && state.schedule.bestEpoch === state.epoch;
  await writeCheckpoint(checkpointFile, parts, { state, best: bestIsCurrent ? null : best });
  await writeWeights(weightsFile, model, best ?? copyWeights(model));
  const validationFile = state.validationLogOdds === null ? null : file(`classifier-validation-${at}.jsonl`);
  if (validationFile !== null) await writeFile(validationFile, validationLines(training, state));
  const record = complete ? state.history.at(-1) : undefined;
  const eventsFile = record === undefined ? null : file(`classifier-events-${at}.tfevents`);
  if (record !== undefined && eventsFile !== null) await writeFile(eventsFile, encodeEventFile([eventOf(record)]));
  await context.emit({
    type: 'classifierCheckpoint',
    epoch: state.epoch,
    complete,
    checkpointFile,
    weightsFile,
    weightsEpoch: best === null ? state.epoch : state.schedule.bestEpoch,
    validationFile,
    eventsFile,
    history: state.history,
    finished: isFinished(training, state),
  });
}

/** JSON lines of what the weights to publish say about the validation images. */
function validationLines({ sets }: Training, { validationLogOdds }: TrainingState): string {
  const line = (logOdds: number, i: number): string => {
    const score: ValidationScore = { side: sets.validation.labels[i] === 1 ? 'positive' : 'negative', logOdds };
    return `${JSON.stringify(score)}\n`;
  };
  return (validationLogOdds ?? []).map(line).join('');
}

function eventOf(record: EpochRecord): { readonly step: number; readonly scalars: Record<string, number> } {
  const { epoch, learningRate, trainLoss, validationLoss, validationAccuracy, validationAuc } = record;
  const scalars = {
    'loss/train': trainLoss,
    'loss/validation': validationLoss,
    'accuracy/validation': validationAccuracy,
    'auc/validation': validationAuc,
    learningRate,
  };
  return { step: epoch, scalars };
}

async function report(context: EngineContext, phase: EnginePhase, done: number, total: number): Promise<void> {
  await context.emit({ type: 'progress', phase, done, total });
}
