import type { EngineContext, LocalShard, MeasureFilterTask } from '../../contract/engine.ts';
import type { FilterLoss, SetQuality } from '../../contract/manifests.ts';
import { loadClassifier } from '../classifier/predict.ts';
import { loadShardImages } from '../dataset/shard.ts';
import { loadEngine } from '../engine/backend.ts';
import type { RawImage } from '../image/raw-image.ts';
import { coverage, imageRecall } from '../metrics/coverage.ts';
import { takeRows, type FeatureMatrix } from '../metrics/feature-matrix.ts';
import { frechetDistance } from '../metrics/frechet.ts';
import { kernelDistance } from '../metrics/kid.ts';

/** Neighbours of recall and of coverage; both sets must have one more image than the larger. */
const neighbours = { recall: 3, coverage: 5 };
export const leastImages = neighbours.coverage + 1;
const featureBatchSize = 16;

/**
 * What a filter cost: the fakes before it and those it kept, in equal numbers, each compared with the training reals of the
 * class. Null when reals or kept fakes are too few to say anything (6).
 *
 * Throws WeightsError, CorruptObjectError, or the signal's reason when aborted.
 */
export async function measureFilter(task: MeasureFilterTask, context: EngineContext): Promise<FilterLoss | null> {
  const { extractor: model, extractorName, reals: realShards, shards, before, after } = task;
  if (before.length !== after.length)
    throw new RangeError(`measureFilter expects equal numbers, got ${before.length} before and ${after.length} after`);
  if (after.length < leastImages) return null;
  await context.emit({ type: 'progress', phase: 'load', done: 0, total: shards.length });
  await loadEngine();
  const extractor = await loadClassifier({ model, settings: context.settings, batchSize: featureBatchSize });
  const size = extractor.featureSize;
  const featuresOf = async (images: readonly RawImage[]): Promise<Float32Array[]> => {
    const rows: Float32Array[] = [];
    for (let start = 0; start < images.length; start += featureBatchSize) {
      context.signal.throwIfAborted();
      const batch = extractor.features(images.slice(start, start + featureBatchSize));
      for (let i = 0; i < batch.length; i += size) rows.push(batch.subarray(i, i + size));
      await context.emit({ type: 'progress', phase: 'measure', done: rows.length, total: images.length });
    }
    return rows;
  };
  try {
    const reals = matrix(await featuresOf((await loadShardImages(realShards)).images), size);
    if (reals.rows < leastImages) return null;
    const fakes = await fakesBySeed(shards, new Set([...before, ...after]), featuresOf);
    const pick = (seeds: readonly number[]): FeatureMatrix =>
      matrix(
        seeds.map((seed) => {
          const row = fakes.get(seed);
          if (row === undefined) throw new RangeError(`measureFilter was given no image of seed ${seed}`);
          return row;
        }),
        size,
      );
    const measure = async (set: FeatureMatrix, done: number): Promise<SetQuality> => {
      await context.emit({ type: 'progress', phase: 'measure', done, total: 2 });
      return compareWithReals(reals, set);
    };
    const counts = { extractor: extractorName, reals: reals.rows, fakes: after.length };
    return { ...counts, before: await measure(pick(before), 0), after: await measure(pick(after), 1) };
  } finally {
    extractor.dispose();
  }
}

/** Distances of a set of fakes to reals, and how much of them it reaches. */
export function compareWithReals(reals: FeatureMatrix, fakes: FeatureMatrix): SetQuality {
  return {
    frechet: frechetDistance({ a: reals, b: fakes }),
    kernel: kernelDistance({ a: reals, b: fakes }),
    recall: imageRecall({ reals, fakes, k: neighbours.recall }),
    coverage: coverage({ reals, fakes, k: neighbours.coverage }),
  };
}

/** One shard's pixels are in memory at a time. */
async function fakesBySeed(
  shards: readonly LocalShard[],
  wanted: ReadonlySet<number>,
  featuresOf: (images: readonly RawImage[]) => Promise<Float32Array[]>,
): Promise<Map<number, Float32Array>> {
  const found = new Map<number, Float32Array>();
  for (const shard of shards) {
    const { images, entries } = await loadShardImages([shard]);
    const chosen = entries.flatMap(({ seed }, i) => (seed !== null && wanted.has(seed) ? { seed, i } : []));
    const rows = await featuresOf(chosen.flatMap(({ i }) => images[i] ?? []));
    for (const [place, { seed }] of chosen.entries()) {
      const row = rows[place];
      if (row !== undefined) found.set(seed, row);
    }
  }
  return found;
}

function matrix(rows: readonly Float32Array[], columns: number): FeatureMatrix {
  const values = new Float32Array(rows.length * columns);
  for (const [i, row] of rows.entries()) values.set(row, i * columns);
  return takeRows({ rows: rows.length, columns, values }, [...rows.keys()]);
}
