import { encodeGrid } from '../image/grid.ts';
import type { RawImage } from '../image/raw-image.ts';
import { createRng } from '../random.ts';
import type { NetworkShape } from './architecture.ts';
import { oneHot, type Labels } from './data.ts';
import { toGridBytes, type Sampler } from './sampler.ts';
import { normals } from './state.ts';

/** The two grids of a training: reals once, and fakes of fixed latents and fixed noise at every snapshot. */

export type GridSize = readonly [columns: number, rows: number];

/** Class of a cell where there are several: as many cells of each, one class after the other. */
const classOfCell = (cell: number, cells: number, classes: number): number => Math.floor((cell * classes) / cells);

/** Classes of all cells of a grid. */
export const classesOfCells = (cells: number, classes: number): number[] =>
  Array.from({ length: cells }, (_, cell) => classOfCell(cell, cells, classes));

/** The first images of each class, repeated when there are fewer than cells. */
export async function realsGrid(
  images: readonly RawImage[],
  [columns, rows]: GridSize,
  labels: Labels | null,
): Promise<Uint8Array> {
  const count = columns * rows;
  const classes = labels?.classes ?? 1;
  const ofClass = Array.from({ length: classes }, (_, k) =>
    images.filter((_image, i) => (labels?.byImage[i] ?? 0) === k),
  );
  const cells = Array.from({ length: count }, (_, i) => {
    const k = classOfCell(i, count, classes);
    const own = ofClass[k] ?? [];
    return own[(i - Math.ceil((k * count) / classes)) % own.length];
  });
  return encodeGrid(
    cells.filter((image) => image !== undefined),
    { columns, rows },
  );
}

/**
 * Fakes of a fixed latent and fixed noise per cell at psi 1, of all classes where there are several; a cell's image does not
 * depend on the batch size.
 */
export function gridFakes(options: {
  readonly sampler: Sampler;
  readonly shape: NetworkShape;
  readonly size: GridSize;
  readonly seed: number;
  readonly stream: string;
}): RawImage[] {
  const { sampler, shape, seed, stream } = options;
  const [columns, rows] = options.size;
  const { resolution, channels } = shape;
  const { batchSize, latentSize } = sampler;
  const imageSize = resolution * resolution * channels;
  const images: RawImage[] = [];
  for (let first = 0; first < columns * rows; first += batchSize) {
    const z = new Float32Array(batchSize * latentSize);
    const noise = sampler.noiseSizes.map((side) => new Float32Array(batchSize * side * side));
    for (let slot = 0; slot < batchSize; slot++) {
      const rng = createRng(seed, `${stream}/grid`, first + slot);
      z.set(normals(latentSize, rng), slot * latentSize);
      sampler.noiseSizes.forEach((side, i) => noise[i]?.set(normals(side * side, rng), slot * side * side));
    }
    const slots = Array.from({ length: batchSize }, (_, slot) => Math.min(first + slot, columns * rows - 1));
    const asked = slots.map((cell) => classOfCell(cell, columns * rows, shape.labels));
    const labels = shape.labels > 0 ? { labels: oneHot(asked, shape.labels) } : {};
    const bytes = toGridBytes(sampler.sampleRaw({ z, noise, ...labels, psi: 1 }));
    for (let slot = 0; slot < batchSize && first + slot < columns * rows; slot++) {
      const data = bytes.slice(slot * imageSize, (slot + 1) * imageSize);
      images.push({ width: resolution, height: resolution, channels, data });
    }
  }
  return images;
}
