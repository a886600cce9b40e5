import { createHash } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Context } from '@temporalio/activity';
import type {
  ClassifierSegmentResult,
  GeneratorSegmentResult,
  TrainClassifierSegmentInput,
  TrainGeneratorSegmentInput,
} from '../contract/activities.ts';
import { canonicalJson } from '../contract/canonical-json.ts';
import type {
  EngineEvent,
  EngineRunner,
  EngineSettings,
  EngineTasks,
  GeneratorCheckpointEvent,
  LocalShard,
  TrainingTrouble,
} from '../contract/engine.ts';
import type {
  DatasetManifest,
  FilteredSetManifest,
  Fingerprint,
  PerClass,
  ShardRef,
  TrainedSide,
} from '../contract/manifests.ts';
import { generatorTraining, trainingName } from '../contract/names.ts';
import { classifierInputSize } from '../contract/plan.ts';
import {
  classifierStateSchema,
  generatorStateSchema,
  newClassifierState,
  newGeneratorState,
  type ClassifierState,
  type GeneratorState,
} from '../contract/training-state.ts';
import { maxWeightFileBytes, planNetwork } from '../lib/classifier/shape-layers.ts';
import { requireMinibatches } from '../lib/generator/data.ts';
import {
  awaitingDecision,
  describeTraining,
  mayRollBack,
  mostDiverse,
  rolledBack,
} from '../lib/generator/roll-back.ts';
import { withoutEnd } from '../lib/generator/training-end.ts';
import { getManifest, putBlobFile } from '../lib/storage/blobs.ts';
import { activityLabels, shutdownFailure, stoppedByWorkflow, withWorkDir } from './activity-support.ts';
import { exchangeFeatures } from './feature-files.ts';
import { fetchShards, type LocalDeps } from './local-inputs.ts';
import { fetchPretrained } from './pretrained.ts';
import { fetchStart } from './start-weights.ts';
import { openTraining, type Training } from './training-session.ts';

export interface TrainingDeps extends LocalDeps {
  readonly engine: EngineRunner;
  readonly fingerprintOf: (settings: EngineSettings) => Promise<Fingerprint>;
}

/** Takes the newest sign of life; the activity beats with it from a timer, for as long as the engine host vouches. */
type Beat = (details: unknown) => void;

/**
 * One segment of whole ticks. What was trained before, by whichever attempt, is in the head pointer. A training in trouble
 * rolls back and goes on, until it has done so too often (lib/generator/roll-back.ts).
 */
export async function trainGeneratorSegment(
  deps: TrainingDeps,
  { study, side, variant, dataset, untilNimg, bestNimg, resumes = 0 }: TrainGeneratorSegmentInput,
  beat: Beat,
): Promise<GeneratorSegmentResult> {
  const { studyId, generator, image, seed } = study;
  const { totalKimg, segmentTicks, ...shape } = generator;
  const settings = settingsOf(study);
  const trained: TrainedSide = generator.conditional === true ? 'both' : side;
  const training = await openTraining<GeneratorState>(deps, {
    studyId,
    name: generatorTraining(study.classes[side], { ...generator, variant }),
    // The total and the cut into segments may change on the way; they change no byte of what was trained before.
    configSha256: hashOf({ shape, image, seed, side: trained, dataset, settings }),
    schema: generatorStateSchema,
    initial: newGeneratorState,
    fingerprint: await deps.fingerprintOf(settings),
  });
  const isOver = (): boolean => training.state().nimg >= untilNimg && training.state().parameters !== null;
  const onEvent = async (event: EngineEvent): Promise<void> => {
    if (event.type === 'generatorCheckpoint') await commitCheckpoint(deps, training, { event, bestNimg });
  };
  const goOn = async (workDir: string): Promise<TrainingTrouble | null> => {
    if (training.state().nimg < untilNimg && training.state().end) await training.move(withoutEnd(training.state()));
    const { train } = (await getManifest<DatasetManifest>(deps.store, dataset)).training;
    const checkpointFile = await training.fetchCheckpoint(workDir);
    // Only a training that begins needs them.
    const started = checkpointFile === null ? await fetchStart(deps.store, study, workDir) : null;
    if (started !== null) await training.move({ ...training.state(), start: started.start });
    const before = training.state();
    const input = {
      config: generator,
      image,
      seed,
      side: trained,
      shards: await fetchShards(deps, trained === 'both' ? [...train.negative, ...train.positive] : train[trained]),
      checkpointFile,
      startFile: started?.file ?? null,
      untilNimg,
      rollBacks: before.rollBacks?.length ?? 0,
      mostDiverse: mostDiverse(before),
    };
    const output = await runTraining(deps, 'trainGenerator', {
      studyId,
      training: training.name,
      ...{ settings, workDir, input, beat, onEvent },
    });
    const { parameters, images, realsGridFile, trouble } = output;
    const realsGrid = await putBlobFile(deps.store, realsGridFile);
    await training.move({ ...training.state(), parameters, images, realsGrid, ...(trouble && { trouble }) });
    return trouble;
  };
  while (!isOver()) {
    const trouble = training.state().trouble ?? (await withWorkDir(deps.workDir, goOn));
    if (trouble === null || !(await tryRollBack(training, trouble, resumes))) break;
  }
  const state = training.state();
  const waits = !isOver() && state.trouble !== undefined;
  const interrupted = state.nimg < untilNimg && !waits;
  if (interrupted && !stoppedByWorkflow()) throw shutdownFailure(`saved at ${state.nimg / 1000} kimg`);
  const notes = describeTraining(state);
  return {
    nimg: state.nimg,
    snapshots: state.snapshots.map((s) => ({ nimg: s.nimg, weights: s.weights })),
    interrupted,
    ...(notes.length > 0 && { notes }),
    ...(waits && { trouble: state.trouble.reason }),
  };
}

