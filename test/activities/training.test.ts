import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { MockActivityEnvironment } from '@temporalio/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createControlActivities } from '../../activities/control.ts';
import { createGpuActivities } from '../../activities/gpu.ts';
import type {
  ClassifierSegmentResult,
  GeneratorSegmentResult,
  TrainClassifierSegmentInput,
  TrainGeneratorSegmentInput,
} from '../../contract/activities.ts';
import type {
  EngineEvent,
  EngineRunner,
  GeneratorCheckpointEvent,
  TrainClassifierTask,
  TrainGeneratorTask,
} from '../../contract/engine.ts';
import { trainingFileKey, trainingHeadKey } from '../../contract/keys.ts';
import type { ClassSide, DatasetManifest, GeneratorManifest, RefTo } from '../../contract/manifests.ts';
import type { ClassifierTraining } from '../../contract/names.ts';
import { resolveStudyFile } from '../../contract/resolve-study.ts';
import { classifierStateSchema, generatorStateSchema, newClassifierState } from '../../contract/training-state.ts';
import { getManifest, hashBytes, putManifest } from '../../lib/storage/blobs.ts';
import { createBlobCache } from '../../lib/storage/local-blobs.ts';
import { createMemoryStore } from '../../lib/storage/memory.ts';
import type { ObjectStore } from '../../lib/storage/object-store.ts';
import { readHead } from '../../lib/storage/training-head.ts';
import { fakeFingerprint } from '../support/fake-activities.ts';

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'echoforge-training-'));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

const file = {
  studyId: 's1',
  preset: 'demo',
  dataset: { name: 'busi' },
  classes: { negative: 'benign', positive: 'malignant' },
};
const study = resolveStudyFile(file);
const conditional = resolveStudyFile({ ...file, generator: { conditional: true } });

/** A real small engine: it trains nothing, says `said` at once, and then is silent for `silentMs`. */
const engineThat = (silentMs: number): EngineRunner => ({
  run: async (task, _input, { workDir, onEvent }) => {
    if (task === 'describeEngine') return fakeFingerprint as never;
    await onEvent({ type: 'progress', phase: 'trace', done: 0, total: 64 });
    await sleep(silentMs);
    const checkpointFile = join(workDir, 'checkpoint');
    await writeFile(checkpointFile, 'state at 64');
    const event = { type: 'generatorCheckpoint', nimg: 64, complete: true, checkpointFile } as const;
    await onEvent({ ...event, snapshot: null, eventsFile: null, ticks: [] });
    const realsGridFile = join(workDir, 'reals.png');
    await writeFile(realsGridFile, 'grid');
    return { nimg: 64, parameters: { g: 1, d: 1 }, images: 2, realsGridFile, trouble: null } as never; // of trainGenerator
  },
});

/**
 * What each run of the engine was given, and an engine that commits at 64 and finds trouble at 96, `times` times; before that
 * it saves at `savesAt`, as for a pause. At `skippingAt` it skips updates.
 */
function troubledEngine(
  times: number,
  { savesAt = null, skippingAt = null }: { savesAt?: number | null; skippingAt?: number | null } = {},
): { engine: EngineRunner; runs: TrainGeneratorTask[] } {
  const runs: TrainGeneratorTask[] = [];
  const engine: EngineRunner = {
    run: async (task, input, { workDir, onEvent }) => {
      if (task === 'describeEngine') return fakeFingerprint as never;
      const given = input as TrainGeneratorTask; // of trainGenerator
      runs.push(given);
      const trouble = runs.length <= times ? { nimg: 96, reason: 'TrainD diverged' } : null;
      const file = async (name: string): Promise<string> => {
        await writeFile(join(workDir, name), `${name} ${given.rollBacks}`);
        return join(workDir, name);
      };
      const commit = async (nimg: number): Promise<void> => {
        const snapshot = { weightsFile: await file(`w${nimg}`), gridFile: await file(`g${nimg}`), msSsim: 0.5 };
        const [checkpointFile, eventsFile] = [await file(`c${nimg}`), await file(`e${nimg}`)];
        const skipped = { TrainD: 1 };
        const tick = { ...noTick, tick: nimg / 64, nimg, skipped };
        const ticks = nimg === 0 ? [] : [tick];
        const event = { type: 'generatorCheckpoint', nimg, complete: true, checkpointFile } as const;
        await onEvent({ ...event, ...(nimg === skippingAt && { skipping: true }), snapshot, eventsFile, ticks });
      };
      if (given.checkpointFile === null) await commit(0);
      if (runs.length === 1) await commit(64);
      if (savesAt !== null && trouble !== null) {
        const checkpointFile = await file(`c${savesAt}`);
        const saved = { type: 'generatorCheckpoint', nimg: savesAt, complete: false, checkpointFile } as const;
        await onEvent({ ...saved, snapshot: null, eventsFile: null, ticks: [] });
      }
      if (trouble === null) await commit(128);
      const nimg = trouble?.nimg ?? 128;
      return { nimg, parameters: { g: 1, d: 1 }, images: 2, realsGridFile: await file('reals'), trouble } as never;
    },
  };
  return { engine, runs };
}

