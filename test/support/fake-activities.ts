import { ApplicationFailure, CancelledFailure } from '@temporalio/common';
import { translateError } from '../../activities/translate-errors.ts';
import type {
  ControlActivities,
  CpuActivities,
  Decision,
  FoundStep,
  GeneratorSegmentResult,
  GpuActivities,
  PublishGeneratorInput,
  ResolvedStudy,
} from '../../contract/activities.ts';
import { canonicalJson } from '../../contract/canonical-json.ts';
import type {
  ClassSide,
  FilterEnd,
  Fingerprint,
  PerClass,
  Snapshot,
  SnapshotMetric,
} from '../../contract/manifests.ts';
import { trainingName } from '../../contract/names.ts';
import { totalNimgOf } from '../../contract/plan.ts';
import type { ManifestRef } from '../../contract/refs.ts';
import { resolveStudyFile } from '../../contract/resolve-study.ts';
import type { Study } from '../../contract/study.ts';
import {
  parseToolInput,
  type AnyToolInput,
  type ToolInput,
  type ToolName,
  type ToolPlan,
  type ToolResult,
} from '../../contract/tools.ts';

/** Small real implementations in memory, for workflow tests: the order of steps, messages and failures, not the numbers. */
export interface FakeWorld {
  readonly control: ControlActivities;
  readonly cpu: CpuActivities;
  readonly gpu: GpuActivities;
  /** Names of activities in the order of their calls. */
  readonly calls: string[];
  readonly decisions: Decision[];
  /** Steps that were registered as finished. */
  readonly finished: Map<string, ManifestRef>;
  /** Set to make a training segment wait until it is cancelled or released. */
  holdTraining: Promise<void> | null;
  /** The only class whose segments `holdTraining` holds; null for both. */
  heldSide: ClassSide | null;
  /** Set to make synthesis wait until it is cancelled or released. */
  holdSynthesis: Promise<void> | null;
  /** Set to keep a cpu worker from answering, as if there were none. */
  holdDescribe: Promise<void> | null;
  idleQueues: string[];
  /** The generator of `divergingSide` diverges on its way to this image count until a person let it go on. */
  divergesBefore: number | null;
  divergingSide: ClassSide;
  /** Steps that another study has finished. */
  readonly reused: Set<string>;
  degenerate: string | null;
  /** No fake of a smaller seed is accepted. */
  acceptedFromSeed: number;
  /** What ended the search of each class for fakes, as the selection was told. */
  searchEnded: PerClass<FilterEnd> | null;
  /** Precision and execution of the last prediction. */
  predictedWith: string;
  /** Classifiers that scored the test set, in order: `real`, `real/1`. */
  readonly predicted: string[];
  /** Classifiers that scored the fakes of a shard together. */
  readonly filteredBy: Set<string>;
  /** Seeds of each chunk of generated images. */
  readonly generatedSeeds: (readonly number[])[];
  /** Weights of each measured snapshot; null for the floor. */
  readonly measured: (string | null)[];
  /** State that each segment of a projection started from, and where it ended. */
  readonly projected: (readonly [state: string | null, untilStep: number])[];
  /** Generators in the order of their publication. */
  readonly published: PublishGeneratorInput[];
  /** Trainings that diverge, as `negative/gamma-8`. */
  readonly diverging: Set<string>;
  /** Trainings that fail, for a reason of their own. */
  readonly failing: Set<string>;
  /** What each segment of a generator was asked for, by its training; R1 weight and end. */
  readonly segments: (readonly [training: string, r1Gamma: number | null, untilNimg: number])[];
}

export const fakeFingerprint: Fingerprint = {
  release: '0.0.0',
  node: '0',
  icu: '0',
  sharp: '0',
  vips: '0',
  tensorflow: null,
  backend: null,
  device: 'fake',
  instructionSet: 'fake',
  threads: 1,
  execution: null,
  precision: null,
};

const sha = (name: string): string => Buffer.from(name).toString('hex').padEnd(64, '0').slice(0, 64);

const nameOf = ({ sha256 }: ManifestRef): string => Buffer.from(sha256, 'hex').toString().replaceAll('\0', '');

// A reference of any kind: the fakes never look inside.
const ref = <K extends string>(kind: K, name: string): ManifestRef<K> => ({ kind, sha256: sha(name), bytes: 1 });

/** Name of a training in this world. */
const trainingOf = ({ side, variant }: { readonly side: string; readonly variant?: string }): string =>
  variant === undefined ? side : `${side}/${variant}`;

