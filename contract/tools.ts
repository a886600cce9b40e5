import { z } from 'zod';
import type { ClassifierManifest, ClassSide, DatasetManifest, Fingerprint, RefTo, SetQuality } from './manifests.ts';
import { refusalOf } from './refusal.ts';
import type { BlobRef } from './refs.ts';
import type { Study } from './study.ts';
import type { TimeoutProfileName } from './timeouts.ts';

/** Tools on a stored snapshot of a study's generator: their inputs, checked before any work, and what they leave. */

/** Thrown by {@link parseToolInput} and by the look for the snapshot: the input is refused, each field by name. */
export class ToolInputError extends Error {
  readonly problems: readonly string[];
  constructor(tool: string, problems: readonly string[]) {
    super(`input of ${tool} refused:\n${problems.map((problem) => `  ${problem}`).join('\n')}`);
    this.name = 'ToolInputError';
    this.problems = problems;
  }
}

/** Seeds as NumPy takes them end at 2^32 - 1; those from 2^31 on belong to the metrics. */
const maxSeed = 2 ** 31 - 1;
const maxImages = 10_000;
/** Cells of a grid, and frames of an animation: they are held in memory. */
const maxCells = 1024;
const maxFrames = 600;
/** Side of a square picture at most, px: the encoder takes no larger area, be it one picture or all frames of a film. */
const maxSide = 16_383;
/** Snapshots of one training at full length: 312. */
const maxMeasured = 1000;

/** "1-50,77" as [1, ..., 50, 77], in the order written. Null when it cannot be read, or names too many. */
export function parseNumberList(text: string, most: number): number[] | null {
  const numbers = new Set<number>();
  for (const part of text.split(',')) {
    const [, from, to = from] = /^\s*(\d{1,10})(?:\s*-\s*(\d{1,10}))?\s*$/.exec(part) ?? [];
    const [first, last] = [Number(from), Number(to)];
    if (!Number.isInteger(first) || !Number.isInteger(last) || last < first) return null;
    if (last - first >= most) return null;
    for (let number = first; number <= last; number++) numbers.add(number);
    if (numbers.size > most) return null;
  }
  return [...numbers];
}

const numberList = (what: string, { most, largest }: { most: number; largest: number }): z.ZodType<number[], string> =>
  z.string({ error: `expected ${what} such as "1-50,77"` }).transform((text, context) => {
    const numbers = parseNumberList(text, most);
    if (numbers?.every((number) => number <= largest)) return numbers;
    context.addIssue({
      code: 'custom',
      message: `expected ${what} such as "1-50,77" (at most ${most}, each at most ${largest}), found ${JSON.stringify(text)}`,
    });
    return z.NEVER;
  });

const seeds = numberList('seeds', { most: maxImages, largest: maxSeed });
const fewSeeds = numberList('seeds', { most: maxCells, largest: maxSeed });
const psi = z.number().min(-4).max(4);
const noise = z.enum(['seed', 'constant', 'none']);
export type NoiseMode = z.output<typeof noise>;

const target = {
  /** studyId of a finished or running study. */
  study: z.string().regex(/^[a-z0-9][a-z0-9-]{0,62}$/, { error: 'expected the studyId of a study' }),
  /** Folder name of the class, e.g. `benign`. */
  class: z.string().min(1),
};
const snapshot = {
  ...target,
  /** Image count of the snapshot; null takes the one that synthesis used, else the lowest metric, else the newest. */
  nimg: z.int().min(0).nullable().default(null),
};
/** Null takes the study's `synthesis.psi`. */
const ownPsi = psi.nullable().default(null);