/** Deletes what is in the store now: the files of a segment would fill the disk with every checkpoint that it makes. */
async function discard(files: readonly (string | null | undefined)[]): Promise<void> {
  for (const file of files) if (typeof file === 'string') await rm(file, { force: true });
}

/** Takes the files of a checkpoint over, blobs first. */
async function commitCheckpoint(
  { store }: TrainingDeps,
  training: Training<GeneratorState>,
  { event, bestNimg }: { readonly event: GeneratorCheckpointEvent; readonly bestNimg: number | null },
): Promise<void> {
  const { nimg, complete, skipping = false, snapshot, end } = event;
  const before = training.state();
  const ordinal = snapshot === null || end ? null : before.snapshots.length;
  const position = { at: nimg, best: bestNimg, snapshot: ordinal, ...(skipping && { skipping }) };
  await training.commit(event, position, async (common) => ({
    ...before,
    ...common,
    nimg,
    complete,
    ticks: [...before.ticks, ...event.ticks],
    snapshots:
      snapshot === null
        ? before.snapshots
        : [
            ...before.snapshots,
            {
              nimg,
              weights: await putBlobFile(store, snapshot.weightsFile),
              grid: await putBlobFile(store, snapshot.gridFile),
              ...(snapshot.msSsim !== null && { msSsim: snapshot.msSsim }),
            },
          ],
    ...(end && {
      events: [...common.events, await putBlobFile(store, end.eventsFile)],
      end: { ticks: end.ticks, snapshots: snapshot === null ? 0 : 1 },
    }),
  }));
  await discard([event.checkpointFile, event.eventsFile, snapshot?.weightsFile, snapshot?.gridFile, end?.eventsFile]);
}

/** Goes back to a good checkpoint; false when a person must decide first. */
async function tryRollBack(
  training: Training<GeneratorState>,
  trouble: TrainingTrouble,
  resumes: number,
): Promise<boolean> {
  const may = mayRollBack(training.state(), resumes);
  const earlier = may ? rolledBack(training.state(), trouble) : awaitingDecision(training.state());
  if (earlier !== null) await training.rollBack(earlier.state, earlier.dropped);
  if (!may || earlier === null) return false;
  const text = `${training.name}: ${trouble.reason}; back to ${earlier.state.nimg / 1000} kimg, on with other draws`;
  Context.current().log.warn(text, activityLabels());
  return true;
}

/**
 * One segment of whole epochs.
 * @throws DatasetError when the study's generators cannot train on the data set: nothing else looks at it before hours of this
 */
