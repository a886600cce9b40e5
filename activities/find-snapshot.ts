import { blobKey, stepKey, trainingHeadKey } from '../contract/keys.ts';
import {
  classSides,
  type ClassSide,
  type GeneratorManifest,
  type Manifest,
  type RefTo,
  type SyntheticSetManifest,
} from '../contract/manifests.ts';
import { generatorTraining } from '../contract/names.ts';
import type { BlobRef, ManifestRef } from '../contract/refs.ts';
import type { Study } from '../contract/study.ts';
import { ToolInputError, type SnapshotChoice, type ToolSnapshot } from '../contract/tools.ts';
import { generatorStateSchema } from '../contract/training-state.ts';
import { NotFoundError } from '../lib/errors.ts';
import { getManifest } from '../lib/storage/blobs.ts';
import type { ObjectStore } from '../lib/storage/object-store.ts';
import { readPointer } from '../lib/storage/pointer.ts';
import { readHead } from '../lib/storage/training-head.ts';
import { readStudy } from './study-record.ts';

/** A stored snapshot of a study's generator, and how it was chosen. */
export interface FoundSnapshot {
  readonly study: Study;
  readonly side: ClassSide;
  readonly snapshot: ToolSnapshot;
  readonly chosenBy: SnapshotChoice;
}

/**
 * The snapshot of image count `nimg`; null takes the one that synthesis used, else the lowest metric, else the newest.
 * @throws ToolInputError naming the field, what was found and what there is.
 */
export async function findSnapshot(
  store: ObjectStore,
  tool: string,
  { studyId, className, nimg }: { readonly studyId: string; readonly className: string; readonly nimg: number | null },
): Promise<FoundSnapshot> {
  const { study, side } = await findClass(store, tool, { studyId, className });
  return { study, side, ...(await chooseSnapshot(store, tool, { study, side, nimg })) };
}

/** The study of that id, and which side of it the class is. */
async function findClass(
  store: ObjectStore,
  tool: string,
  { studyId, className }: { readonly studyId: string; readonly className: string },
): Promise<{ readonly study: Study; readonly side: ClassSide }> {
  const { study } = await readStudy(store, studyId).catch((error: unknown) => {
    if (!(error instanceof NotFoundError)) throw error;
    throw new ToolInputError(tool, [
      `study: expected a study that was started in this store, found none called "${studyId}"; give the part after study/ of its workflow id`,
    ]);
  });
  const side = classSides.find((one) => study.classes[one] === className);
  if (side === undefined)
    throw new ToolInputError(tool, [
      `class: expected ${study.classes.negative} or ${study.classes.positive}, found "${className}"`,
    ]);
  return { study, side };
}

async function chooseSnapshot(
  store: ObjectStore,
  tool: string,
  { study, side, nimg }: { readonly study: Study; readonly side: ClassSide; readonly nimg: number | null },
): Promise<{ readonly snapshot: ToolSnapshot; readonly chosenBy: SnapshotChoice }> {
  const className = study.classes[side];
  const snapshots = await listStoredSnapshots(store, study, className);
  const present = snapshots.map((one) => one.nimg).join(', ');
  if (nimg !== null) {
    const asked = snapshots.find((one) => one.nimg === nimg);
    if (asked === undefined)
      throw new ToolInputError(tool, [
        `nimg: expected a snapshot of class ${className} (${present || 'none yet'}), found ${nimg}`,
      ]);
    return { snapshot: await stored(store, tool, asked), chosenBy: 'asked' };
  }
  const set = await finishedStep<SyntheticSetManifest>(store, study, `synthesis/${className}`);
  if (set !== null) return { snapshot: await stored(store, tool, set.snapshot), chosenBy: set.chosenBy };
  const measured = snapshots.filter(({ metric }) => metric !== null);
  const [first, ...others] = measured.length > 0 ? measured : snapshots.slice(-1);
  if (first === undefined)
    throw new ToolInputError(tool, [
      `nimg: expected a snapshot of class ${className}, found none yet; start the tool again when the training has made its first`,
    ]);
  const lowest = others.reduce(
    (best, one) => ((one.metric ?? Infinity) < (best.metric ?? Infinity) ? one : best),
    first,
  );
  return { snapshot: await stored(store, tool, lowest), chosenBy: measured.length > 0 ? 'lowest' : 'newest' };
}

type MeasuredSnapshot = ToolSnapshot & { readonly metric: number | null };

/** Of the finished generator, or of the training as far as it has come; ascending. */
export async function listStoredSnapshots(
  store: ObjectStore,
  study: Study,
  className: string,
): Promise<MeasuredSnapshot[]> {
  const generator = await finishedStep<GeneratorManifest>(store, study, `generator/${className}`);
  if (generator !== null)
    return generator.snapshots.map(({ nimg, weights, metric }) => ({ nimg, weights, metric: metric?.value ?? null }));
  const head = await readHead(store, trainingHeadKey(study.studyId, generatorTraining(className, study.generator)));
  if (head === null) return [];
  const { snapshots } = generatorStateSchema.parse(head.state);
  return snapshots.map(({ nimg, weights }) => ({ nimg, weights, metric: null }));
}

/** Manifest of a finished step of the study; null while it has not finished. */
async function finishedStep<M extends Manifest>(
  store: ObjectStore,
  { studyId }: Study,
  step: string,
): Promise<M | null> {
  const record = await readPointer<{ readonly manifest: ManifestRef }>(store, stepKey(studyId, step));
  return record === null ? null : await getManifest<M>(store, record.value.manifest as RefTo<M>); // the step names its kind
}

/** @throws ToolInputError while the step has not finished */
export async function finishedStepRef<M extends Manifest>(
  store: ObjectStore,
  { studyId, tool, step }: { readonly studyId: string; readonly tool: string; readonly step: string },
): Promise<RefTo<M>> {
  const record = await readPointer<{ readonly manifest: ManifestRef }>(store, stepKey(studyId, step));
  if (record !== null) return record.value.manifest as RefTo<M>; // the step names its kind
  throw new ToolInputError(tool, [
    `study: expected the finished step ${step} of study ${studyId}, found none yet; start the tool again when it has finished`,
  ]);
}

/** False when retention has removed the weights. */
export async function isStored(store: ObjectStore, { sha256 }: BlobRef): Promise<boolean> {
  return (await store.head(blobKey(sha256))) !== null;
}

/** @throws ToolInputError when retention has removed the weights */
async function stored(store: ObjectStore, tool: string, { nimg, weights }: ToolSnapshot): Promise<ToolSnapshot> {
  if (await isStored(store, weights)) return { nimg, weights };
  throw new ToolInputError(tool, [
    `nimg: the weights of snapshot ${nimg} are no longer in the store (${blobKey(weights.sha256)}); name another snapshot`,
  ]);
}
