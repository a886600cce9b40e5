import { createHash } from 'node:crypto';
import { access, rm } from 'node:fs/promises';
import path from 'node:path';
import { canonicalJson } from '../../contract/canonical-json.ts';
import type { EngineContext } from '../../contract/engine.ts';
import { describeEngine } from '../engine/fingerprint.ts';
import { readTensorFile, writeTensorFile } from '../engine/tensor-file.ts';
import { tf } from '../engine/tf.ts';
import { WeightsError } from '../errors.ts';
import { fixedAlteration, writeAltered } from './augmentation.ts';
import type { Features, FeatureTable } from './batch-inputs.ts';
import { imageTensor, runForward } from './forward.ts';
import type { Model } from './model.ts';
import { headLayers } from './network.ts';
import type { Training } from './training.ts';
import type { LabelledSet } from './training-images.ts';

/**
 * What a frozen trunk makes of the images: computed once, kept by whoever runs the training under a hash of all that it
 * depends on, and found there by later segments, attempts and studies (evaluation.md 1.6, last lines). Images go in parts, so
 * that a killed attempt loses one part.
 */

/** A part takes about two minutes at 256 px on two cores. */
const partImages = 1024;
const format = 'echoforge-features';

/**
 * Features of the training images in `views` fixed views, and of the validation images as they are, by the trunk as it stands.
 * Null when stopped on the way; what was computed until then is kept.
 */
export async function cacheFeatures(
  training: Training,
  context: EngineContext,
  views: number,
): Promise<Features | null> {
  const { sets, task, model } = training;
  const { width, blocks, inputScaling, batchSize } = task.config;
  const { inputSize, channels } = task;
  const base = {
    ...{ trunk: hashTrunk(model), width, blocks, inputScaling, inputSize, channels, batchSize },
    engine: await describeEngine(context.settings),
  };
  const train = await featureTable(training, context, { set: sets.train, views, base });
  const validation = train && (await featureTable(training, context, { set: sets.validation, views: 1, base }));
  return train && validation && { train, validation };
}

interface Wanted {
  readonly set: LabelledSet;
  readonly views: number;
  readonly base: unknown;
}

interface Part extends Wanted {
  readonly first: number;
  readonly count: number;
}

async function featureTable(training: Training, context: EngineContext, wanted: Wanted): Promise<FeatureTable | null> {
  const { set, views } = wanted;
  const size = training.model.plan.features;
  const rows = new Float32Array(set.images.length * views * size);
  let found = 0;
  for (let first = 0; first < set.images.length; first += partImages) {
    const part = { ...wanted, first, count: Math.min(partImages, set.images.length - first) };
    const { key, file } = fileOf(training, context, part);
    await context.emit({ type: 'featureFile', stage: 'wanted', key, file });
    const stored = await access(file).then(
      () => true,
      () => false,
    );
    const values = stored
      ? await readPart(file, key, part.count * views * size)
      : await compute(training, context, part);
    if (values === null) return null;
    if (stored) found += part.count;
    else {
      await writePart(file, { key, values, size });
      await context.emit({ type: 'featureFile', stage: 'written', key, file });
    }
    await rm(file, { force: true });
    rows.set(values, first * views * size);
  }
  const text = `features of ${set.images.length} images in ${views} view(s): ${found} found in the store, the others computed`;
  await context.emit({ type: 'notice', level: 'info', text });
  return { size, views, rows };
}

/** Images by their bytes at the size of the input: other files, another resize rule or another order is another key. */
function fileOf({ task }: Training, { workDir }: EngineContext, part: Part): { key: string; file: string } {
  const { set, views, base, first, count } = part;
  const images = createHash('sha256');
  for (const image of set.images.slice(first, first + count)) images.update(image);
  const { seed, stream } = task;
  const { mirror, shift, zoom, brightness, contrast } = task.config;
  // The first two views are drawn by no one, and so the same in every study.
  const drawn = views > (mirror ? 2 : 1) ? { seed, stream, first, shift, zoom, brightness, contrast } : null;
  const identity = { format, base, images: images.digest('hex'), count, views, mirror: views > 1 && mirror, drawn };
  const key = createHash('sha256').update(canonicalJson(identity)).digest('hex');
  return { key, file: path.join(workDir, `features-${key}.safetensors`) };
}

async function compute(training: Training, context: EngineContext, part: Part): Promise<Float32Array | null> {
  const { task, model, predictStep } = training;
  const { config, inputSize, channels, seed, stream } = task;
  const { batchSize } = config;
  const { set, views, first, count } = part;
  const values = new Float32Array(count * views * model.plan.features);
  for (let start = 0; start < count * views; start += batchSize) {
    await context.emit({
      type: 'progress',
      phase: 'measure',
      done: first * views + start,
      total: set.images.length * views,
    });
    if (context.signal.aborted) return null;
    const rows = Math.min(batchSize, count * views - start);
    const images = imageTensor({ inputSize, channels, batchSize }, rows, (slot, target, offset) => {
      const image = first + Math.floor((start + slot) / views);
      const view = (start + slot) % views;
      const alteration = fixedAlteration(config, { seed, stream, view, image, side: inputSize });
      const data = set.images[image] ?? new Uint8Array();
      writeAltered(target, offset, { data, side: inputSize, channels, alteration });
    });
    values.set(runForward(predictStep, { images }, rows).features, start * model.plan.features);
  }
  return values;
}

/** Of every variable that the features depend on. */
function hashTrunk({ variables }: Model): string {
  const hash = createHash('sha256');
  for (const [name, variable] of variables) {
    if (headLayers.includes(name.slice(0, name.indexOf('/')))) continue;
    const values = variable.dataSync();
    hash.update(name).update(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
  }
  return hash.digest('hex');
}

async function writePart(
  file: string,
  { key, values, size }: { readonly key: string; readonly values: Float32Array; readonly size: number },
): Promise<void> {
  const features = tf.tensor2d(values, [values.length / size, size]);
  try {
    await writeTensorFile(file, { features }, { format, formatVersion: '1', key });
  } finally {
    features.dispose();
  }
}

async function readPart(file: string, key: string, length: number): Promise<Float32Array> {
  const { tensors, metadata } = await readTensorFile(file);
  const values = tensors.get('features')?.values;
  if (metadata.format === format && metadata.key === key && values instanceof Float32Array && values.length === length)
    return values;
  throw new WeightsError(
    `${file} does not hold the ${length} features with key ${key}: its format is ${metadata.format ?? 'missing'}, its key ${metadata.key ?? 'missing'}; delete features/${key}.json from the store`,
  );
}