export async function trainClassifierSegment(
  deps: TrainingDeps,
  { study, images, untilEpoch, ...which }: TrainClassifierSegmentInput,
  beat: Beat,
): Promise<ClassifierSegmentResult> {
  const { studyId, classifier, seed, image } = study;
  const settings = settingsOf(study);
  const inputSize = classifierInputSize(study);
  const { segmentEpochs, ...shape } = classifier;
  const name = `classifier/${trainingName(which)}`;
  const training = await openTraining<ClassifierState>(deps, {
    studyId,
    name,
    configSha256: hashOf({ shape, inputSize, seed, images, settings }),
    schema: classifierStateSchema,
    initial: newClassifierState,
    fingerprint: await deps.fingerprintOf(settings),
  });
  const isOver = (): boolean => training.state().finished || training.state().epoch >= untilEpoch;
  if (!isOver() || training.state().parameters === null)
    await withWorkDir(deps.workDir, async (workDir) => {
      const manifest = await getManifest<DatasetManifest | FilteredSetManifest>(deps.store, images);
      if (manifest.kind === 'dataset') requireMinibatches(manifest.counts.train, study);
      const sets = manifest.training;
      const checkpointFile = await training.fetchCheckpoint(workDir);
      const input = {
        config: classifier,
        inputSize,
        channels: image.channels,
        seed,
        stream: name,
        train: await fetchPerClass(deps, sets.train),
        validation: await fetchPerClass(deps, sets.validation),
        // Only a training that begins, or may go back to its beginning, needs them.
        pretrainedFile:
          classifier.weights === null || training.state().epoch > 0
            ? null
            : await fetchPretrained(deps.store, classifier.weights, {
                dir: join(workDir, 'pretrained'),
                maxBytes: maxWeightFileBytes(planNetwork({ ...classifier, classes: 2 }, inputSize)),
                field: 'classifier.weights',
              }),
        checkpointFile,
        recoveries: training.state().recoveries,
        untilEpoch,
      };
      const onEvent = async (event: EngineEvent): Promise<void> => {
        if (event.type === 'featureFile') await exchangeFeatures(deps.store, study, event);
        if (event.type === 'classifierRecovery') {
          const { recoveries, checkpointFile: file } = event;
          const before = training.state();
          await training.goBack({ at: before.epoch === 0 ? null : before.epoch, file }, (common) => ({
            ...{ ...before, ...common, recoveries: [...recoveries] },
          }));
        }
        if (event.type !== 'classifierCheckpoint') return;
        const { epoch, complete, weightsEpoch, history, finished } = event;
        await training.commit(event, { at: epoch, best: null, snapshot: null }, async (common) => ({
          ...training.state(),
          ...common,
          epoch,
          complete,
          weights: await putBlobFile(deps.store, event.weightsFile),
          weightsEpoch,
          validation: event.validationFile === null ? null : await putBlobFile(deps.store, event.validationFile),
          history: [...history],
          finished,
        }));
        await discard([event.checkpointFile, event.weightsFile, event.validationFile, event.eventsFile]);
      };
      const output = await runTraining(deps, 'trainClassifier', {
        studyId,
        training: training.name,
        settings,
        workDir,
        input,
        beat,
        onEvent,
      });
      const { parameters, finished, pretrained } = output;
      await training.move({ ...training.state(), parameters, finished, pretrained, images: output.images });
    });
  const { epoch, finished, history, recoveries } = training.state();
  const interrupted = !isOver();
  if (interrupted && !stoppedByWorkflow()) throw shutdownFailure(`saved after ${epoch} epochs`);
  const result = { epoch, finished, interrupted, last: history.at(-1) ?? null };
  return recoveries.length === 0 ? result : { ...result, recoveries: recoveries.length };
}

const settingsOf = ({ precision, execution }: EngineSettings): EngineSettings => ({ precision, execution });

const hashOf = (value: unknown): string => createHash('sha256').update(canonicalJson(value)).digest('hex');

/** A group of its own: the engine process stays warm, and compiled, across the segments of one training. */
async function runTraining<T extends 'trainGenerator' | 'trainClassifier'>(
  deps: TrainingDeps,
  task: T,
  options: {
    readonly studyId: string;
    readonly training: string;
    readonly settings: EngineSettings;
    readonly workDir: string;
    readonly input: EngineTasks[T]['input'];
    readonly beat: Beat;
    readonly onEvent: (event: EngineEvent) => Promise<void>;
  },
): Promise<EngineTasks[T]['output']> {
  const { settings, workDir, input } = options;
  return await deps.engine.run(task, input, {
    settings,
    workDir,
    group: `${options.studyId}/${options.training}`,
    signal: Context.current().cancellationSignal,
    labels: activityLabels(),
    onEvent: async (event) => {
      if (event.type === 'progress') options.beat(event);
      if (event.type === 'notice') Context.current().log[event.level](event.text, activityLabels());
      await options.onEvent(event);
    },
  });
}

async function fetchPerClass(
  deps: LocalDeps,
  { negative, positive }: PerClass<readonly ShardRef[]>,
): Promise<PerClass<LocalShard[]>> {
  return { negative: await fetchShards(deps, negative), positive: await fetchShards(deps, positive) };
}
