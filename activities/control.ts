import { createHash } from 'node:crypto';
import type { ControlActivities, Decision, PublishGeneratorInput, StepIdentity } from '../contract/activities.ts';
import { canonicalJson } from '../contract/canonical-json.ts';
import { decisionsKey, releasedModelsKey, resultKey, stepKey, trainingHeadKey } from '../contract/keys.ts';
import type {
  ClassifierManifest,
  DatasetManifest,
  FilteredSetManifest,
  Fingerprint,
  GeneratorManifest,
  Snapshot,
  SyntheticSetManifest,
  ValidationScore,
} from '../contract/manifests.ts';
import { generatorTraining, trainingName } from '../contract/names.ts';
import { classifierInputSize } from '../contract/plan.ts';
import type { BlobRef } from '../contract/refs.ts';
import type { TimeoutProfileName } from '../contract/timeouts.ts';
import { classifierStateSchema, generatorStateSchema } from '../contract/training-state.ts';
import { calibrate } from '../lib/classifier/calibration.ts';
import { countUsable } from '../lib/dataset/split.ts';
import { NotFoundError } from '../lib/errors.ts';
import { getBlob, getManifest, putManifest } from '../lib/storage/blobs.ts';
import type { ObjectStore } from '../lib/storage/object-store.ts';
import { readPointer, updatePointer } from '../lib/storage/pointer.ts';
import { readHead } from '../lib/storage/training-head.ts';
import { parseJsonLines } from './local-inputs.ts';
import { planStudy } from './preflight.ts';
import { resolveTool } from './resolve-tool.ts';
import { pinStudy, readDecisions, readStudy, resolveStudy } from './study-record.ts';

export interface ControlDeps {
  readonly store: ObjectStore;
  readonly timeouts: TimeoutProfileName;
  /** Queues among these that no worker polls. */
  readonly findIdleQueues: (queues: readonly string[]) => Promise<readonly string[]>;
  /** Free bytes where the store keeps its data, if that can be seen. */
  readonly freeBytes: () => Promise<number | null>;
  /** Whether this host has a GPU, whose memory is its own. Default: false */
  readonly hasGpu?: boolean;
}

/** Raised when a change of the code changes what a step computes: finished steps of older code are then not reused. */
const resultVersion = 6;

interface FinishedStep {
  readonly identity: string;
  readonly manifest: { readonly kind: string } & BlobRef;
}

const sha256 = (value: unknown): string => createHash('sha256').update(canonicalJson(value)).digest('hex');

/** Second-long work on the store and on Temporal, for queue `control`. */
export function createControlActivities(deps: ControlDeps): ControlActivities {
  const { store } = deps;
  return {
    resolveStudy: (input) => resolveStudy(store, { ...input, timeouts: deps.timeouts }),
    preflightStudy: async ({ resolved }) => {
      const plan = await planStudy(resolved, deps);
      await pinStudy(store, resolved);
      return plan;
    },
    findIdleQueues: ({ queues }) => deps.findIdleQueues(queues),
    findStep: (identity) => findStep(store, identity),

    finishStep: async ({ studyId, step, key, manifest, fingerprint = null }) => {
      const [identity, full] = splitKey(key);
      const finished: FinishedStep = { identity, manifest };
      await updatePointer(store, stepKey(studyId, step), () => finished);
      if (await ranOn(store, manifest, fingerprint))
        await updatePointer<FinishedStep>(store, resultKey(full), (present) => present ?? finished);
    },

    listTrainingDecisions: async ({ studyId }) =>
      (await readDecisions(store, studyId)).filter((decision) => decision.type !== 'approveSnapshot'),

    recordDecision: async ({ studyId, decision, by }) => {
      await updatePointer<{ decisions: readonly (Decision & { by: string })[] }>(
        store,
        decisionsKey(studyId),
        (present) => {
          const decisions = present?.decisions ?? [];
          const known = decisions.some((other) => canonicalJson(other) === canonicalJson({ ...decision, by }));
          return { decisions: known ? decisions : [...decisions, { ...decision, by }] };
        },
      );
    },

    publishClassifier: async ({ studyId, ...training }) => {
      const { study } = await readStudy(store, studyId);
      const key = trainingHeadKey(studyId, `classifier/${trainingName(training)}`);
      const state = classifierStateSchema.parse(await stateAt(store, key));
      const { finished, weights, validation, images, fingerprint, parameters } = state;
      if (!finished || !weights || !validation || !images || !fingerprint || parameters === null)
        throw new NotFoundError(`${key} (finished training)`);
      const manifest: ClassifierManifest = {
        kind: 'classifier',
        ...training,
        config: study.classifier,
        inputSize: classifierInputSize(study),
        ...{ parameters, images, weights, validation, fingerprint },
        pretrained: state.pretrained,
        calibration: calibrate(parseJsonLines<ValidationScore>(await getBlob(store, validation)), study.classifier),
        history: state.history,
        ...(state.recoveries.length === 0 ? {} : { recoveries: state.recoveries }),
        epoch: state.weightsEpoch,
        fingerprintChanges: state.fingerprintChanges,
      };
      return await putManifest(store, manifest);
    },

    publishFilteredSet: async ({ filtered, loss }) => {
      const manifest = await getManifest<FilteredSetManifest>(store, filtered);
      const { negative, positive } = manifest.classes;
      return await putManifest<FilteredSetManifest>(store, {
        ...manifest,
        classes: {
          negative: { ...negative, loss: loss.negative },
          positive: { ...positive, loss: loss.positive },
        },
      });
    },
    publishGenerator: (input) => publishGenerator(store, input),
    publishSyntheticSet: ({ manifest }) =>
      putManifest<SyntheticSetManifest>(store, { kind: 'syntheticSet', ...manifest }),
    listSyntheticShards: async ({ synthetic }) => (await getManifest<SyntheticSetManifest>(store, synthetic)).shards,
    listSnapshots: async ({ generator }) => (await getManifest<GeneratorManifest>(store, generator)).snapshots,
    describeFilteredSet: async ({ filtered }) => {
      const { degenerate, classes } = await getManifest<FilteredSetManifest>(store, filtered);
      const { negative, positive } = classes;
      return {
        degenerate,
        accepted: { negative: negative.accepted, positive: positive.accepted },
        candidates: { negative: negative.candidates, positive: positive.candidates },
      };
    },
    countImages: async ({ dataset }) => {
      const manifest = await getManifest<DatasetManifest>(store, dataset);
      return { negative: countUsable(manifest, 'negative'), positive: countUsable(manifest, 'positive') };
    },
    resolveTool: (input) => resolveTool(store, { ...input, timeouts: deps.timeouts }),
    releaseModels: async ({ studyId, models, evaluation }) => {
      await updatePointer(store, releasedModelsKey(studyId), () => ({ models, evaluation }));
    },
  };
}

