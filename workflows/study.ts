import {
  allHandlersFinished,
  ApplicationFailure,
  CancellationScope,
  condition,
  defineQuery,
  defineSignal,
  defineUpdate,
  executeChild,
  getExternalWorkflowHandle,
  log,
  ParentClosePolicy,
  setCurrentDetails,
  setHandler,
  upsertSearchAttributes,
  workflowInfo,
} from '@temporalio/workflow';
import type { Decision, ResolvedStudy, StudyPlan } from '../contract/activities.ts';
import {
  classSides,
  type ClassSide,
  type ClassifierManifest,
  type PerClass,
  type RefTo,
  type Snapshot,
  type SyntheticSetManifest,
} from '../contract/manifests.ts';
import {
  generatorStep,
  queries,
  signals,
  trainingName,
  updates,
  workflowIdOf,
  type ClassifierTraining,
} from '../contract/names.ts';
import type {
  ApproveSnapshotRequest,
  PauseRequest,
  ProgressSnapshot,
  StepProgress,
  StepReport,
  StudyProgress,
  StudyResult,
} from '../contract/progress.ts';
import type { SynthesizeResult, TrainClassifierInput } from '../contract/steps.ts';
import type { evaluateModels } from './evaluate-models.ts';
import type { filterSynthetic } from './filter-synthetic.ts';
import type { prepareDataset } from './prepare-dataset.ts';
import { controlActivities } from './proxies.ts';
import type { publishReport } from './publish-report.ts';
import { awaitingOf, stageOf } from './search-attributes.ts';
import type { synthesize } from './synthesize.ts';
import type { trainClassifier } from './train-classifier.ts';
import type { trainGenerator } from './train-generator.ts';

const pause = defineUpdate<StudyProgress, [PauseRequest]>(updates.pause);
const resume = defineUpdate<StudyProgress>(updates.resume);
const approveSnapshot = defineUpdate<StudyProgress, [ApproveSnapshotRequest]>(updates.approveSnapshot);
const progressQuery = defineQuery<StudyProgress>(queries.progress);
const stepProgress = defineSignal<[StepReport]>(signals.stepProgress);
const pauseStep = defineSignal<[string]>(signals.pauseStep);
const resumeStep = defineSignal(signals.resumeStep);

/** A study from images to report. Holds references and decisions only; every step is a child with its own history. */
export async function study(file: unknown): Promise<StudyResult> {
  const state = new StudyState();
  // Before resolveStudy has chosen a timeout profile, the patient one applies.
  const resolved = await controlActivities('production').resolveStudy({ file, workflowId: workflowInfo().workflowId });
  const control = controlActivities(resolved.timeouts);
  state.start(resolved);
  state.planned(await control.preflightStudy({ resolved }));
  const config = resolved.study;

  const dataset = await state.child<typeof prepareDataset>('prepareDataset', 'dataset', undefined, { resolved });
  const [real, ...realRepeats] = await trainRepeats(state, resolved, { variant: 'real', images: dataset });

  const train = (side: ClassSide): ReturnType<typeof trainGenerator> =>
    state.child<typeof trainGenerator>('trainGenerator', 'generator', config.classes[side], {
      resolved,
      side,
      dataset,
      classifier: real,
      decisions: state.decisions.filter((decision) => decision.side === side),
      ...(config.generator.conditional === true &&
        side === 'positive' &&
        state.hasReused('negative') && { trainsBoth: true }),
    });
  const generators = await perClass(train, { sideBySide: onTwoDevices(resolved) });

  const snapshots = await perClass((side) => control.listSnapshots({ generator: generators[side] }));
  state.offer(snapshots);
  if (config.gates.includes('snapshot')) await state.awaitApproval();
  const make = async (side: ClassSide): Promise<SynthesizeResult & { snapshot: Snapshot }> => {
    const choice = state.chooseSnapshot(side, snapshots[side]);
    const made = await state.child<typeof synthesize>('synthesize', 'synthesis', config.classes[side], {
      resolved,
      side,
      ...choice,
    });
    return { ...made, snapshot: choice.snapshot };
  };
  const synthetic = await perClass(make);

  const filtered = await state.child<typeof filterSynthetic>('filterSynthetic', 'filter', undefined, {
    resolved,
    dataset,
    classifier: real,
    ...(config.filter.rule === 'ensemble' && { ensemble: realRepeats }),
    synthetic,
  });
  const { degenerate } = await control.describeFilteredSet({ filtered });
  const [trained, ...syntheticRepeats] =
    degenerate === null ? await trainRepeats(state, resolved, { variant: 'synthetic', images: filtered }) : [null];
  const repeats = config.repeats > 1 && { repeats: { real: realRepeats, synthetic: syntheticRepeats } };

  if (trained && config.gates.includes('test-set')) await state.awaitResume('test-set');
  const evaluation = trained
    ? await state.child<typeof evaluateModels>('evaluateModels', 'evaluation', undefined, {
        resolved,
        dataset,
        filtered,
        models: { real, synthetic: trained },
        ...repeats,
      })
    : null;

  const result = await state.child<typeof publishReport>('publishReport', 'report', undefined, {
    resolved,
    sources: {
      study: config,
      dataset,
      classifiers: { real, synthetic: trained, ...repeats },
      generators,
      synthetic: { negative: synthetic.negative.manifest, positive: synthetic.positive.manifest },
      filtered,
      evaluation,
    },
  });
  state.finish();
  await condition(allHandlersFinished);
  return result;
}