const noTick = {
  ...{
    lossG: 0,
    lossD: 0,
    scoresReal: 0,
    scoresFake: 0,
    r1Penalty: 0,
    pathLength: 0,
    plPenalty: 0,
    rt: 0,
    augmentP: 0,
  },
};

/** No image is there; `train` says how many there were. */
async function emptyDataset(
  store: ObjectStore,
  train = { negative: 16, positive: 16 },
): Promise<RefTo<DatasetManifest>> {
  const none = { negative: [], positive: [] };
  const counts = { negative: 0, positive: 0 };
  return await putManifest<DatasetManifest>(store, {
    ...{ kind: 'dataset', name: 'busi', classes: study.classes, ignored: [], image: study.image, splitUnit: 'group' },
    ...{ training: { train: none, validation: none }, test: none, groups: 0, fingerprint: fakeFingerprint },
    ...{ counts: { train, validation: counts, test: counts } },
    ...{ nearDuplicateGroups: [], setAside: [], rejected: [] },
  });
}

const segmentInput = async (store: ObjectStore): Promise<TrainGeneratorSegmentInput> => ({
  ...{ study, side: 'negative', dataset: await emptyDataset(store), untilNimg: 64, bestNimg: null },
});

type Trains = (
  input: TrainClassifierTask,
  emit: (event: EngineEvent) => Promise<void>,
  workDir: string,
) => Promise<void>;

/** Runs the segment of a classifier until epoch 2 on an engine that does what it is told. */
async function classifierSegment(store: ObjectStore, trains: Trains): Promise<ClassifierSegmentResult> {
  const engine: EngineRunner = {
    run: async (task, input, { workDir, onEvent }) => {
      if (task === 'describeEngine') return fakeFingerprint as never;
      await trains(input as TrainClassifierTask, onEvent, workDir); // the only other task of this segment
      const images = { train: { negative: 1, positive: 1 }, validation: { negative: 1, positive: 1 } };
      return { epoch: 2, finished: true, parameters: 1, pretrained: null, images } as never; // of trainClassifier
    },
  };
  const cache = createBlobCache({ dir: join(dir, 'blobs'), maxBytes: 1e6 });
  const gpu = createGpuActivities({ store, cache, workDir: dir, engine });
  const images = await emptyDataset(store);
  return await new MockActivityEnvironment({ attempt: 1 }).run(
    (input: TrainClassifierSegmentInput) => gpu.trainClassifierSegment(input),
    { study, variant: 'real' as const, images, untilEpoch: 2 },
  );
}

/** A checkpoint after `epoch` epochs, holding `content`. */
async function checkpointOf(workDir: string, epoch: number, content: string, complete = true): Promise<EngineEvent> {
  const file = join(workDir, content);
  await writeFile(file, content);
  return {
    ...{ type: 'classifierCheckpoint', epoch, complete, checkpointFile: file, weightsFile: file, weightsEpoch: epoch },
    ...{ validationFile: null, eventsFile: null, history: [], finished: epoch === 2 },
  };
}

