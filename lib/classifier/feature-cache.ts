import { createHash } from 'node:crypto';
import { access } from 'node:fs/promises';
import path from 'node:path';
import { canonicalJson } from '../../contract/canonical-json.ts';
import type { EngineContext } from '../../contract/engine.ts';
import { describeEngine } from '../engine/fingerprint.ts';
import { freeBytesOf } from '../storage/free-bytes.ts';
import { fixedAlteration, writeAltered } from './augmentation.ts';
import type { Features, FeatureTable } from './batch-inputs.ts';
import { openFeatureFile, tableOfFiles, writeFeatureFile, type FeatureFile } from './feature-file.ts';
import { checkSpace, hasDrawnViews, imagesPerPart } from './feature-space.ts';
import { imageTensor, runRows } from './forward.ts';
import type { Model } from './model.ts';
import { layersAbove, type Cut } from './network.ts';
import type { FeatureCache } from './phases.ts';
import { featureSize } from './shape-layers.ts';
import type { Training } from './training.ts';
import type { LabelledSet } from './training-images.ts';

/**
 * What the frozen part of a network makes of the images: computed once, kept by whoever runs the training under a hash of all that
 * it depends on, and found there by later segments, attempts and studies (evaluation.md 1.6, last lines). Images go in parts, so
 * that a killed attempt loses one part. The parts stay in the work directory and rows are read from them: all of them may be more
 * than memory holds.
 */

/** Where the parts go. */
export interface Disk {
  /** Largest part. Default: 64 MB */
  readonly partBytes?: number;
  /** Free bytes of the file system of a folder. Default: as it says */
  readonly freeBytes?: (dir: string) => Promise<number>;
}

/**
 * Features at the cut: of the training images in fixed views, and of the validation images as they are, by the network as it
 * stands. Null when stopped on the way; what was computed until then is kept.
 * @throws ConfigurationError when the disk has no room for them, WeightsError when a stored file holds something else
 */
export async function cacheFeatures(
  training: Training,
  context: EngineContext,
  { cut, views }: FeatureCache,
  { partBytes, freeBytes = freeBytesOf }: Disk = {},
): Promise<Features | null> {
  const { sets, task, model } = training;
  const { width, blocks, inputScaling, batchSize } = task.config;
  const { inputSize, channels } = task;
  const base = {
    ...{ cut, below: hashBelow(model, cut), width, blocks, inputScaling, inputSize, channels, batchSize },
    engine: await describeEngine(context.settings),
  };
  const size = featureSize(model.plan, cut, { blocks });
  const train = wantedParts(training, context, { set: sets.train, views, size, base, partBytes });
  const validation = wantedParts(training, context, { set: sets.validation, views: 1, size, base, partBytes });
  const needed = await missingBytes([...train.parts, ...validation.parts]);
  checkSpace({ needed, free: await freeBytes(context.workDir), views, workDir: context.workDir });
  const trainTable = await provideTable(training, context, train);
  const validationTable = trainTable && (await provideTable(training, context, validation));
  return trainTable && validationTable && { train: trainTable, validation: validationTable };
}

interface Wanted {
  readonly set: LabelledSet;
  readonly views: number;
  /** Values of one image in one view. */
  readonly size: number;
  readonly base: unknown;
  readonly partBytes: number | undefined;
}

/** The images from `first` on; row `(image - first) * views + view`. */
interface Part {
  readonly first: number;
  readonly count: number;
  readonly key: string;
  readonly file: string;
  readonly rows: number;
  readonly size: number;
}

interface WantedParts extends Wanted {
  /** In each but the last. */
  readonly partImages: number;
  readonly parts: readonly Part[];
}

function wantedParts(training: Training, context: EngineContext, wanted: Wanted): WantedParts {
  const { set, views, size, partBytes } = wanted;
  const partImages = imagesPerPart(views, size, partBytes);
  const parts = Array.from({ length: Math.ceil(set.images.length / partImages) }, (_, i): Part => {
    const first = i * partImages;
    const count = Math.min(partImages, set.images.length - first);
    const key = keyOf(training, wanted, { first, count });
    const file = path.join(context.workDir, `features-${key}.safetensors`);
    return { first, count, key, file, rows: count * views, size };
  });
  return { ...wanted, partImages, parts };
}