/** One after the other, as one device would anyway; repeat 0 first. */
async function trainRepeats(
  state: StudyState,
  resolved: ResolvedStudy,
  { variant, images }: Pick<TrainClassifierInput, 'variant' | 'images'>,
): Promise<[RefTo<ClassifierManifest>, ...RefTo<ClassifierManifest>[]]> {
  const train = (training: ClassifierTraining): ReturnType<typeof trainClassifier> =>
    state.child<typeof trainClassifier>('trainClassifier', 'classifier', trainingName(training), {
      resolved,
      ...training,
      images,
    });
  const trained: [RefTo<ClassifierManifest>, ...RefTo<ClassifierManifest>[]] = [await train({ variant })];
  for (let repeat = 1; repeat < resolved.study.repeats; repeat++) trained.push(await train({ variant, repeat }));
  return trained;
}

async function perClass<T>(
  work: (side: ClassSide) => Promise<T>,
  { sideBySide } = { sideBySide: false },
): Promise<PerClass<T>> {
  if (sideBySide) {
    const [negative, positive] = await Promise.all([work('negative'), work('positive')]);
    return { negative, positive };
  }
  return { negative: await work('negative'), positive: await work('positive') };
}

function onTwoDevices({ study: config }: ResolvedStudy): boolean {
  const queue = config.queues.trainGenerator;
  return typeof queue !== 'string' && queue.negative !== queue.positive;
}

const shownSnapshot = ({ nimg, weights, metric }: Snapshot): ProgressSnapshot => ({
  nimg,
  sha256: weights.sha256,
  metric,
});

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null;

/** Operators type messages by hand. */
const isApproval = (value: unknown): value is ApproveSnapshotRequest =>
  isRecord(value) && ['class', 'sha256', 'by'].every((field) => typeof value[field] === 'string');

/** What messages read and change: progress, pause, approvals. Its constructor installs the handlers. */
class StudyState {
  decisions: Decision[] = [];
  private resolved: ResolvedStudy | null = null;
  private plan: StudyPlan | null = null;
  private stage = 'resolving';
  private paused: string | null = null;
  private awaiting: string | null = null;
  private readonly steps = new Map<string, StepProgress>();
  private readonly openChildren = new Set<string>();
  private readonly closedForApproval = new Set<ClassSide>();

  constructor() {
    setHandler(progressQuery, () => this.progress());
    setHandler(stepProgress, ({ snapshots, keptSnapshots = 0, ...step }) => {
      const before = this.awaitsPerson();
      const known = this.steps.get(step.step)?.snapshots ?? [];
      const all = snapshots === undefined ? known : [...known.slice(0, keptSnapshots), ...snapshots];
      this.steps.set(step.step, { ...step, snapshots: all });
      if (this.awaitsPerson() !== before) upsertSearchAttributes([awaitingOf(this.awaitsPerson() !== null)]);
      this.show();
    });
    setHandler(pause, ({ reason }) => this.pause(reason), {
      description: 'Stop at the next iteration, leaving a checkpoint, until resume',
      validator: (request: unknown) => {
        if (!isRecord(request) || typeof request['reason'] !== 'string' || request['reason'] === '')
          throw new Error('pause expects {"reason": "..."}');
        if (this.paused !== null) throw new Error(`the study is already paused: ${this.paused}`);
      },
    });
    setHandler(resume, () => this.resume(), {
      description: 'Go on after pause; when not paused, open the test set at its gate',
      validator: () => {
        if (this.paused === null && this.awaiting !== 'test-set')
          throw new Error(`the study is not paused; it waits for ${this.awaitsPerson() ?? 'nobody'}`);
      },
    });
    setHandler(approveSnapshot, (request) => this.approve(request), {
      description: "Choose a class's snapshot instead of the one with the lowest metric",
      validator: (request: unknown) => this.checkApproval(request),
    });
  }

  start(resolved: ResolvedStudy): void {
    this.resolved = resolved;
    this.decisions = [...resolved.decisions];
    upsertSearchAttributes([...stageOf(resolved.study, 'starting'), awaitingOf(false)]);
  }