describe('a segment of a classifier', () => {
  /** Names of the training that a segment of `training` claims, and of its random streams. */
  async function namesOf(training: ClassifierTraining): Promise<{ stream: string; heads: string[] }> {
    const store = createMemoryStore();
    const cache = createBlobCache({ dir: join(dir, 'blobs'), maxBytes: 1e6 });
    let stream = '';
    const engine: EngineRunner = {
      run: (task, input) => {
        if (task === 'describeEngine') return Promise.resolve(fakeFingerprint as never);
        stream = (input as TrainClassifierTask).stream;
        return Promise.reject(new Error('seen'));
      },
    };
    const gpu = createGpuActivities({ store, cache, workDir: dir, engine });
    const { dataset } = await segmentInput(store);
    const segment = { study, ...training, images: dataset, untilEpoch: 1 };
    const environment = new MockActivityEnvironment({ heartbeatTimeoutMs: 800, attempt: 1 });
    await expect(environment.run(() => gpu.trainClassifierSegment(segment))).rejects.toThrow('seen');
    const heads: string[] = [];
    for await (const { key } of store.list('studies/s1/training/')) heads.push(key);
    return { stream, heads };
  }

  it('is refused by name, before anything is trained, where the split leaves a generator less than a minibatch', async () => {
    const train = { negative: 40, positive: 15 };
    const segment = async (of: typeof study): Promise<unknown> => {
      const store = createMemoryStore();
      const cache = createBlobCache({ dir: join(dir, 'blobs'), maxBytes: 1e6 });
      const engine: EngineRunner = {
        run: (task) =>
          task === 'describeEngine' ? Promise.resolve(fakeFingerprint as never) : Promise.reject(new Error('trains')),
      };
      const gpu = createGpuActivities({ store, cache, workDir: dir, engine });
      const images = await emptyDataset(store, train);
      return await new MockActivityEnvironment({ attempt: 1 }).run(
        (input: TrainClassifierSegmentInput) => gpu.trainClassifierSegment(input),
        { study: of, variant: 'real' as const, images, untilEpoch: 1 },
      );
    };
    await expect(segment(study)).rejects.toThrow(
      /class "malignant" expected at least the 16 training images of one minibatch, found 15 after the split; .*batchSize/,
    );
    await expect(segment(conditional)).rejects.toThrow('trains'); // 55 images of both classes
  });

  it('has a head and random streams of its own for every repeat; those of repeat 0 are the names of the variant', async () => {
    expect(await namesOf({ variant: 'real' })).toEqual({
      stream: 'classifier/real',
      heads: ['studies/s1/training/classifier/real/head.json'],
    });
    expect(await namesOf({ variant: 'synthetic', repeat: 2 })).toEqual({
      stream: 'classifier/synthetic/2',
      heads: ['studies/s1/training/classifier/synthetic/2/head.json'],
    });
  });
});

describe('a classifier training that diverges', () => {
  const recoveries = [{ epoch: 2, loss: 'NaN', learningRate: 0.1, nextLearningRate: 0.01 }];
  const headOf = async (store: ObjectStore) =>
    classifierStateSchema.parse((await readHead(store, trainingHeadKey('s1', 'classifier/real')))?.state);
  const hashOf = (content: string): string => hashBytes(Buffer.from(content)).sha256;

  it('goes on from its last complete epoch and remembers why, though killed before anything came of it', async () => {
    const store = createMemoryStore();
    let given = '';
    const killed = classifierSegment(store, async (input, emit, workDir) => {
      expect(input.recoveries).toEqual([]);
      await emit(await checkpointOf(workDir, 1, 'after 1'));
      expect(await readdir(workDir)).toEqual([]);
      for (const name of ['paused', 'paused again', 'and again'])
        await emit(await checkpointOf(workDir, 1, name, false));
      const checkpointFile = join(workDir, 'last');
      await emit({ type: 'classifierRecovery', recoveries, checkpointFile });
      given = await readFile(checkpointFile, 'utf8');
      throw new Error('killed');
    });
    await expect(killed).rejects.toThrow('killed');
    expect(given).toBe('after 1');
    const head = await headOf(store);
    expect(head).toMatchObject({ epoch: 1, complete: true, recoveries, checkpoint: { sha256: hashOf('after 1') } });
    expect(head.kept).toHaveLength(1);
    expect(await store.head(trainingFileKey('s1', 'classifier/real', hashOf('and again')))).toBeNull();
    const result = await classifierSegment(store, async (input, emit, workDir) => {
      expect(input.recoveries).toEqual(recoveries);
      expect(await readFile(input.checkpointFile ?? '', 'utf8')).toBe('after 1');
      await emit(await checkpointOf(workDir, 2, 'after 2'));
    });
    expect(result).toEqual({ epoch: 2, finished: true, interrupted: false, last: null, recoveries: 1 });
    expect((await headOf(store)).recoveries).toEqual(recoveries);
  });

  it('begins again where no epoch was complete', async () => {
    const store = createMemoryStore();
    const result = await classifierSegment(store, async (_input, emit, workDir) => {
      await emit(await checkpointOf(workDir, 0, 'paused', false));
      const checkpointFile = join(workDir, 'last');
      await emit({ type: 'classifierRecovery', recoveries, checkpointFile });
      await expect(readFile(checkpointFile)).rejects.toThrow('ENOENT');
      expect(await headOf(store)).toMatchObject({ epoch: 0, complete: true, checkpoint: null, kept: [], recoveries });
      await emit(await checkpointOf(workDir, 2, 'after 2'));
    });
    expect(result).toMatchObject({ epoch: 2, recoveries: 1 });
  });

  it('reads the state of a release that knew nothing of it', () => {
    const { recoveries: none, ...old } = newClassifierState;
    expect(classifierStateSchema.parse(old)).toEqual({ ...old, recoveries: none });
  });
});