const schemas = {
  generateImages: z.strictObject({ ...snapshot, seeds, psi: ownPsi, noise: noise.default('seed') }),
  styleMixing: z
    .strictObject({
      ...snapshot,
      rowSeeds: fewSeeds,
      columnSeeds: fewSeeds,
      /** Indices of the layers whose style comes from the column: 0 is the coarsest. Null: the coarser half. */
      columnStyles: numberList('styles', { most: 18, largest: 17 }).nullable().default(null),
      psi: ownPsi,
      noise: noise.exclude(['seed']).default('constant'),
    })
    .refine(({ rowSeeds, columnSeeds }) => rowSeeds.length * columnSeeds.length <= maxCells, {
      path: ['columnSeeds'],
      error: `expected at most ${maxCells} pairs of row and column`,
    }),
  truncationSweep: z
    .strictObject({
      ...snapshot,
      seeds: fewSeeds,
      psi: z
        .array(psi)
        .min(1)
        .max(64)
        .transform((list) => [...new Set(list)]),
      noise: noise.default('seed'),
    })
    .refine((input) => input.seeds.length * input.psi.length <= maxCells, {
      path: ['seeds'],
      error: `expected at most ${maxCells} pairs of seed and psi`,
    }),
  interpolateLatents: z
    .strictObject({
      ...snapshot,
      /** Keyframes in the order of the film, which returns to the first. */
      seeds: fewSeeds.refine((list) => list.length >= 2, { error: 'expected at least two different seeds' }),
      framesBetween: z.int().min(1).max(240).default(15),
      space: z.enum(['z', 'w']).default('w'),
      psi: ownPsi,
      noise: noise.exclude(['seed']).default('constant'),
      frameMs: z.int().min(20).max(2000).default(50),
    })
    .refine(({ seeds: list, framesBetween }) => list.length * (framesBetween + 1) <= maxFrames, {
      path: ['framesBetween'],
      error: `expected at most ${maxFrames} frames: seeds x (framesBetween + 1)`,
    }),
  measureSnapshots: z.strictObject({
    ...target,
    /** Image counts; null takes every snapshot whose weights are in the store. */
    snapshots: numberList('image counts', { most: maxMeasured, largest: Number.MAX_SAFE_INTEGER })
      .nullable()
      .default(null),
    /** Fakes per snapshot; null takes the study's `snapshotMetric.fakes`. */
    fakes: z.int().min(6).max(50_000).nullable().default(null),
    /** The metric of a training is measured at 1. */
    psi: psi.default(1),
  }),
  projectImage: z
    .strictObject({
      ...snapshot,
      /** A training or validation image of the study, as its source was called. */
      image: z.string().min(1).nullable().default(null),
      /** Key of any other image in the bucket, e.g. uploaded with `echoforge import --prefix`. */
      object: z.string().min(1).nullable().default(null),
      steps: z.int().min(20).max(10_000).default(1000),
    })
    .refine(({ image, object }) => (image === null) !== (object === null), {
      path: ['image'],
      error: 'expected either image, the source of a training or validation image, or object, a key of the bucket',
    }),
};

export type ToolName = keyof typeof schemas;

export type ToolInput<T extends ToolName> = Readonly<z.output<(typeof schemas)[T]>>;

/** The input of any tool: tell them apart by their fields. */
export type AnyToolInput = { readonly [T in ToolName]: ToolInput<T> }[ToolName];

/**
 * The input with its defaults.
 * @throws ToolInputError naming every refused field
 */
export function parseToolInput<T extends ToolName>(tool: T, input: unknown): ToolInput<T> {
  const parsed = schemas[tool].safeParse(input ?? {});
  if (parsed.success) return parsed.data as unknown as ToolInput<T>; // the schema of this very tool
  const problems = parsed.error.issues
    .map((issue) => refusalOf(issue, input))
    .map(({ path, message }) => `${path || '(input)'}: ${message}`);
  throw new ToolInputError(tool, problems);
}

/** Cells of the square grid beside a list of images, the first ones: 1,024 up to 256 px, 961 at 512, 225 at 1024. */
export const gridCellsOf = (resolution: number): number =>
  Math.min(Math.sqrt(maxCells), Math.floor(maxSide / resolution)) ** 2;

/**
 * Above 256 px some requests that the schema lets through make pictures that cannot be stored.
 * @throws ToolInputError
 */
