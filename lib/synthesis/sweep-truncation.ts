import type { EngineContext, NamedFile, SweepTruncationTask, ToolOutput } from '../../contract/engine.ts';
import { loadEngine } from '../engine/backend.ts';
import { loadSampler } from '../generator/sampler.ts';
import { composeGrid } from '../image/grid.ts';
import type { RawImage } from '../image/raw-image.ts';
import { blocksOfSeeds, sampleSeeds } from './sample-seeds.ts';
import { writePng } from './tool-files.ts';
import { sharedNoise } from './tool-noise.ts';

/**
 * The truncation trick on some seeds: one row per seed, one column per psi, as `grid.png` and `seedNNNNN-psiP.png` each. With
 * the noise of the seed, an image has the pixels that synthesis gives that seed at that psi.
 *
 * Throws WeightsError, or the signal's reason when aborted.
 */
export async function sweepTruncation(task: SweepTruncationTask, context: EngineContext): Promise<ToolOutput> {
  const { generator, seeds, batchSize } = task;
  const { resolution, channels } = generator.image;
  const blocks = blocksOfSeeds(seeds, batchSize);
  const total = blocks.length * task.psi.length;
  await context.emit({ type: 'progress', phase: 'load', done: 0, total });
  await loadEngine();
  const sampler = await loadSampler({ model: generator, settings: context.settings, batchSize });
  const asked = new Set(seeds);
  const columns: Map<number, RawImage>[] = [];
  let done = 0;
  try {
    const noise = sharedNoise(task.noise, { noiseSizes: sampler.noiseSizes, batchSize, seed: task.seed });
    for (const psi of task.psi) {
      const column = new Map<number, RawImage>();
      for (const block of blocks) {
        context.signal.throwIfAborted();
        const images = sampleSeeds(sampler, { seeds: block, psi, resolution, channels, ...(noise && { noise }) });
        // Of a block only what was asked for is held: of scattered seeds that is one image of many.
        for (const [slot, image] of images.entries()) {
          const seed = (block[0] ?? 0) + slot;
          if (asked.has(seed)) column.set(seed, image);
        }
        await context.emit({ type: 'progress', phase: 'synthesize', done: ++done, total });
      }
      columns.push(column);
    }
  } finally {
    sampler.dispose();
  }
  return { files: await writeSweep(task, context.workDir, columns) };
}

async function writeSweep(
  task: SweepTruncationTask,
  dir: string,
  columns: readonly ReadonlyMap<number, RawImage>[],
): Promise<NamedFile[]> {
  const { seeds, noise } = task;
  const files: NamedFile[] = [];
  const cells: RawImage[] = [];
  for (const seed of seeds)
    for (const [i, psi] of task.psi.entries()) {
      const image = columns[i]?.get(seed);
      if (image === undefined) throw new RangeError(`no image of seed ${seed} at psi ${psi}`);
      cells.push(image);
      const name = `seed${String(seed).padStart(5, '0')}-psi${psi}.png`;
      files.push(await writePng(task, { dir, name, image, text: { seed: String(seed), psi: String(psi), noise } }));
    }
  const image = composeGrid(cells, { columns: columns.length, rows: seeds.length });
  const text = { seeds: seeds.join(','), psi: task.psi.join(','), noise };
  return [...files, await writePng(task, { dir, name: 'grid.png', image, text })];
}