describe('a training segment', () => {
  type Call = Partial<TrainGeneratorSegmentInput>;
  /** Runs the activity on one store as often as asked; each call may say how often a person let it go on. */
  const runTroubled = async (
    times: number,
    calls: readonly Call[],
    { training = 'generator/benign', ...when }: { training?: string; savesAt?: number; skippingAt?: number } = {},
  ) => {
    const store = createMemoryStore();
    const cache = createBlobCache({ dir: join(dir, 'blobs'), maxBytes: 1e6 });
    const { engine, runs } = troubledEngine(times, when);
    const gpu = createGpuActivities({ store, cache, workDir: dir, engine });
    const input = await segmentInput(store);
    const results: GeneratorSegmentResult[] = [];
    for (const call of calls)
      results.push(
        await new MockActivityEnvironment({ attempt: 1 }).run(
          (given: TrainGeneratorSegmentInput) => gpu.trainGeneratorSegment(given),
          { ...input, untilNimg: 128, ...call },
        ),
      );
    const head = await readHead(store, trainingHeadKey('s1', training));
    return { results, runs, store, state: generatorStateSchema.parse(head?.state) };
  };

  it('in trouble rolls back and goes on with other draws, and tells what happened', async () => {
    const { results, runs, state } = await runTroubled(2, [{}]);
    expect(runs.map(({ rollBacks }) => rollBacks)).toEqual([0, 1, 2]);
    // First to 64, then, as that did not help, to 0.
    expect(state.rollBacks?.map(({ fromNimg, toNimg }) => [fromNimg, toNimg])).toEqual([
      [96, 64],
      [96, 0],
    ]);
    expect(runs.map(({ mostDiverse }) => mostDiverse)).toEqual([0, 0.5, 0]);
    expect(state).toMatchObject({ nimg: 128, snapshots: [{ nimg: 0 }, { nimg: 128, msSsim: 0.5 }] });
    expect(state.events).toHaveLength(2);
    expect(results[0]).toMatchObject({ nimg: 128, interrupted: false });
    expect(results[0]).not.toHaveProperty('trouble');
    expect(results[0]!.notes).toHaveLength(1 + 2);
  });

  it('waits for a decision after two roll-backs, without training in vain, and goes on with one', async () => {
    const { results, runs, state } = await runTroubled(3, [{}, {}, { resumes: 1 }]);
    expect(results.map(({ nimg, trouble }) => [nimg, trouble])).toEqual([
      [0, 'TrainD diverged'],
      [0, 'TrainD diverged'],
      [128, undefined],
    ]);
    expect(runs).toHaveLength(4);
    expect(state.rollBacks).toHaveLength(3);
    expect(state).not.toHaveProperty('trouble');
    // A run that knows of the decision from the start goes the same way without waiting.
    expect((await runTroubled(3, [{ resumes: 1 }])).state).toEqual(state);
  });

  it('does not go back to a checkpoint at which it was skipping updates', async () => {
    const { results, state } = await runTroubled(1, [{}], { skippingAt: 64 });
    expect(state.rollBacks?.map(({ toNimg }) => toNimg)).toEqual([0]);
    expect(results[0]!.snapshots.map(({ nimg }) => nimg)).toEqual([0, 128]);
  });

  it('waits where it goes on, though it was saved after that; further failures do not take it below', async () => {
    const { results, state } = await runTroubled(5, [{}, { resumes: 1 }, { resumes: 1 }], { savesAt: 80 });
    // It has only the untrained checkpoint left: what was saved at 80 is of the run that failed.
    expect(results.map(({ nimg, trouble }) => [nimg, trouble])).toEqual([1, 2, 3].map(() => [0, 'TrainD diverged']));
    expect(state).toMatchObject({ complete: true, trouble: { nimg: 96 } });
    expect(state.rollBacks?.map(({ toNimg }) => toNimg)).toEqual([64, 0, 0, 0]);
  });

  it('of both classes waits after two roll-backs as one of a class does, for whichever class it is asked', async () => {
    const of = (side: ClassSide, call: Call = {}): Call => ({ study: conditional, side, ...call });
    const calls = [of('negative'), of('positive'), of('negative', { resumes: 1 }), of('positive', { resumes: 1 })];
    const { results, runs, state } = await runTroubled(3, calls, { training: 'generator/both' });
    expect(results.map(({ nimg, trouble }) => [nimg, trouble])).toEqual([
      [0, 'TrainD diverged'],
      [0, 'TrainD diverged'],
      [128, undefined],
      [128, undefined],
    ]);
    expect(runs.map(({ side, rollBacks }) => [side, rollBacks])).toEqual([0, 1, 2, 3].map((count) => ['both', count]));
    expect(state.rollBacks?.map(({ toNimg }) => toNimg)).toEqual([64, 0, 0]);
  });

  it('of a trial of a sweep has a head of its own, from which it is published', async () => {
    const variant = 'gamma-8';
    const { runs, state, store } = await runTroubled(0, [{ variant }, {}], {
      training: `generator/benign/${variant}`,
    });
    expect(runs.map(({ checkpointFile }) => checkpointFile)).toEqual([null, null]);
    expect(state).toMatchObject({ nimg: 128, snapshots: [{ nimg: 0 }, { nimg: 64 }, { nimg: 128 }] });
    const none = { findIdleQueues: () => Promise.resolve([]), freeBytes: () => Promise.resolve(null) };
    const control = createControlActivities({ store, timeouts: 'test', ...none });
    const floor = { name: 'm', weights: '', value: 1, reals: 2, fakes: 2 };
    const published = async (which: { variant?: string }): Promise<number[]> => {
      const ref = await control.publishGenerator({
        ...{ studyId: 's1', side: 'negative', className: 'benign', config: study.generator, floor },
        ...{ metrics: [], stopped: null, ...which },
      });
      return (await getManifest<GeneratorManifest>(store, ref)).snapshots.map(({ nimg }) => nimg);
    };
    expect(await published({ variant })).toEqual([0, 64, 128]);
    // This engine stops at 64 only in its first run.
    expect(await published({})).toEqual([0, 128]);
  });

  it('that a person stopped at its last good checkpoint ends there', async () => {
    const { results } = await runTroubled(3, [{}, { untilNimg: 0 }]);
    expect(results[1]).toMatchObject({ nimg: 0, interrupted: false });
    expect(results[1]).not.toHaveProperty('trouble');
  });

  it('that ends off the grid shows its end, also after a kill; extended, it goes on as if it had not ended', async () => {
    const store = createMemoryStore();
    const cache = createBlobCache({ dir: join(dir, 'blobs'), maxBytes: 1e6 });
    const runs: (readonly [checkpoint: string | null, mostDiverse: number])[] = [];
    const engine: EngineRunner = {
      run: async (task, input, { workDir, onEvent }) => {
        if (task === 'describeEngine') return fakeFingerprint as never;
        const { checkpointFile: from, mostDiverse = 0, untilNimg } = input as TrainGeneratorTask; // of trainGenerator
        runs.push([from === null ? null : await readFile(from, 'utf8'), mostDiverse]);
        const file = async (name: string): Promise<string> => {
          await writeFile(join(workDir, name), name);
          return join(workDir, name);
        };
        const commit = async (nimg: number, msSsim: number, end: Pick<GeneratorCheckpointEvent, 'end'> = {}) =>
          await onEvent({
            ...{ type: 'generatorCheckpoint', nimg, complete: !end.end, checkpointFile: await file(`c${nimg}`) },
            snapshot: { weightsFile: await file(`w${nimg}`), gridFile: await file(`g${nimg}`), msSsim },
            ...{ eventsFile: await file(`e${nimg}`), ticks: [{ ...noTick, tick: 1, nimg }], ...end },
          });
        if (runs.length === 1) await commit(64, 0.5);
        if (runs.length === 1) await commit(96, 0.2, { end: { ticks: 1, eventsFile: await file('e96-end') } });
        // What was taken over is gone; a resumed training keeps what it started from.
        expect(await readdir(workDir)).toEqual(from === null ? [] : ['resume.safetensors']);
        if (runs.length === 1) throw new Error('killed');
        if (untilNimg === 128) await commit(128, 0.5);
        const realsGridFile = await file('reals');
        return { nimg: untilNimg, parameters: { g: 1, d: 1 }, images: 2, realsGridFile, trouble: null } as never;
      },
    };
    const gpu = createGpuActivities({ store, cache, workDir: dir, engine });
    const input = await segmentInput(store);
    const run = (untilNimg: number): Promise<GeneratorSegmentResult> =>
      new MockActivityEnvironment({ attempt: 1 }).run(
        (given: TrainGeneratorSegmentInput) => gpu.trainGeneratorSegment(given),
        { ...input, untilNimg },
      );
    const stateNow = async () =>
      generatorStateSchema.parse((await readHead(store, trainingHeadKey('s1', 'generator/benign')))?.state);
    await expect(run(96)).rejects.toThrow('killed');
    expect((await run(96)).snapshots.map(({ nimg }) => nimg)).toEqual([64, 96]);
    const ended = await stateNow();
    expect(ended).toMatchObject({ nimg: 96, end: { ticks: 1, snapshots: 1 }, ticks: [{ nimg: 64 }, { nimg: 96 }] });
    expect([ended.events.length, ended.kept.map(({ snapshot }) => snapshot)]).toEqual([3, [0, null]]);
    expect((await run(128)).snapshots.map(({ nimg }) => nimg)).toEqual([64, 128]);
    // What the end showed counts for nothing: 1 - 0.2 would be more diverse.
    expect(runs).toEqual([
      [null, 0],
      ['c96', 0.8],
      ['c96', 0.5],
    ]);
    const { end, ticks, events, kept } = await stateNow();
    expect([end, ticks.map(({ nimg }) => nimg)]).toEqual([undefined, [64, 128]]);
    expect(events.map(({ sha256 }) => sha256)).toEqual(
      ['e64', 'e96', 'e128'].map((name) => hashBytes(Buffer.from(name)).sha256),
    );
    expect(kept.at(-1)).toMatchObject({ at: 128, snapshot: 1, events: 3 });
  });

  it('beats from a timer while the engine is silent: a long trace is no dead worker', async () => {
    const store = createMemoryStore();
    const cache = createBlobCache({ dir: join(dir, 'blobs'), maxBytes: 1e6 });
    const gpu = createGpuActivities({ store, cache, workDir: dir, engine: engineThat(2_500) });
    const environment = new MockActivityEnvironment({ heartbeatTimeoutMs: 800, attempt: 1 });
    const beats: unknown[] = [];
    environment.on('heartbeat', (details) => beats.push(details));
    const result = await environment.run(
      (input: TrainGeneratorSegmentInput) => gpu.trainGeneratorSegment(input),
      await segmentInput(store),
    );
    expect(result).toEqual({ nimg: 64, snapshots: [], interrupted: false });
    // Every 200 ms; the engine itself spoke once.
    expect(beats.length).toBeGreaterThan(5);
    expect(beats.at(-1)).toMatchObject({ type: 'progress', phase: 'trace' });
  });
});
