import type { EngineContext, MixStylesTask, NamedFile, ToolOutput } from '../../contract/engine.ts';
import { loadEngine } from '../engine/backend.ts';
import { loadStyleSampler } from '../generator/style-sampler.ts';
import { composeGrid } from '../image/grid.ts';
import type { RawImage } from '../image/raw-image.ts';
import { imagesOfStyles, latentsOfSeeds, mapAll, type LayerStyles } from './style-images.ts';
import { writePng } from './tool-files.ts';
import { sharedNoise } from './tool-noise.ts';

/**
 * Style mixing: each row seed's image with the styles of some layers taken from each column seed. Files `ROW-COLUMN.png` and
 * `grid.png`, whose first row and column show the seeds unmixed; all under one noise, as in the original.
 * Source: style-mixing-example of StyleGAN2 (stylegan2.md 4.3).
 *
 * Throws WeightsError, or the signal's reason when aborted.
 */
export async function mixStyles(task: MixStylesTask, context: EngineContext): Promise<ToolOutput> {
  const { generator, rowSeeds, columnSeeds, columnStyles, psi, batchSize } = task;
  const total = (rowSeeds.length + 1) * (columnSeeds.length + 1) - 1;
  await context.emit({ type: 'progress', phase: 'load', done: 0, total });
  await loadEngine();
  const sampler = await loadStyleSampler({ model: generator, settings: context.settings, batchSize });
  const images: RawImage[] = [];
  try {
    const rows = mapAll(sampler, latentsOfSeeds(rowSeeds, sampler), psi);
    const columns = mapAll(sampler, latentsOfSeeds(columnSeeds, sampler), psi);
    const layers = [...Array(sampler.styleCount).keys()];
    const plain = (w: Float32Array): LayerStyles => layers.map(() => w);
    const mixed = rows.flatMap((row) => [
      plain(row),
      ...columns.map((column) => layers.map((layer) => (columnStyles.includes(layer) ? column : row))),
    ]);
    const noise = sharedNoise(task.noise, { noiseSizes: sampler.noiseSizes, batchSize, seed: task.seed });
    for (const batch of imagesOfStyles(sampler, {
      styles: [...columns.map(plain), ...mixed],
      noise,
      size: generator.image,
    })) {
      context.signal.throwIfAborted();
      images.push(...batch);
      await context.emit({ type: 'progress', phase: 'synthesize', done: images.length, total });
    }
  } finally {
    sampler.dispose();
  }
  return { files: await writeMixes(task, context.workDir, images) };
}

/** `images`: the column seeds, then per row its seed and its mixes. */
async function writeMixes(task: MixStylesTask, dir: string, images: readonly RawImage[]): Promise<NamedFile[]> {
  const { rowSeeds, columnSeeds, columnStyles, psi, noise } = task;
  const common = { psi: String(psi), noise, columnStyles: columnStyles.join(',') };
  const files: NamedFile[] = [];
  const width = columnSeeds.length + 1;
  for (const [row, rowSeed] of rowSeeds.entries())
    for (const [column, columnSeed] of columnSeeds.entries()) {
      const image = images[columnSeeds.length + row * width + 1 + column];
      if (image === undefined) throw new RangeError(`no image of row ${row}, column ${column}`);
      const text = { rowSeed: String(rowSeed), columnSeed: String(columnSeed), ...common };
      files.push(await writePng(task, { dir, name: `${rowSeed}-${columnSeed}.png`, image, text }));
    }
  const [first] = images;
  if (first === undefined) throw new RangeError('mixStyles expects at least one row and one column, got none');
  const corner = { ...first, data: new Uint8Array(first.data.length) };
  const image = composeGrid([corner, ...images], { columns: width, rows: rowSeeds.length + 1 });
  const text = { rowSeeds: rowSeeds.join(','), columnSeeds: columnSeeds.join(','), ...common };
  files.push(await writePng(task, { dir, name: 'grid.png', image, text }));
  return files;
}
