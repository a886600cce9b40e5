import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import type { EngineContext, TrainGeneratorOutput, TrainGeneratorTask } from '../../contract/engine.ts';
import type { TickRecord } from '../../contract/manifests.ts';
import { snapshotNimgs, tickNimgOf } from '../../contract/plan.ts';
import { loadShardImages } from '../dataset/shard.ts';
import { loadEngine } from '../engine/backend.ts';
import { DivergedError } from '../errors.ts';
import type { RawImage } from '../image/raw-image.ts';
import { encodeEventFile } from '../tensorboard/event-file.ts';
import { discriminatorVariables, generatorVariables, networkShapeOf, parameterCount } from './architecture.ts';
import { adapted, firstAdaptation } from './adaptation.ts';
import { loadCheckpoint, saveCheckpoint, saveSnapshot, trainingHash, type TrainingPosition } from './checkpoint.ts';
import { checkReals, createRealBatches } from './data.ts';
import { fakesGrid, realsGrid } from './grids.ts';
import { runIteration, type IterationContext } from './iteration.ts';
import { createSampler, type Sampler } from './sampler.ts';
import { takeStartWeights } from './start-weights.ts';
import { createTrainingState, disposeTrainingState, type TrainingState } from './state.ts';
import { createTrainingSteps } from './steps.ts';
import { addToTick, emptyTick, endTick } from './tick.ts';

/** The training loop of StyleGAN2 over one segment: iterations, ticks, snapshots, checkpoints. */

type TrainingEvent = Parameters<typeof encodeEventFile>[0][number];

interface Training {
  readonly task: TrainGeneratorTask;
  readonly context: EngineContext;
  readonly state: TrainingState;
  readonly sampler: Sampler;
  readonly iteration: IterationContext;
  readonly hash: string;
  readonly tickNimg: number;
  readonly snapshots: ReadonlySet<number>;
}

/** What ended since the last checkpoint; emptied by the next. */
interface Pending {
  readonly ticks: TickRecord[];
  readonly events: TrainingEvent[];
}

/** Scalars of one tick under the names of the original. */
function tickEvent(record: TickRecord): TrainingEvent {
  return {
    step: record.nimg,
    scalars: {
      'Progress/tick': record.tick,
      'Progress/kimg': record.nimg / 1000,
      'Loss/G': record.lossG,
      'Loss/D': record.lossD,
      'Loss/scores/real': record.scoresReal,
      'Loss/scores/fake': record.scoresFake,
      'Loss/gradient_penalty': record.r1Penalty,
      'Loss/pl_lengths': record.pathLength,
      'Loss/pl_penalty': record.plPenalty,
      ...(record.rt !== null && { 'Loss/signs/real': record.rt }),
      'Progress/augment': record.augmentP,
    },
  };
}

const kimgName = (nimg: number): string => String(Math.floor(nimg / 1000)).padStart(6, '0');

/** Writes snapshot weights and grid, and adds the grid to the events. */
async function writeSnapshot(
  training: Training,
  nimg: number,
  pending: Pending,
): Promise<{ weightsFile: string; gridFile: string }> {
  const { task, context, state, sampler, hash, iteration } = training;
  const { seed, stream, shape } = iteration;
  const weightsFile = join(context.workDir, `network-snapshot-${nimg}.safetensors`);
  await saveSnapshot(weightsFile, { state, nimg, hash });
  const [columns, rows] = task.config.gridSize;
  const png = await fakesGrid({ sampler, shape, size: [columns, rows], seed, stream });
  const gridFile = join(context.workDir, `fakes${kimgName(nimg)}.png`);
  await writeFile(gridFile, png);
  const { resolution, channels } = shape;
  const image = { png, width: columns * resolution, height: rows * resolution, channels };
  pending.events.push({ step: nimg, images: { fakes: image } });
  return { weightsFile, gridFile };
}

/** Writes a checkpoint, with a snapshot where one is due, and hands everything over. */
async function commit(
  training: Training,
  position: TrainingPosition,
  options: { readonly pending: Pending; readonly complete: boolean },
): Promise<void> {
  const { context, state, hash, snapshots } = training;
  const { pending, complete } = options;
  const { nimg } = position;
  await context.emit({ type: 'progress', phase: 'checkpoint', done: nimg, total: training.task.untilNimg });
  const checkpointFile = join(context.workDir, `checkpoint-${nimg}.safetensors`);
  await saveCheckpoint(checkpointFile, { state, position, hash });
  const snapshot = complete && snapshots.has(nimg) ? await writeSnapshot(training, nimg, pending) : null;
  let eventsFile: string | null = null;
  if (pending.events.length > 0) {
    eventsFile = join(context.workDir, `events-${nimg}.tfevents`);
    await writeFile(eventsFile, encodeEventFile(pending.events));
  }
  const ticks = [...pending.ticks];
  await context.emit({ type: 'generatorCheckpoint', nimg, complete, checkpointFile, snapshot, eventsFile, ticks });
  pending.ticks.length = 0;
  pending.events.length = 0;
}

