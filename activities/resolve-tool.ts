import { blobKey, stepKey, trainingHeadKey } from '../contract/keys.ts';
import {
  classSides,
  type ClassSide,
  type GeneratorManifest,
  type RefTo,
  type SyntheticSetManifest,
} from '../contract/manifests.ts';
import { styleCountOf } from '../contract/plan.ts';
import type { ManifestRef } from '../contract/refs.ts';
import type { Study } from '../contract/study.ts';
import type { TimeoutProfileName } from '../contract/timeouts.ts';
import {
  parseToolInput,
  ToolInputError,
  type SnapshotChoice,
  type ToolName,
  type ToolPlan,
  type ToolSnapshot,
} from '../contract/tools.ts';
import { generatorStateSchema } from '../contract/training-state.ts';
import { NotFoundError } from '../lib/errors.ts';
import { getManifest } from '../lib/storage/blobs.ts';
import type { ObjectStore } from '../lib/storage/object-store.ts';
import { readPointer } from '../lib/storage/pointer.ts';
import { readHead } from '../lib/storage/training-head.ts';
import { readStudy } from './study-record.ts';

/**
 * Checks a tool's input and finds the snapshot, before any work.
 * @throws ToolInputError naming the field, what was found and what there is.
 */
export async function resolveTool<T extends ToolName>(
  store: ObjectStore,
  options: { readonly tool: T; readonly input: unknown; readonly timeouts: TimeoutProfileName },
): Promise<ToolPlan<T>> {
  const { tool, timeouts } = options;
  const { study: studyId, class: className, nimg, ...request } = parseToolInput<ToolName>(tool, options.input);
  const { study, side, ...found } = await findSnapshot(store, tool, { studyId, className, nimg });
  const styles = 'columnStyles' in request ? { columnStyles: columnStylesOf(tool, request.columnStyles, study) } : {};
  const psi = request.psi ?? study.synthesis.psi;
  // `parseToolInput` gave the request of this very tool; the filled-in psi completes it.
  return {
    tool,
    study,
    side,
    ...found,
    request: { ...request, ...styles, psi } as unknown as ToolPlan<T>['request'],
    timeouts,
  };
}

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

/**
 * Layers whose style the column gives. Null: the coarser half, the original's 0-6 at 256 px. The schema cannot know the
 * resolution, and with it the number of layers.
 */
function columnStylesOf(tool: ToolName, styles: readonly number[] | null, { image }: Study): readonly number[] {
  const count = styleCountOf(image.resolution);
  const chosen = styles ?? [...Array(count / 2).keys()];
  const strange = chosen.filter((style) => style >= count);
  if (strange.length === 0) return chosen;
  throw new ToolInputError(tool, [
    `columnStyles: expected layers 0-${count - 1} at ${image.resolution} px, found ${strange.join(', ')}`,
  ]);
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
async function listStoredSnapshots(store: ObjectStore, study: Study, className: string): Promise<MeasuredSnapshot[]> {
  const generator = await finishedStep<GeneratorManifest>(store, study, `generator/${className}`);
  if (generator !== null)
    return generator.snapshots.map(({ nimg, weights, metric }) => ({ nimg, weights, metric: metric?.value ?? null }));
  const head = await readHead(store, trainingHeadKey(study.studyId, `generator/${className}`));
  if (head === null) return [];
  const { snapshots } = generatorStateSchema.parse(head.state);
  return snapshots.map(({ nimg, weights }) => ({ nimg, weights, metric: null }));
}

/** Manifest of a finished step of the study; null while it has not finished. */
async function finishedStep<M extends GeneratorManifest | SyntheticSetManifest>(
  store: ObjectStore,
  { studyId }: Study,
  step: string,
): Promise<M | null> {
  const record = await readPointer<{ readonly manifest: ManifestRef }>(store, stepKey(studyId, step));
  return record === null ? null : await getManifest<M>(store, record.value.manifest as RefTo<M>); // the step names its kind
}

/** @throws ToolInputError when retention has removed the weights */
async function stored(store: ObjectStore, tool: string, { nimg, weights }: ToolSnapshot): Promise<ToolSnapshot> {
  if ((await store.head(blobKey(weights.sha256))) !== null) return { nimg, weights };
  throw new ToolInputError(tool, [
    `nimg: the weights of snapshot ${nimg} are no longer in the store (${blobKey(weights.sha256)}); name another snapshot`,
  ]);
}