/** Value of the metric: lowest at the second snapshot. */
const metricAt = (nimg: number): SnapshotMetric => ({
  name: 'fd.irv2-real',
  weights: sha('classifier'),
  value: nimg === 0 ? 50 : 10 + nimg / 1000,
  reals: 10,
  fakes: 10,
});

const toolStudy = { dataset: { name: 'fake' }, classes: { negative: 'benign', positive: 'malignant' } };

/** As the control worker does it: a refused input is not retried. */
function parseTool<T extends ToolName>(tool: T, input: unknown): ToolInput<T> {
  try {
    return parseToolInput(tool, input);
  } catch (error) {
    throw translateError(error);
  }
}

const toolResult = ({ tool, snapshot, chosenBy }: ToolPlan, files: number): ToolResult => ({
  prefix: `${tool}/`,
  manifest: `${tool}/manifest.json`,
  ...{ files, chosenBy, nimg: snapshot.nimg },
});

export function createFakeWorld(interrupted: () => Promise<void>): FakeWorld {
  const calls: string[] = [];
  const decisions: Decision[] = [];
  const finished = new Map<string, ManifestRef>();
  const progress = new Map<string, number>();
  const epochs = new Map<string, number>();

  /** What a segment has so far; a training that ends off the grid has a snapshot there, which a longer one has not. */
  const trainedUntil = (nimg: number, { generator }: Study): GeneratorSegmentResult['snapshots'] => {
    const grid = snapshotsUntil(nimg).map((snapshot) => ({ nimg: snapshot.nimg, weights: snapshot.weights }));
    const ends = nimg === totalNimgOf(generator) && !grid.some((snapshot) => snapshot.nimg === nimg);
    return ends ? [...grid, { nimg, weights: ref('w', `w${nimg}`) }] : grid;
  };
  const snapshotsUntil = (nimg: number): Snapshot[] =>
    [0, 64, 128, 192, 256]
      .filter((at) => at <= nimg)
      .map((at) => ({ nimg: at, weights: ref('w', `w${at}`), grid: ref('g', `g${at}`), metric: metricAt(at) }));

  const control: ControlActivities = {
    resolveStudy: ({ file }) => {
      const resolved: ResolvedStudy = {
        study: resolveStudyFile(file),
        configSha256: sha('config'),
        source: ref('import', 'import'),
        decisions: [...decisions],
        timeouts: 'test',
      };
      return Promise.resolve(resolved);
    },
    preflightStudy: () =>
      Promise.resolve({
        steps: [{ step: 'dataset', queue: 'cpu', detail: '32 px' }],
        images: { negative: 20, positive: 21 },
        estimatedBytes: 2.5e9,
        warnings: ['no worker polls queue gpu-b'],
      }),
    findIdleQueues: ({ queues }) => Promise.resolve(queues.filter((queue) => world.idleQueues.includes(queue))),
    findStep: ({ step, config }): Promise<FoundStep> => {
      const key = canonicalJson([step, config]);
      if (world.reused.has(step)) return Promise.resolve({ key, manifest: ref('generator', step), reused: true });
      return Promise.resolve({ key, manifest: finished.get(key) ?? null, reused: false });
    },
    finishStep: ({ key, manifest }) => {
      finished.set(key, manifest);
      return Promise.resolve();
    },
    listTrainingDecisions: () => Promise.resolve(decisions.filter((decision) => decision.type !== 'approveSnapshot')),
    recordDecision: ({ decision }) => {
      decisions.push(decision);
      return Promise.resolve();
    },
    publishClassifier: (training) => Promise.resolve(ref('classifier', trainingName(training))),
    publishFilteredSet: ({ filtered }) => Promise.resolve(filtered),
    publishGenerator: (input) => {
      world.published.push(input);
      return Promise.resolve(ref('generator', trainingOf(input)));
    },
    publishSyntheticSet: ({ manifest }) =>
      Promise.resolve({ kind: 'syntheticSet' as const, sha256: manifest.snapshot.weights.sha256, bytes: 1 }),
    listSyntheticShards: () =>
      Promise.resolve([{ firstSeed: 1, lastSeed: 8, shard: { tar: ref('t', 't'), index: ref('i', 'i'), images: 8 } }]),
    listSnapshots: ({ generator }) => {
      const [training, nimg] = [...progress].find(([name]) => sha(name) === generator.sha256) ?? ['', 256];
      // The nearer the R1 weight of a trial is to 2, the better.
      const worse = Math.abs(Number(/gamma-(.*)$/.exec(training)?.[1] ?? 2) - 2);
      return Promise.resolve(
        snapshotsUntil(nimg).map((snapshot) => ({
          ...snapshot,
          metric: snapshot.metric && { ...snapshot.metric, value: snapshot.metric.value + worse },
        })),
      );
    },
    describeFilteredSet: () =>
      Promise.resolve({
        degenerate: world.degenerate,
        accepted: { negative: 8, positive: 8 },
        candidates: { negative: 8, positive: 8 },
      }),
    countImages: () => Promise.resolve({ negative: 20, positive: 20 }),
    releaseModels: () => Promise.resolve(),
    resolveTool: async ({ tool, input }) => {
      await Promise.resolve();
      const { study: studyId, class: className, ...request } = parseTool(tool, input) as AnyToolInput; // of one of the tools
      const nimg = 'nimg' in request ? request.nimg : null;
      const study = resolveStudyFile({ studyId, preset: 'demo', ...toolStudy });
      const plan = {
        ...{ tool, study, timeouts: 'test' as const },
        request: 'snapshots' in request ? { ...request, snapshots: snapshotsUntil(128) } : request,
        side: className === 'benign' ? 'negative' : 'positive',
        snapshot: { nimg: nimg ?? 64, weights: ref('w', 'w64') },
        chosenBy: nimg === null ? 'lowest' : 'asked',
      };
      return plan as unknown as ToolPlan<typeof tool>; // the request of this very tool
    },
  };
  const cpu: CpuActivities = {
    describeWorker: async () => {
      await world.holdDescribe;
      return fakeFingerprint;
    },
    planIngest: () => Promise.resolve({ shards: 2, files: 40 }),
    ingestShard: ({ shard }) => Promise.resolve(ref('ingestedShard', `shard${shard}`)),
    groupNearDuplicates: () => Promise.resolve(ref('groups', 'groups')),
    splitDataset: () => Promise.resolve(ref('dataset', 'dataset')),
    selectSynthetic: ({ ended }) => {
      world.searchEnded = ended;
      return Promise.resolve(ref('filteredSet', 'filtered'));
    },
    compareClassifiers: () => Promise.resolve(ref('evaluation', 'evaluation')),
    renderReport: () => Promise.resolve(ref('report', 'report')),
    placeReport: ({ studyId }) => Promise.resolve({ prefix: `studies/${studyId}/report/` }),
    prepareReevaluation: () =>
      Promise.resolve({
        test: { negative: [], positive: [] },
        images: { negative: 5, positive: 5 },
        models: { real: ref('classifier', 'real'), synthetic: ref('classifier', 'synthetic') },
        channels: 1 as const,
        ...{ precision: 'bf16' as const, execution: 'eager' as const, queue: 'gpu' },
        rejected: 0,
      }),
    publishProjection: ({ plan, segments }) => Promise.resolve(toolResult(plan, segments.length)),
    publishMeasurements: ({ plan, measured }) => Promise.resolve(toolResult(plan, measured.length)),
    publishImages: ({ plan, chunks }) => Promise.resolve(toolResult(plan, chunks.length)),
    appendReevaluation: ({ request, workflowId }) =>
      Promise.resolve({
        workflowId,
        prefix: request.prefix,
        images: { negative: 5, positive: 5 },
        auc: { real: 0.5, synthetic: 0.5 },
        interval: { real: [0.8, 0.9], synthetic: null },
        regression: true,
        notes: [],
      }),
  };
  const gpu: GpuActivities = {
    describeEngine: () => Promise.resolve(fakeFingerprint),
    trainGeneratorSegment: async (input) => {
      const { side, untilNimg, resumes = 0 } = input;
      const training = trainingOf(input);
      world.segments.push([training, input.study.generator.r1Gamma, untilNimg]);
      if (world.failing.has(training)) throw ApplicationFailure.nonRetryable('not these weights', 'WeightsError');
      const before = progress.get(training) ?? 0;
      const first = side === world.divergingSide && resumes === 0 && untilNimg === world.divergesBefore;
      const diverges = first || world.diverging.has(training);
      if (diverges && before < untilNimg) {
        const snapshots = snapshotsUntil(before).map(({ nimg, weights }) => ({ nimg, weights }));
        const [trouble, notes] = ['TrainD diverged', ['went back twice']];
        return { nimg: before, snapshots, interrupted: false, notes, trouble };
      }
      if (world.holdTraining && (world.heldSide ?? side) === side) {
        const wasInterrupted = await Promise.race([
          world.holdTraining.then(() => false),
          interrupted().then(() => true),
        ]);
        if (wasInterrupted) return { nimg: before, snapshots: trainedUntil(before, input.study), interrupted: true };
      }
      progress.set(training, untilNimg);
      return { nimg: untilNimg, snapshots: trainedUntil(untilNimg, input.study), interrupted: false };
    },
    trainClassifierSegment: ({ untilEpoch, study, ...training }) => {
      epochs.set(trainingName(training), untilEpoch);
      const finishedNow = untilEpoch >= study.classifier.epochs;
      return Promise.resolve({ epoch: untilEpoch, finished: finishedNow, interrupted: false, last: null });
    },
    measureSnapshot: ({ weights }) =>
      Promise.resolve(
        metricAt(
          Number(
            Buffer.from(weights?.sha256 ?? '', 'hex')
              .toString()
              .replaceAll(/\D/g, ''),
          ) || 0,
        ),
      ),
    measureFilter: () => Promise.resolve(null),
    measureSnapshotQuality: ({ weights }) => {
      world.measured.push(weights?.sha256 ?? null);
      const measurement = { metric: 'fd.irv2-real', extractor: sha('classifier'), reals: 4, fakes: 4, quality: null };
      return Promise.resolve({ fingerprint: fakeFingerprint, measurement });
    },
    synthesizeShards: async ({ shards }) => {
      if (world.holdSynthesis) {
        const released = world.holdSynthesis.then(() => true);
        if (!(await Promise.race([released, interrupted().then(() => false)]))) throw new CancelledFailure('CANCELLED');
      }
      const shard = { tar: ref('t', 't'), index: ref('i', 'i'), images: 8 };
      return shards.map((range) => ({ ...range, shard }));
    },
    generateImageChunk: ({ seeds }) => {
      world.generatedSeeds.push(seeds);
      return Promise.resolve({ request: 'request', fingerprint: fakeFingerprint, files: ref('f', 'f') });
    },
    projectImageSegment: ({ state, untilStep }) => {
      world.projected.push([state?.sha256 ?? null, untilStep]);
      const made = { request: 'request', fingerprint: fakeFingerprint, distance: 1 / untilStep };
      return Promise.resolve({ ...made, state: ref('s', `after${untilStep}`), files: ref('f', 'f') });
    },
    mixStyles: ({ plan }) => Promise.resolve(toolResult(plan, 5)),
    sweepTruncation: ({ plan }) => Promise.resolve(toolResult(plan, 5)),
    interpolateLatents: ({ plan }) => Promise.resolve(toolResult(plan, 2)),
    scoreShard: ({ shard, classifier, ensemble = [] }) => {
      world.filteredBy.add([classifier, ...ensemble].map(nameOf).join(' '));
      return Promise.resolve({
        ...shard,
        scores: ref('s', 's'),
        accepted: shard.firstSeed < world.acceptedFromSeed ? 0 : 4,
      });
    },
    predictTestSet: ({ precision, execution, classifier }) => {
      world.predicted.push(nameOf(classifier));
      world.predictedWith = `${precision}/${execution}`;
      return Promise.resolve(ref('p', 'p'));
    },
  };
  const world: FakeWorld = {
    control: logged(control, calls),
    cpu: logged(cpu, calls),
    gpu: logged(gpu, calls),
    calls,
    decisions,
    finished,
    holdTraining: null,
    heldSide: null,
    holdSynthesis: null,
    holdDescribe: null,
    idleQueues: [],
    divergesBefore: null,
    divergingSide: 'negative',
    reused: new Set(),
    degenerate: null,
    acceptedFromSeed: 1,
    searchEnded: null,
    predictedWith: '',
    predicted: [],
    filteredBy: new Set(),
    generatedSeeds: [],
    measured: [],
    projected: [],
    published: [],
    diverging: new Set(),
    failing: new Set(),
    segments: [],
  };
  return world;
}

type Implementation = (input: never) => Promise<unknown>;

function logged<A extends { readonly [K in keyof A]: Implementation }>(activities: A, calls: string[]): A {
  const entries = Object.entries<Implementation>(activities).map(
    ([name, work]) =>
      [
        name,
        (input: never): Promise<unknown> => {
          calls.push(name);
          return work(input);
        },
      ] as const,
  );
  return Object.fromEntries(entries) as A; // same names, same signatures
}
