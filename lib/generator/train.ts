import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import type {
  EngineContext,
  GeneratorCheckpointEvent,
  TrainGeneratorOutput,
  TrainGeneratorTask,
  TrainingTrouble,
} from '../../contract/engine.ts';
import type { TickRecord } from '../../contract/manifests.ts';
import { snapshotNimgs, tickNimgOf } from '../../contract/plan.ts';
import { loadShardImages } from '../dataset/shard.ts';
import { loadEngine } from '../engine/backend.ts';
import { nativeBackend } from '../engine/native-backend.ts';
import { startSaveClock } from '../engine/save-clock.ts';
import { encodeGrid } from '../image/grid.ts';
import type { RawImage } from '../image/raw-image.ts';
import { encodeEventFile, type EventHistogram } from '../tensorboard/event-file.ts';
import { histogramOf } from '../tensorboard/histogram.ts';
import { discriminatorVariables, generatorVariables, networkShapeOf, parameterCount } from './architecture.ts';
import { adapted, firstAdaptation } from './adaptation.ts';
import { loadCheckpoint, saveCheckpoint, saveSnapshot, trainingHash, type TrainingPosition } from './checkpoint.ts';
import { checkReals, createRealBatches, labelsOf, type Labels } from './data.ts';
import { hasCollapsed, similarityWithin } from './diversity.ts';
import { classesOfCells, gridFakes, realsGrid } from './grids.ts';
import { runIteration, type IterationContext } from './iteration.ts';
import { checkMemory, machineMemoryBytes } from './memory.ts';
import { createSampler, type Sampler } from './sampler.ts';
import { countSkips, divergedAfter, isSkipping, noSkips, stuckUpdate } from './skips.ts';
import { takeStartWeights } from './start-weights.ts';
import { createTrainingState, disposeTrainingState, type TrainingState } from './state.ts';
import { createTrainingSteps } from './steps.ts';
import { addToTick, emptyTick, endTick } from './tick.ts';
import { tickEvent } from './tick-event.ts';

/** The training loop of StyleGAN2 over one segment: iterations, ticks, snapshots, checkpoints. */

type TrainingEvent = Parameters<typeof encodeEventFile>[0][number];

interface Training {
  readonly task: TrainGeneratorTask;
  readonly context: EngineContext;
  readonly state: TrainingState;
  readonly sampler: Sampler;
  readonly iteration: IterationContext;
  readonly hash: string;
  /** Stream prefix of what stays the same when a training rolls back: initial weights, grid. */
  readonly stream: string;
  /** 1 - MS-SSIM of reals, 0 of a single one. */
  readonly realDiversity: number;
  readonly tickNimg: number;
  readonly snapshots: ReadonlySet<number>;
  /** Whether a training of any length has its tick and its snapshots there. */
  readonly isOnGrid: (nimg: number) => boolean;
}

/** What ended since the last checkpoint; emptied by the next. */
interface Pending {
  readonly ticks: TickRecord[];
  readonly events: TrainingEvent[];
}

const kimgName = (nimg: number): string => String(Math.floor(nimg / 1000)).padStart(6, '0');

/** What the grid shows at a snapshot. */
interface Shown {
  readonly fakes: readonly RawImage[];
  readonly msSsim: number | null;
}

function showFakes({ task, sampler, stream, iteration }: Training): Shown {
  const { seed, shape } = iteration;
  const fakes = gridFakes({ sampler, shape, size: task.config.gridSize, seed, stream });
  return { fakes, msSsim: similarityWithin(fakes, classesOfCells(fakes.length, shape.labels)) };
}

/** Says what is wrong with fakes that were diverse once and nearly are one image now; otherwise null. */
function describeCollapse(training: Training, { msSsim }: Shown, best: number): string | null {
  if (msSsim === null || !hasCollapsed({ fakes: 1 - msSsim, reals: training.realDiversity, best })) return null;
  return (
    `the generator collapsed: its images are nearly one, MS-SSIM ${msSsim.toFixed(3)} ` +
    `where it once was ${(1 - best).toFixed(3)} and that of the reals is ${(1 - training.realDiversity).toFixed(3)}`
  );
}

/** Of every weight of G and D, by its name. */
const weightHistograms = ({ g, d }: TrainingState): Record<string, EventHistogram> =>
  Object.fromEntries([...g.values(), ...d.values()].map((v) => [v.name, histogramOf(v.dataSync<'float32'>())]));