/** Images by their bytes at the size of the input: other files, another resize rule or another order is another key. */
function keyOf(
  { task }: Training,
  { set, views, base }: Wanted,
  { first, count }: Pick<Part, 'first' | 'count'>,
): string {
  const images = createHash('sha256');
  for (const image of set.images.slice(first, first + count)) images.update(image);
  const { seed, stream } = task;
  const { mirror, shift, zoom, brightness, contrast } = task.config;
  const drawn = hasDrawnViews({ featureCache: views, mirror })
    ? { seed, stream, first, shift, zoom, brightness, contrast }
    : null;
  const identity = { base, images: images.digest('hex'), count, views, mirror: views > 1 && mirror, drawn };
  return createHash('sha256').update(canonicalJson(identity)).digest('hex');
}

/** Of every variable below the cut: those above may move. */
function hashBelow({ variables, options }: Model, cut: Cut): string {
  const above = layersAbove(cut, options.config);
  const hash = createHash('sha256');
  for (const [name, variable] of variables) {
    if (above.includes(name.slice(0, name.indexOf('/')))) continue;
    const values = variable.dataSync();
    hash.update(name).update(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
  }
  return hash.digest('hex');
}

const isThere = (file: string): Promise<boolean> =>
  access(file).then(
    () => true,
    () => false,
  );

async function missingBytes(parts: readonly Part[]): Promise<number> {
  let bytes = 0;
  for (const { file, rows, size } of parts) if (!(await isThere(file))) bytes += 4 * rows * size;
  return bytes;
}

async function provideTable(
  training: Training,
  context: EngineContext,
  wanted: WantedParts,
): Promise<FeatureTable | null> {
  const { set, views, size, partImages, parts } = wanted;
  const files: FeatureFile[] = [];
  let found = 0;
  for (const part of parts) {
    if (context.signal.aborted) return null;
    const { key, file, count } = part;
    // A training that went back has had it before.
    if (!(await isThere(file))) await context.emit({ type: 'featureFile', stage: 'wanted', key, file });
    if (await isThere(file)) found += count;
    else {
      const values = await compute(training, context, { wanted, part });
      if (values === null) return null;
      await writeFeatureFile(file, part, values);
      await context.emit({ type: 'featureFile', stage: 'written', key, file });
    }
    files.push(await openFeatureFile(file, part));
  }
  const text = `features of ${set.images.length} images in ${views} view(s): ${found} found in the store, the others computed`;
  await context.emit({ type: 'notice', level: 'info', text });
  return tableOfFiles(files, { rowsPerFile: partImages * views, size, views });
}

async function compute(
  training: Training,
  context: EngineContext,
  { wanted, part }: { readonly wanted: Wanted; readonly part: Part },
): Promise<Float32Array | null> {
  const { task, featureStep } = training;
  const { config, inputSize, channels, seed, stream } = task;
  const { batchSize } = config;
  const { set, views, size } = wanted;
  const { first, rows } = part;
  const values = new Float32Array(rows * size);
  for (let start = 0; start < rows; start += batchSize) {
    const total = set.images.length * views;
    await context.emit({ type: 'progress', phase: 'measure', done: first * views + start, total });
    if (context.signal.aborted) return null;
    const count = Math.min(batchSize, rows - start);
    const images = imageTensor({ inputSize, channels, batchSize }, count, (slot, target, offset) => {
      const image = first + Math.floor((start + slot) / views);
      const view = (start + slot) % views;
      const alteration = fixedAlteration(config, { seed, stream, view, image, side: inputSize });
      const data = set.images[image] ?? new Uint8Array();
      writeAltered(target, offset, { data, side: inputSize, channels, alteration });
    });
    values.set(runRows(featureStep, { images }, { count, outputs: ['features'] }).features, start * size);
  }
  return values;
}
