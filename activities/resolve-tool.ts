import type { ClassifierManifest, ClassSide, DatasetManifest } from '../contract/manifests.ts';
import { styleCountOf } from '../contract/plan.ts';
import type { Study } from '../contract/study.ts';
import type { TimeoutProfileName } from '../contract/timeouts.ts';
import {
  parseToolInput,
  refuseLargePicture,
  ToolInputError,
  type AnyToolInput,
  type ToolInput,
  type ToolName,
  type ToolPlan,
  type ToolRequests,
  type ToolSnapshot,
} from '../contract/tools.ts';
import type { ObjectStore } from '../lib/storage/object-store.ts';
import { findSnapshot, finishedStepRef, isStored, listStoredSnapshots } from './find-snapshot.ts';
import { projectionTarget } from './projection-target.ts';

/**
 * Checks a tool's input and finds the snapshot, before any work.
 * @throws ToolInputError naming the field, what was found and what there is.
 */
export async function resolveTool<T extends ToolName>(
  store: ObjectStore,
  options: { readonly tool: T; readonly input: unknown; readonly timeouts: TimeoutProfileName },
): Promise<ToolPlan<T>> {
  const { tool, timeouts } = options;
  const input = parseToolInput<ToolName>(tool, options.input) as AnyToolInput; // of one of the tools
  const nimg = 'nimg' in input ? input.nimg : null;
  const target = { studyId: input.study, className: input.class, nimg };
  const { study, side, ...found } = await findSnapshot(store, tool, target);
  refuseLargePicture(tool, input, study.image.resolution);
  const request = await requestOf(store, { tool, input, study, side });
  // `parseToolInput` gave the input of this very tool, `requestOf` completed it.
  return { tool, study, side, ...found, request: request as unknown as ToolPlan<T>['request'], timeouts };
}

/** With what the schema leaves open, because only the study can say it. */
async function requestOf(
  store: ObjectStore,
  args: {
    readonly tool: ToolName;
    readonly input: AnyToolInput;
    readonly study: Study;
    readonly side: ClassSide;
  },
): Promise<object> {
  const { tool, input, study, side } = args;
  if ('snapshots' in input) return await measurementOf(store, { input, study, side });
  if ('steps' in input) {
    const target = await projectionTarget(store, { study, input });
    return { target, steps: input.steps, loss: 'multi-scale pixel distance' } satisfies ToolRequests['projectImage'];
  }
  const { study: _study, class: _class, nimg: _nimg, ...request } = input;
  const styles = 'columnStyles' in request ? { columnStyles: columnStylesOf(tool, request.columnStyles, study) } : {};
  return { ...request, ...styles, psi: request.psi ?? study.synthesis.psi };
}

/** Snapshots, reals and extractor of a measurement. */
async function measurementOf(
  store: ObjectStore,
  args: { readonly input: ToolInput<'measureSnapshots'>; readonly study: Study; readonly side: ClassSide },
): Promise<ToolRequests['measureSnapshots']> {
  const { study, side } = args;
  const { snapshots: wanted, fakes, psi } = args.input;
  const className = study.classes[side];
  const present: ToolSnapshot[] = [];
  for (const { nimg, weights } of await listStoredSnapshots(store, study, className))
    if (await isStored(store, weights)) present.push({ nimg, weights });
  const strange = wanted?.filter((nimg) => present.every((one) => one.nimg !== nimg)) ?? [];
  if (strange.length > 0)
    throw new ToolInputError('measureSnapshots', [
      `snapshots: expected snapshots of class ${className} (${present.map(({ nimg }) => nimg).join(', ')}), found ${strange.join(', ')}`,
    ]);
  const steps = { studyId: study.studyId, tool: 'measureSnapshots' };
  return {
    snapshots: present.filter(({ nimg }) => wanted?.includes(nimg) ?? true),
    dataset: await finishedStepRef<DatasetManifest>(store, { ...steps, step: 'dataset' }),
    classifier: await finishedStepRef<ClassifierManifest>(store, { ...steps, step: 'classifier/real' }),
    fakes: fakes ?? study.snapshotMetric.fakes,
    psi,
  };
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