/** Writes snapshot weights and grid, and adds the grid and how alike its images are to the events. */
async function writeSnapshot(
  training: Training,
  nimg: number,
  options: { readonly shown: Shown; readonly pending: Pending },
): Promise<NonNullable<GeneratorCheckpointEvent['snapshot']>> {
  const { task, context, state, hash, iteration } = training;
  const { fakes, msSsim } = options.shown;
  const weightsFile = join(context.workDir, `network-snapshot-${nimg}.safetensors`);
  await saveSnapshot(weightsFile, { state, nimg, hash });
  const [columns, rows] = task.config.gridSize;
  const png = await encodeGrid(fakes, { columns, rows });
  const gridFile = join(context.workDir, `fakes${kimgName(nimg)}.png`);
  await writeFile(gridFile, png);
  const { resolution, channels } = iteration.shape;
  const image = { png, width: columns * resolution, height: rows * resolution, channels };
  const scalars = msSsim === null ? {} : { 'Progress/ms_ssim': msSsim };
  const histograms = task.config.histograms === true ? { histograms: weightHistograms(state) } : {};
  options.pending.events.push({ step: nimg, images: { fakes: image }, scalars, ...histograms });
  return { weightsFile, gridFile, msSsim };
}

/** Writes events to a file of that name; null when there are none. */
async function writeEvents(
  { context }: Training,
  name: string,
  events: readonly TrainingEvent[],
): Promise<string | null> {
  if (events.length === 0) return null;
  const file = join(context.workDir, `${name}.tfevents`);
  await writeFile(file, encodeEventFile(events));
  return file;
}

/** Ends the running tick: its record and its events go to `to`. */
function closeTick(
  { task, tickNimg }: Training,
  { nimg, tick, skips }: TrainingPosition,
  to: Pending,
): Pick<TrainingPosition, 'tick' | 'skips'> {
  const { config, rollBacks = 0 } = task;
  const { record, next } = endTick(tick, { nimg, tickNimg, skipped: skips.inTick });
  to.ticks.push(record);
  to.events.push(tickEvent(record, { config, tickNimg, rollBacks }));
  return { tick: next, skips: { ...skips, inTick: {} } };
}

/** Writes a checkpoint, with a snapshot where `shown` says what it shows, and hands everything over. */
async function commit(
  training: Training,
  position: TrainingPosition,
  options: { readonly pending: Pending; readonly complete: boolean; readonly shown: Shown | null },
): Promise<void> {
  const { context, state, hash } = training;
  const { untilNimg } = training.task;
  const { pending, complete, shown } = options;
  const { nimg } = position;
  await context.emit({ type: 'progress', phase: 'checkpoint', done: nimg, total: untilNimg });
  const checkpointFile = join(context.workDir, `checkpoint-${nimg}.safetensors`);
  await saveCheckpoint(checkpointFile, { state, position, hash });
  // What is there only because the training ends here; the checkpoint knows nothing of it.
  const ending: Pending = { ticks: [], events: [] };
  const ends = nimg >= untilNimg && !training.isOnGrid(nimg);
  if (ends && nimg % training.tickNimg !== 0) closeTick(training, position, ending);
  const snapshot = shown && (await writeSnapshot(training, nimg, { shown, pending: ends ? ending : pending }));
  const eventsFile = await writeEvents(training, `events-${nimg}`, pending.events);
  const endFile = await writeEvents(training, `events-${nimg}-end`, ending.events);
  const ticks = [...pending.ticks, ...ending.ticks];
  await context.emit({
    ...{ type: 'generatorCheckpoint', nimg, complete: complete && !ends, checkpointFile, snapshot, eventsFile, ticks },
    ...(isSkipping(position.skips) && { skipping: true }),
    ...(endFile !== null && { end: { ticks: ending.ticks.length, eventsFile: endFile } }),
  });
  pending.ticks.length = 0;
  pending.events.length = 0;
}

/**
 * Iterates from `start` to the end of the segment, until aborted or until something is wrong; returns the images shown. What
 * is wrong is committed never; a checkpoint made while updates are skipped says so.
 */