function checkFinite(values: Readonly<Record<string, number>>, nimg: number): void {
  for (const [name, value] of Object.entries(values))
    if (!Number.isFinite(value))
      throw new DivergedError(
        `${name} is ${value} at ${nimg} images, expected a finite number; lower generator.learningRate or raise generator.r1Gamma`,
      );
}

/** Iterates from `start` to the end of the segment or until aborted; returns the images shown. */
async function iterate(training: Training, start: TrainingPosition): Promise<number> {
  const { task, context, iteration, tickNimg, snapshots } = training;
  const { untilNimg, config } = task;
  const pending: Pending = { ticks: [], events: [] };
  let { nimg, tick, adaptation } = start;
  if (task.checkpointFile === null) await commit(training, start, { pending, complete: true });
  let committed = nimg;
  while (nimg < untilNimg) {
    // TensorFlow calls block: this is where messages, and with them the abort signal, get through.
    await setImmediate();
    if (context.signal.aborted) {
      if (nimg > committed) await commit(training, { nimg, tick, adaptation }, { pending, complete: false });
      return nimg;
    }
    const values = runIteration(iteration, nimg, adaptation?.p ?? 0);
    nimg += config.batchSize;
    checkFinite(values, nimg);
    tick = addToTick(tick, values);
    adaptation &&= adapted(adaptation, values.rt, config);
    if (nimg % tickNimg === 0 || nimg >= untilNimg) {
      const { record, next } = endTick(tick, { nimg, tickNimg });
      tick = next;
      pending.ticks.push(record);
      pending.events.push(tickEvent(record));
    }
    await context.emit({ type: 'progress', phase: 'train', done: nimg, total: untilNimg });
    if (snapshots.has(nimg) || nimg >= untilNimg) {
      await commit(training, { nimg, tick, adaptation }, { pending, complete: true });
      committed = nimg;
    }
  }
  return nimg;
}

/** Builds the networks, steps and streams of a training; `dispose` frees all of it. */
function createTraining(
  task: TrainGeneratorTask,
  context: EngineContext,
  images: readonly RawImage[],
): Training & { readonly dispose: () => void } {
  const { config, image, seed } = task;
  const { settings } = context;
  const shape = networkShapeOf(config, image);
  const stream = `generator/${task.side}`;
  const state = createTrainingState({ shape, config, seed, stream });
  const steps = createTrainingSteps({ state, config, settings });
  const sampler = createSampler({
    name: 'grid',
    weights: state.gs,
    wAvg: state.wAvg,
    shape,
    settings,
    batchSize: steps.mainImages,
  });
  const reals = createRealBatches({ images, seed, stream, mirror: config.mirrorAugment });
  return {
    task,
    context,
    state,
    sampler,
    iteration: { steps, reals, config, shape, seed, stream },
    hash: trainingHash(task),
    tickNimg: tickNimgOf(config, image.resolution),
    snapshots: new Set(snapshotNimgs(config, image.resolution)),
    dispose: () => {
      sampler.dispose();
      steps.dispose();
      disposeTrainingState(state);
    },
  };
}

/** Fills a new training from its checkpoint, or from the weights that it starts from; returns where it stands. */
async function startOf({ state, hash }: Training, task: TrainGeneratorTask): Promise<TrainingPosition> {
  const { config, checkpointFile, startFile } = task;
  if (checkpointFile !== null) return await loadCheckpoint(checkpointFile, { state, hash });
  if (startFile !== null) await takeStartWeights(startFile, state, config.freezeD ?? 0);
  return { nimg: 0, tick: emptyTick, adaptation: firstAdaptation(config) };
}

/**
 * Trains one class's generator up to `task.untilNimg` images, or until the context's signal is aborted. Everything drawn
 * is a function of seed, class and image count, so that a resumed training equals an uninterrupted one bit for bit.
 * @throws DatasetError when the shards hold no usable image
 * @throws WeightsError when the checkpoint belongs to another training, or the weights to start from to other networks
 * @throws DivergedError when a loss is no longer finite
 */
export async function trainGenerator(task: TrainGeneratorTask, context: EngineContext): Promise<TrainGeneratorOutput> {
  const { config, untilNimg } = task;
  await context.emit({ type: 'progress', phase: 'load', done: 0, total: untilNimg });
  await loadEngine();
  const { images } = await loadShardImages(task.shards);
  const shape = networkShapeOf(config, task.image);
  checkReals(images, shape);
  const realsGridFile = join(context.workDir, 'reals.png');
  await writeFile(realsGridFile, await realsGrid(images, config.gridSize));
  const training = createTraining(task, context, images);
  try {
    const start = await startOf(training, task);
    await context.emit({ type: 'progress', phase: 'trace', done: start.nimg, total: untilNimg });
    const nimg = await iterate(training, start);
    const g = parameterCount(generatorVariables(shape));
    const d = parameterCount(discriminatorVariables(shape));
    return { nimg, parameters: { g, d }, images: images.length, realsGridFile };
  } finally {
    training.dispose();
  }
}
