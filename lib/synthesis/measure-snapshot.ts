import type {
  EngineContext,
  EngineSettings,
  ExtractorModel,
  GeneratorModel,
  MeasureQualityTask,
  MeasureSnapshotTask,
} from '../../contract/engine.ts';
import type { SnapshotMetric } from '../../contract/manifests.ts';
import type { Measurement } from '../../contract/tools.ts';
import { loadClassifier } from '../classifier/predict.ts';
import { loadShardImages } from '../dataset/shard.ts';
import { loadEngine } from '../engine/backend.ts';
import { DatasetError } from '../errors.ts';
import { loadSampler } from '../generator/sampler.ts';
import type { RawImage } from '../image/raw-image.ts';
import { takeRows, type FeatureMatrix } from '../metrics/feature-matrix.ts';
import { frechetDistance } from '../metrics/frechet.ts';
import { loadInception } from '../metrics/inception-features.ts';
import { splitHalves } from '../metrics/split-halves.ts';
import { createRng, seedPair } from '../random.ts';
import { compareWithReals, leastImages } from './measure-filter.ts';
import { sampleSeeds } from './sample-seeds.ts';

/** Seam of the metric: images in, one row of features per image out. */
export interface FeatureExtractor {
  readonly featureSize: number;
  /** [images, featureSize], row-major. */
  features(images: readonly RawImage[]): Float32Array;
  dispose(): void;
}

/** Slots per device pass of the generator and of the extractor: fixed, so that a metric is one number. */
const sampleBatchSize = 8;
const featureBatchSize = 16;

/**
 * Frechet distance of a snapshot's fakes to all training reals of its class, in the extractor's features, under the name the
 * task gives it. Fakes are made at psi 1 (no truncation) from a fixed list of seeds that synthesis never uses, so snapshots
 * of one training are compared on the same latents. Without a generator: the floor, two halves of the reals.
 *
 * Throws DatasetError below four reals, WeightsError, or the signal's reason when aborted.
 */
export async function measureSnapshot(task: MeasureSnapshotTask, context: EngineContext): Promise<SnapshotMetric> {
  const { reals, fakes } = await snapshotFeatures({ ...task, psi: 1 }, context);
  return { ...task.metric, value: frechetDistance({ a: reals, b: fakes }), reals: reals.rows, fakes: fakes.rows };
}

/**
 * Every metric of a snapshot, or of the floor, from the same features; `quality` is null where a set has fewer than six
 * images, too few for the neighbours of coverage. Throws as {@link measureSnapshot}.
 */
export async function measureQuality(task: MeasureQualityTask, context: EngineContext): Promise<Measurement> {
  const { reals, fakes } = await snapshotFeatures(task, context);
  const { name, weights } = task.metric;
  const enough = Math.min(reals.rows, fakes.rows) >= leastImages;
  return {
    ...{ metric: name, extractor: weights, reals: reals.rows, fakes: fakes.rows },
    quality: enough ? compareWithReals(reals, fakes) : null,
  };
}

/** Features of the reals and of the fakes; without a generator, of two halves of the reals. */
async function snapshotFeatures(
  task: MeasureQualityTask,
  context: EngineContext,
): Promise<{ readonly reals: FeatureMatrix; readonly fakes: FeatureMatrix }> {
  await context.emit({ type: 'progress', phase: 'load', done: 0, total: task.fakes });
  await loadEngine();
  const { images } = await loadShardImages(task.reals);
  const [first] = images;
  if (first === undefined || images.length < 4)
    throw new DatasetError(`the snapshot metric expects at least 4 training images of a class, got ${images.length}`);
  const { generator } = task;
  const extractor = await loadExtractor(task.extractor, { settings: context.settings, image: first });
  try {
    const total = images.length + (generator === null ? 0 : task.fakes);
    const collect = featureCollector(extractor, context, total);
    await collect.add(images);
    const reals = collect.take();
    if (generator === null) {
      const [one, other] = splitHalves(reals.rows, createRng(task.seed, 'metric/halves'));
      return { reals: takeRows(reals, one), fakes: takeRows(reals, other) };
    }
    await addFakes({ ...task, generator }, context, collect.add);
    return { reals, fakes: collect.take() };
  } finally {
    extractor.dispose();
  }
}

/** For images like `image`. */
async function loadExtractor(
  model: ExtractorModel,
  { settings, image }: { readonly settings: EngineSettings; readonly image: RawImage },
): Promise<FeatureExtractor> {
  const batchSize = featureBatchSize;
  if (model.kind === 'classifier') return await loadClassifier({ model: model.model, settings, batchSize });
  const { execution } = settings;
  const { weightsFile } = model;
  return await loadInception({ weightsFile, execution, side: image.width, channels: image.channels, batchSize });
}

/** Seed of the i-th fake: 2^31 and above, where no synthesis seed lies. */
export function metricSeed(seed: number, index: number): number {
  return 2 ** 31 + (seedPair(seed, 'metric/fakes', index)[0] & 0x7fff_ffff);
}

async function addFakes(
  task: MeasureQualityTask & { readonly generator: GeneratorModel },
  context: EngineContext,
  add: (images: readonly RawImage[]) => Promise<void>,
): Promise<void> {
  const { generator: model, fakes, seed, psi } = task;
  const { resolution, channels } = model.image;
  const sampler = await loadSampler({ model, settings: context.settings, batchSize: sampleBatchSize });
  try {
    for (let start = 0; start < fakes; start += sampleBatchSize) {
      context.signal.throwIfAborted();
      // The last batch is filled up with further seeds of the list.
      const seeds = Array.from({ length: sampleBatchSize }, (_, slot) => metricSeed(seed, start + slot));
      const images = sampleSeeds(sampler, { seeds, psi, resolution, channels });
      await add(images.slice(0, fakes - start));
    }
  } finally {
    sampler.dispose();
  }
}

/** Turns images into features as they come, so that only features are kept. */
function featureCollector(
  extractor: FeatureExtractor,
  context: EngineContext,
  total: number,
): { readonly add: (images: readonly RawImage[]) => Promise<void>; readonly take: () => FeatureMatrix } {
  let parts: Float32Array[] = [];
  let done = 0;
  return {
    add: async (images) => {
      for (let start = 0; start < images.length; start += featureBatchSize) {
        context.signal.throwIfAborted();
        const batch = images.slice(start, start + featureBatchSize);
        parts.push(extractor.features(batch));
        done += batch.length;
        await context.emit({ type: 'progress', phase: 'measure', done, total });
      }
    },
    take: () => {
      const length = parts.reduce((sum, part) => sum + part.length, 0);
      const values = new Float32Array(length);
      let offset = 0;
      for (const part of parts) {
        values.set(part, offset);
        offset += part.length;
      }
      parts = [];
      return { rows: length / extractor.featureSize, columns: extractor.featureSize, values };
    },
  };
}