async function iterate(
  training: Training,
  start: TrainingPosition,
): Promise<{ readonly nimg: number; readonly trouble: TrainingTrouble | null }> {
  const { task, context, iteration, tickNimg, snapshots } = training;
  const { untilNimg, config } = task;
  const pending: Pending = { ticks: [], events: [] };
  let { nimg, tick, adaptation, skips } = start;
  let mostDiverse = task.mostDiverse ?? 0;
  const commitWhole = async (): Promise<string | null> => {
    const shown = snapshots.has(nimg) ? showFakes(training) : null;
    const collapse = shown && describeCollapse(training, shown, mostDiverse);
    if (collapse !== null) return collapse;
    await commit(training, { nimg, tick, adaptation, skips }, { pending, complete: true, shown });
    // Untrained networks may make images that differ in everything.
    if (typeof shown?.msSsim === 'number' && nimg > 0) mostDiverse = Math.max(mostDiverse, 1 - shown.msSsim);
    return null;
  };
  if (task.checkpointFile === null) await commitWhole();
  let committed = nimg;
  const clock = startSaveClock(context.saveEveryMs);
  while (nimg < untilNimg) {
    // TensorFlow calls block: this is where messages, and with them the abort signal, get through.
    await setImmediate();
    const { aborted } = context.signal;
    if (nimg > committed && (aborted || clock.isDue())) {
      const position = { nimg, tick, adaptation, skips };
      await commit(training, position, { pending, complete: false, shown: null });
      committed = nimg;
      clock.restart();
    }
    if (aborted) return { nimg, trouble: null };
    const { values, skipped } = runIteration(iteration, nimg, adaptation?.p ?? 0);
    nimg += config.batchSize;
    skips = countSkips(skips, skipped);
    const stuck = stuckUpdate(skips);
    if (stuck !== null)
      return {
        nimg,
        trouble: { nimg, reason: `${stuck} diverged: ${divergedAfter} updates in a row were not finite` },
      };
    tick = addToTick(tick, values);
    if (values.rt !== undefined) adaptation &&= adapted(adaptation, values.rt, config);
    if (nimg % tickNimg === 0) ({ tick, skips } = closeTick(training, { nimg, tick, adaptation, skips }, pending));
    await context.emit({ type: 'progress', phase: 'train', done: nimg, total: untilNimg });
    if (snapshots.has(nimg) || nimg >= untilNimg) {
      const collapse = await commitWhole();
      if (collapse !== null) return { nimg, trouble: { nimg, reason: collapse } };
      committed = nimg;
      clock.restart();
    }
  }
  return { nimg, trouble: null };
}

/** Builds the networks, steps and streams of a training; `dispose` frees all of it. */
function createTraining(
  task: TrainGeneratorTask,
  context: EngineContext,
  { images, labels }: { readonly images: readonly RawImage[]; readonly labels: Labels | null },
): Training & { readonly dispose: () => void } {
  const { config, image, seed, rollBacks = 0 } = task;
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
  const tickNimg = tickNimgOf(config, image.resolution);
  const snapshots = new Set(snapshotNimgs(config, image.resolution));
  // A training that went back is not to fail in the same way again.
  const draws = rollBacks === 0 ? stream : `${stream}/roll-back-${rollBacks}`;
  const reals = createRealBatches({ images, seed, stream: draws, mirror: config.mirrorAugment, labels });
  return {
    task,
    context,
    state,
    sampler,
    iteration: { steps, reals, labels, config, shape, seed, stream: draws },
    hash: trainingHash(task),
    stream,
    realDiversity: 1 - (similarityWithin(images, labels?.byImage ?? images.map(() => 0)) ?? 1),
    tickNimg,
    snapshots,
    isOnGrid: (nimg) => nimg % (snapshots.has(nimg) ? tickNimg * config.snapshotTicks : tickNimg) === 0,
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
  return { nimg: 0, tick: emptyTick, adaptation: firstAdaptation(config), skips: noSkips };
}

/**
 * Trains the generator of one class, or of both with their labels, up to `task.untilNimg` images, until the context's signal
 * is aborted, or until the training diverges or collapses (`trouble`). Everything drawn is a function of seed, class, number
 * of roll-backs and image count, so that a resumed training equals an uninterrupted one bit for bit.
 * @throws DatasetError when the shards hold fewer images than a minibatch, none of a class, or others than the configuration says
 * @throws ConfigurationError when it needs more memory than this machine has
 * @throws WeightsError when the checkpoint belongs to another training, or the weights to start from to other networks
 */
export async function trainGenerator(task: TrainGeneratorTask, context: EngineContext): Promise<TrainGeneratorOutput> {
  const { config, untilNimg } = task;
  await context.emit({ type: 'progress', phase: 'load', done: 0, total: untilNimg });
  await loadEngine();
  const shape = networkShapeOf(config, task.image);
  // A GPU has memory of its own.
  if (nativeBackend()?.isUsingGpuDevice !== true) checkMemory(shape, config, machineMemoryBytes());
  const { images, entries } = await loadShardImages(task.shards);
  const labels = config.conditional === true ? labelsOf(entries) : null;
  checkReals(images, shape, config.batchSize);
  const realsGridFile = join(context.workDir, 'reals.png');
  await writeFile(realsGridFile, await realsGrid(images, config.gridSize, labels));
  const training = createTraining(task, context, { images, labels });
  try {
    const start = await startOf(training, task);
    await context.emit({ type: 'progress', phase: 'trace', done: start.nimg, total: untilNimg });
    const { nimg, trouble } = await iterate(training, start);
    if (trouble !== null) await context.emit({ type: 'notice', level: 'warn', text: trouble.reason });
    const g = parameterCount(generatorVariables(shape));
    const d = parameterCount(discriminatorVariables(shape));
    return { nimg, parameters: { g, d }, images: images.length, realsGridFile, trouble };
  } finally {
    training.dispose();
  }
}