  planned(plan: StudyPlan): void {
    this.plan = plan;
    this.show();
  }

  finish(): void {
    this.stage = 'finished';
    if (this.resolved) upsertSearchAttributes(stageOf(this.resolved.study, 'finished'));
    this.show();
  }

  /** Starts a child under its business id and waits for it; waits first while the study is paused. */
  async child<W extends (input: never) => Promise<unknown>>(
    type: string,
    step: string,
    variant: string | undefined,
    input: Parameters<W>[0],
  ): Promise<Awaited<ReturnType<W>>> {
    const { study: config } = this.known();
    const workflowId = workflowIdOf(config.studyId, step, variant);
    await condition(() => this.paused === null);
    this.stage = variant === undefined ? step : `${step}/${variant}`;
    upsertSearchAttributes(stageOf(config, this.stage));
    this.show();
    this.openChildren.add(workflowId);
    try {
      const result: unknown = await executeChild(type, {
        workflowId,
        args: [input],
        // Cancelling, not killing: a training child leaves a checkpoint.
        parentClosePolicy: ParentClosePolicy.REQUEST_CANCEL,
      });
      return result as Awaited<ReturnType<W>>; // W is the function registered under `type`
    } finally {
      this.openChildren.delete(workflowId);
    }
  }

  /** Shows what there is to choose from, also of a generator that was found finished and so reported none. */
  offer(snapshots: PerClass<readonly Snapshot[]>): void {
    for (const side of classSides) {
      const step = this.steps.get(this.generatorOf(side));
      if (step) this.steps.set(step.step, { ...step, snapshots: snapshots[side].map(shownSnapshot) });
    }
  }

  /** Whether the generator of a class was taken from another study. */
  hasReused(side: ClassSide): boolean {
    return this.steps.get(this.generatorOf(side))?.state === 'reused';
  }

  /** The approved snapshot, otherwise the one with the lowest metric; from here on the choice stands. */
  chooseSnapshot(
    side: ClassSide,
    snapshots: readonly Snapshot[],
  ): { snapshot: Snapshot; chosenBy: SyntheticSetManifest['chosenBy'] } {
    this.closedForApproval.add(side);
    if (this.lostApproval(side)) this.sayLost(side);
    const approved = this.approvedSha(side);
    const chosen = snapshots.find((snapshot) => snapshot.weights.sha256 === approved);
    if (chosen) return { snapshot: chosen, chosenBy: 'approved' };
    const [first, ...rest] = snapshots.filter((snapshot) => snapshot.metric !== null);
    if (!first)
      throw ApplicationFailure.nonRetryable(
        `no snapshot of class ${this.className(side)} was measured`,
        'DatasetError',
      );
    const value = (snapshot: Snapshot): number => snapshot.metric?.value ?? Infinity;
    return {
      snapshot: rest.reduce((best, next) => (value(next) < value(best) ? next : best), first),
      chosenBy: 'lowest',
    };
  }

  async awaitApproval(): Promise<void> {
    const missing = (): ClassSide[] => classSides.filter((side) => this.approvedSha(side) === undefined);
    if (missing().length === 0) return;
    const wanted = missing().map(
      (side) => this.className(side) + (this.lostApproval(side) ? ' (the approved one is gone)' : ''),
    );
    await this.await(`approveSnapshot for ${wanted.join(' and ')}`, () => missing().length === 0);
  }

  async awaitResume(gate: string): Promise<void> {
    await this.await(gate, () => this.awaiting === null);
  }

  private async await(what: string, done: () => boolean): Promise<void> {
    this.awaiting = what;
    upsertSearchAttributes([awaitingOf(true)]);
    this.show();
    await condition(done);
    this.awaiting = null;
    upsertSearchAttributes([awaitingOf(false)]);
    this.show();
  }

  private async pause(reason: string): Promise<StudyProgress> {
    this.paused = reason;
    this.show();
    await this.tellChildren((id) => getExternalWorkflowHandle(id).signal(pauseStep, reason));
    return this.progress();
  }

  private async resume(): Promise<StudyProgress> {
    // Whoever lifts a pause has not yet decided on the test set.
    if (this.paused === null) this.awaiting = null;
    this.paused = null;
    this.show();
    await this.tellChildren((id) => getExternalWorkflowHandle(id).signal(resumeStep));
    return this.progress();
  }

  /** A child that ends in this moment needs no message. */
  private async tellChildren(tell: (workflowId: string) => Promise<void>): Promise<void> {
    await Promise.allSettled([...this.openChildren].map((id) => CancellationScope.nonCancellable(() => tell(id))));
  }

