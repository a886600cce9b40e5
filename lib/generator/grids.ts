import { encodeGrid } from '../image/grid.ts';
import type { RawImage } from '../image/raw-image.ts';
import { createRng } from '../random.ts';
import type { NetworkShape } from './architecture.ts';
import { toGridBytes, type Sampler } from './sampler.ts';
import { normals } from './state.ts';

/** The two grids of a training: reals once, and fakes of fixed latents and fixed noise at every snapshot. */

export type GridSize = readonly [columns: number, rows: number];

/** The first images of the class, repeated when there are fewer than cells. */
export async function realsGrid(images: readonly RawImage[], [columns, rows]: GridSize): Promise<Uint8Array> {
  const cells = Array.from({ length: columns * rows }, (_, i) => images[i % images.length]);
  return encodeGrid(
    cells.filter((image) => image !== undefined),
    { columns, rows },
  );
}

/** Fakes of a fixed latent and fixed noise per cell at psi 1; a cell's image does not depend on the batch size. */
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
    const bytes = toGridBytes(sampler.sampleRaw({ z, noise, psi: 1 }));
    for (let slot = 0; slot < batchSize && first + slot < columns * rows; slot++) {
      const data = bytes.slice(slot * imageSize, (slot + 1) * imageSize);
      images.push({ width: resolution, height: resolution, channels, data });
    }
  }
  return images;
}