/** `identity`, which leaves out what ran the step, and the full key, which does not. */
const splitKey = (key: string): [string, string] => {
  const [identity = '', full = ''] = key.split('.');
  return [identity, full];
};

/**
 * A finished step of this study counts whatever ran it (the report names a change); one of another study only if it was
 * computed on the same fingerprint.
 */
async function findStep(
  store: ObjectStore,
  { studyId, step, config, inputs, fingerprint, reuse }: StepIdentity,
): ReturnType<ControlActivities['findStep']> {
  const parts = { resultVersion, step, config, inputs };
  const identity = sha256(parts);
  const full = sha256({ ...parts, fingerprint });
  const key = `${identity}.${full}`;
  const own = await readPointer<FinishedStep>(store, stepKey(studyId, step));
  if (own?.value.identity === identity) return { key, manifest: own.value.manifest, reused: false };
  const other = reuse ? await readPointer<FinishedStep>(store, resultKey(full)) : null;
  return { key, manifest: other?.value.manifest ?? null, reused: other !== null };
}

/** Whether a training ran on `fingerprint` from its beginning to its end: it is asked once, and segments go where a worker is free. */
async function ranOn(
  store: ObjectStore,
  { kind, sha256: hash, bytes }: FinishedStep['manifest'],
  fingerprint: Fingerprint | null,
): Promise<boolean> {
  if (fingerprint === null || (kind !== 'generator' && kind !== 'classifier')) return true;
  const training = await getManifest<GeneratorManifest | ClassifierManifest>(store, { kind, sha256: hash, bytes });
  return training.fingerprintChanges.length === 0 && canonicalJson(training.fingerprint) === canonicalJson(fingerprint);
}

/** @throws NotFoundError when nothing was trained there. */
async function stateAt(store: ObjectStore, key: string): Promise<unknown> {
  const head = await readHead(store, key);
  if (!head) throw new NotFoundError(key);
  return head.state;
}

async function publishGenerator(
  store: ObjectStore,
  input: PublishGeneratorInput,
): ReturnType<ControlActivities['publishGenerator']> {
  const { studyId, side, className, variant, config, metrics, floor, stopped, gammaSweep } = input;
  const key = trainingHeadKey(studyId, generatorTraining(className, { ...config, variant }));
  const state = generatorStateSchema.parse(await stateAt(store, key));
  if (!state.parameters || !state.realsGrid || !state.fingerprint)
    throw new NotFoundError(`${key} (finished training)`);
  const measured = new Map(metrics.map(({ nimg, metric }) => [nimg, metric]));
  const snapshots: Snapshot[] = state.snapshots.map(({ nimg, weights, grid }) => ({
    nimg,
    weights,
    grid,
    metric: measured.get(nimg) ?? null,
  }));
  return await putManifest<GeneratorManifest>(store, {
    kind: 'generator',
    side,
    className,
    config,
    parameters: state.parameters,
    images: state.images,
    ...(state.start && { start: state.start }),
    ...(gammaSweep && { gammaSweep }),
    nimg: state.nimg,
    snapshots,
    floor,
    reals: state.realsGrid,
    events: state.events,
    losses: state.ticks,
    ...(state.rollBacks && { rollBacks: state.rollBacks }),
    stopped,
    fingerprint: state.fingerprint,
    fingerprintChanges: state.fingerprintChanges,
  });
}