export function refuseLargePicture(tool: ToolName, input: AnyToolInput, resolution: number): void {
  const most = Math.floor(maxSide ** 2 / resolution ** 2);
  const refuse = (field: string, what: string, found: number): void => {
    if (found > most)
      throw new ToolInputError(tool, [
        `${field}: expected at most ${most} ${what} at ${resolution} px, found ${found}`,
      ]);
  };
  if ('rowSeeds' in input)
    refuse(
      'columnSeeds',
      'cells, (rows + 1) x (columns + 1),',
      (input.rowSeeds.length + 1) * (input.columnSeeds.length + 1),
    );
  else if ('framesBetween' in input)
    refuse('framesBetween', 'frames, seeds x (framesBetween + 1),', input.seeds.length * (input.framesBetween + 1));
  else if ('seeds' in input && Array.isArray(input.psi))
    refuse('seeds', 'pairs of seed and psi', input.seeds.length * input.psi.length);
}

/** How the snapshot was found: as asked, as synthesis used it, by the lowest metric, or the newest of a running training. */
export type SnapshotChoice = 'asked' | 'approved' | 'lowest' | 'newest';

export interface ToolSnapshot {
  readonly nimg: number;
  readonly weights: BlobRef;
}

/** A request with everything filled in: what the activities work on. */
export interface ToolPlan<T extends ToolName = ToolName> {
  readonly tool: T;
  readonly study: Study;
  readonly side: ClassSide;
  readonly snapshot: ToolSnapshot;
  readonly chosenBy: SnapshotChoice;
  /** Without study, class and nimg; `psi` filled in. */
  readonly request: ToolRequests[T];
  readonly timeouts: TimeoutProfileName;
}

type DrawingToolName = Exclude<ToolName, 'measureSnapshots' | 'projectImage'>;
type Filled<T extends DrawingToolName> = Omit<ToolInput<T>, 'study' | 'class' | 'nimg' | 'psi'> & {
  readonly psi: number;
};
export interface ToolRequests {
  readonly generateImages: Filled<'generateImages'>;
  readonly styleMixing: Omit<Filled<'styleMixing'>, 'columnStyles'> & { readonly columnStyles: readonly number[] };
  readonly truncationSweep: Omit<ToolInput<'truncationSweep'>, 'study' | 'class' | 'nimg'>;
  readonly interpolateLatents: Filled<'interpolateLatents'>;
  readonly projectImage: {
    /** As it is called in the study or the bucket, and prepared as the study prepares its images. */
    readonly target: { readonly name: string; readonly png: BlobRef };
    readonly steps: number;
    /** What stands in for the perceptual loss of the original. */
    readonly loss: 'multi-scale pixel distance';
  };
  readonly measureSnapshots: {
    readonly snapshots: readonly ToolSnapshot[];
    /** Reals are its training images of the class. */
    readonly dataset: RefTo<DatasetManifest>;
    /** Its features are compared where the study supplies no Inception weights. */
    readonly classifier: RefTo<ClassifierManifest>;
    readonly fakes: number;
    readonly psi: number;
  };
}

/** One snapshot against the training reals; the floor is half of the reals against the other half. */
export interface Measurement {
  /** `fid` only in the canonical network; otherwise `fd.irv2-real`. */
  readonly metric: string;
  /** sha256 of the extractor's weights. */
  readonly extractor: string;
  readonly reals: number;
  readonly fakes: number;
  /** Null where either side has fewer than six images. */
  readonly quality: SetQuality | null;
}

/** A file that a tool left below its prefix. */
export interface ToolFile extends BlobRef {
  readonly name: string;
}

/** `manifest.json` beside the files: no time, host, studyId or attempt, nor how the snapshot was found: one output, one manifest. */
export interface ToolManifest {
  readonly kind: 'toolOutput';
  readonly tool: ToolName;
  readonly side: ClassSide;
  readonly className: string;
  readonly snapshot: { readonly nimg: number; readonly sha256: string };
  readonly request: unknown;
  /** What a reader must know to read the result rightly. */
  readonly notes: readonly string[];
  readonly files: readonly ToolFile[];
  readonly fingerprint: Fingerprint;
}

/** What a tool's workflow returns. */
export interface ToolResult {
  /** Key prefix of the files in the store. */
  readonly prefix: string;
  readonly manifest: string;
  readonly files: number;
  readonly nimg: number;
  readonly chosenBy: SnapshotChoice;
}