  private checkApproval(request: unknown): void {
    if (!isApproval(request)) throw new Error('approveSnapshot expects {"class": "...", "sha256": "...", "by": "..."}');
    const side = classSides.find((candidate) => this.resolved?.study.classes[candidate] === request.class);
    if (!side) throw new Error(`"${request.class}" is not a class of this study`);
    if (this.closedForApproval.has(side))
      throw new Error(`synthesis of ${request.class} has started; its snapshot stands`);
    const known = this.snapshotsOf(side);
    if (!known.some((snapshot) => snapshot.sha256 === request.sha256))
      throw new Error(
        `no snapshot ${request.sha256} of ${request.class}; known: ${known.map((s) => s.sha256).join(', ') || 'none yet'}`,
      );
  }

  private async approve({ class: className, sha256, by }: ApproveSnapshotRequest): Promise<StudyProgress> {
    const side: ClassSide = this.known().study.classes.negative === className ? 'negative' : 'positive';
    const decision: Decision = { type: 'approveSnapshot', side, sha256 };
    this.decisions.push(decision);
    await controlActivities(this.known().timeouts).recordDecision({
      studyId: this.known().study.studyId,
      decision,
      by,
    });
    return this.progress();
  }

  private lastApproval(side: ClassSide): string | undefined {
    return this.decisions.flatMap((d) => (d.type === 'approveSnapshot' && d.side === side ? [d.sha256] : [])).at(-1);
  }

  /** The last approval counts, unless its snapshot is gone: a training that rolls back, or is extended, may lose some. */
  private approvedSha(side: ClassSide): string | undefined {
    const last = this.lastApproval(side);
    return this.snapshotsOf(side).some(({ sha256 }) => sha256 === last) ? last : undefined;
  }

  private lostApproval(side: ClassSide): boolean {
    return this.lastApproval(side) !== undefined && this.approvedSha(side) === undefined;
  }

  private sayLost(side: ClassSide): void {
    const said = `the approved snapshot ${this.lastApproval(side) ?? ''} is gone; the one with the lowest metric was taken`;
    log.warn(`${this.generatorOf(side)}: ${said}`);
    const step = this.steps.get(this.generatorOf(side));
    if (step)
      this.steps.set(step.step, { ...step, detail: [step.detail, said].filter((text) => text !== '').join('; ') });
    this.show();
  }

  private snapshotsOf(side: ClassSide): readonly ProgressSnapshot[] {
    return this.steps.get(this.generatorOf(side))?.snapshots ?? [];
  }

  private className(side: ClassSide): string {
    return this.known().study.classes[side];
  }

  private generatorOf(side: ClassSide): string {
    return generatorStep(this.className(side));
  }

  private known(): ResolvedStudy {
    if (!this.resolved) throw ApplicationFailure.retryable('the study is not resolved yet');
    return this.resolved;
  }

  /** At a gate, or on behalf of a step. */
  private awaitsPerson(): string | null {
    const asking = [...this.steps.values()].find(({ awaiting }) => typeof awaiting === 'string');
    return this.awaiting ?? asking?.awaiting ?? null;
  }

  private progress(): StudyProgress {
    return {
      studyId: this.resolved?.study.studyId ?? '',
      stage: this.stage,
      paused: this.paused,
      awaiting: this.awaitsPerson(),
      steps: [...this.steps.values()],
      plan: this.plan,
    };
  }

  private show(): void {
    const lines = [`**Stage:** ${this.stage}`];
    if (this.paused !== null) lines.push(`**Paused:** ${this.paused}`);
    const awaiting = this.awaitsPerson();
    if (awaiting !== null) lines.push(`**Waiting for a person:** ${awaiting}`);
    const rows = [...this.steps.values()].map(
      (s) =>
        `| ${s.step} | ${s.state} | ${s.done} / ${s.total} ${s.unit} | ${s.idleQueue ? `no worker polls ${s.idleQueue}` : s.detail} |`,
    );
    if (rows.length > 0)
      lines.push(['| step | state | done | detail |', '| --- | --- | --- | --- |', ...rows].join('\n'));
    if (this.plan !== null) lines.push(...describePlan(this.plan));
    setCurrentDetails(lines.join('\n\n'));
  }
}

/** What the preflight found, in Markdown: read by `temporal workflow metadata` and in the web UI. */
function describePlan({ steps, images, estimatedBytes, warnings }: StudyPlan): string[] {
  const rows = steps.map(({ step, queue, detail }) => `| ${step} | ${queue} | ${detail} |`);
  return [
    `**Plan:** ${images.negative} + ${images.positive} source images, about ${(estimatedBytes / 1e9).toFixed(1)} GB in the store`,
    ...warnings.map((warning) => `**Warning:** ${warning}`),
    ['| step | queue | what |', '| --- | --- | --- |', ...rows].join('\n'),
  ];
}
